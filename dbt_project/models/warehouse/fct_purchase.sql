{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='purchase_key',
    on_schema_change='fail',
    pre_hook="{% if is_incremental() %}{{ delete_closed_purchases() }}{% endif %}"
) }}

with lines as (
    select
        invoices.purchase_key,
        coalesce(xref.supplier_id, {{ unknown_key() }}) as supplier_key,
        invoices.supplier_source_id,
        invoices.supplier_name as supplier_name_on_invoice,
        {{ surrogate_key(['invoices.account']) }} as account_key,
        case
            when invoices.board is null then {{ unknown_key() }}
            else {{ surrogate_key(["'toimielin'", match_name('invoices.board')]) }}
        end as board_key,
        case
            when invoices.result_area is null then {{ unknown_key() }}
            else {{ surrogate_key(["'tulosalue'", match_name('invoices.result_area')]) }}
        end as result_area_key,
        invoices.voucher_month_start,
        invoices.fiscal_year,
        invoices.voucher_month,
        invoices.voucher_number,
        invoices.amount_net,
        invoices._opened_by as opened_by_batch
    from {{ ref('stg_finance__purchase_invoices') }} as invoices
    left join {{ ref('supplier_xref') }} as xref
        on xref.system = 'finance.purchase_invoices' and invoices.supplier_source_id = xref.source_id
)
{% if is_incremental() %}
    ,

    -- A line does not change, but master data may: the supplier it is linked to may have become another one.
    relinked as (
        select distinct known.supplier_source_id as source_id
        from {{ this }} as known
        inner join {{ ref('supplier_xref') }} as xref
            on xref.system = 'finance.purchase_invoices' and known.supplier_source_id = xref.source_id
        where known.supplier_key <> xref.supplier_id
    )
{% endif %}

select
    lines.purchase_key,
    lines.supplier_key,
    lines.supplier_source_id,
    lines.supplier_name_on_invoice,
    lines.account_key,
    lines.board_key,
    lines.result_area_key,
    lines.voucher_month_start,
    lines.fiscal_year,
    lines.voucher_month,
    lines.voucher_number,
    lines.amount_net,
    lines.opened_by_batch
from lines
{% if is_incremental() %}
    left join relinked on lines.supplier_source_id = relinked.source_id
    where
        lines.opened_by_batch > {{ last_released_batch('finance.purchase_invoices', 'finance') }}
        or relinked.source_id is not null
{% endif %}
