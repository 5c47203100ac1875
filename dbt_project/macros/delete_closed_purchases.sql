{#- Lines that a batch since the last release has closed. A line that closed and came back with the same content is
    deleted here and inserted again by the model. -#}
{% macro delete_closed_purchases() -%}
    {%- set invoices = source('finance', 'purchase_invoices') -%}
    delete from {{ this }}
    where purchase_key in (
        select {{ purchase_key() }}
        from {{ invoices }}
        where
            _closed_by > {{ last_released_batch('finance.purchase_invoices', 'finance') }}
            and _closed_by <= (
                select h.batch_id from ops.horizon as h where h.dataset = '{{ dataset_id(invoices) }}'
            )
    )
{%- endmacro %}
