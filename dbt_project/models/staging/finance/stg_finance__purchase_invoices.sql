select
    {{ purchase_key() }} as purchase_key,
    municipality_code,
    {{ trimmed('municipality_name') }} as municipality_name,
    fiscal_year::integer as fiscal_year,
    voucher_month,
    (voucher_month || '-01')::date as voucher_month_start,
    {{ trimmed('voucher_number') }} as voucher_number,
    {{ trimmed('account') }} as account,
    {{ trimmed('account_name') }} as account_name,
    {{ trimmed('supplier_name') }} as supplier_name,
    {{ trimmed('supplier_business_id') }} as supplier_business_id,
    {{ trimmed('supplier_municipality') }} as supplier_municipality,
    {{ surrogate_key([
        trimmed('supplier_name'), trimmed('supplier_business_id'), trimmed('supplier_municipality')
    ]) }} as supplier_source_id,
    {{ unit_name('board') }} as board,
    {{ unit_name('result_area') }} as result_area,
    amount_net,
    _opened_by,
    _closed_by
from {{ source('finance', 'purchase_invoices') }}
where {{ at_horizon(source('finance', 'purchase_invoices')) }}
