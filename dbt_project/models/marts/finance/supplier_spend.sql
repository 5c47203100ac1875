select
    purchase.supplier_id,
    purchase.fiscal_year,
    purchase.account,
    min(purchase.supplier_name) as supplier_name,
    min(purchase.supplier_business_id) as supplier_business_id,
    min(purchase.account_name_fi) as account_name_fi,
    min(purchase.account_name_sv) as account_name_sv,
    count(*)::integer as line_count,
    count(distinct purchase.voucher_number)::integer as voucher_count,
    sum(purchase.amount_net) as amount_net
from {{ ref('purchase') }} as purchase
group by purchase.supplier_id, purchase.fiscal_year, purchase.account
