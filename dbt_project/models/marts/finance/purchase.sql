select
    purchase.purchase_key as purchase_id,
    purchase.fiscal_year,
    purchase.voucher_month,
    purchase.voucher_month_start,
    purchase.voucher_number,
    supplier.supplier_key as supplier_id,
    supplier.name as supplier_name,
    purchase.supplier_name_on_invoice,
    supplier.business_id as supplier_business_id,
    supplier.municipality as supplier_municipality,
    account.account,
    account.name_fi as account_name_fi,
    account.name_sv as account_name_sv,
    board.name_fi as board_fi,
    board.name_sv as board_sv,
    result_area.name_fi as result_area_fi,
    result_area.name_sv as result_area_sv,
    purchase.amount_net
from {{ ref('fct_purchase') }} as purchase
inner join {{ ref('dim_supplier') }} as supplier on purchase.supplier_key = supplier.supplier_key
inner join {{ ref('dim_account') }} as account on purchase.account_key = account.account_key
inner join {{ ref('dim_organisation_unit') }} as board on purchase.board_key = board.organisation_unit_key
inner join {{ ref('dim_organisation_unit') }} as result_area
    on purchase.result_area_key = result_area.organisation_unit_key
