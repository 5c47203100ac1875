-- Survivorship. name and municipality: the supplier register, else the newest invoice line that has one; a
-- municipality that is not known (“Ei tiedossa”) never wins over one that is. business_id: the link's.
with from_register as (
    select
        xref.supplier_id,
        suppliers.name,
        nullif(suppliers.municipality, 'Ei tiedossa') as municipality,
        0 as preference,
        null::text as voucher_month
    from {{ ref('stg_finance__suppliers') }} as suppliers
    inner join {{ ref('supplier_xref') }} as xref
        on xref.system = 'finance.suppliers' and suppliers.business_id = xref.source_id
),

from_invoices as (
    select
        xref.supplier_id,
        lines.supplier_name as name,
        nullif(lines.supplier_municipality, 'Ei tiedossa') as municipality,
        1 as preference,
        max(lines.voucher_month) as voucher_month
    from {{ ref('stg_finance__purchase_invoices') }} as lines
    inner join {{ ref('supplier_xref') }} as xref
        on xref.system = 'finance.purchase_invoices' and lines.supplier_source_id = xref.source_id
    group by xref.supplier_id, lines.supplier_name, lines.supplier_municipality
),

candidates as (
    select * from from_register
    union all
    select * from from_invoices
),

names as (
    select distinct on (supplier_id)
        supplier_id,
        name,
        preference = 0 as in_register
    from candidates
    where name is not null
    order by supplier_id asc, preference asc, voucher_month desc, name asc
),

municipalities as (
    select distinct on (supplier_id)
        supplier_id,
        municipality
    from candidates
    where municipality is not null
    order by supplier_id asc, preference asc, voucher_month desc, municipality asc
),

business_ids as (
    select distinct
        xref.supplier_id,
        links.business_id
    from {{ ref('supplier_xref') }} as xref
    inner join {{ source('master_link', 'supplier') }} as links
        on xref.system = links.dataset and xref.source_id = links.source_id
)

select
    business_ids.supplier_id,
    business_ids.business_id,
    names.name,
    municipalities.municipality,
    coalesce(names.in_register, false) as in_register
from business_ids
left join names on business_ids.supplier_id = names.supplier_id
left join municipalities on business_ids.supplier_id = municipalities.supplier_id
