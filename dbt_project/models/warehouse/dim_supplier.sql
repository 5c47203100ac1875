select
    supplier_id as supplier_key,
    business_id,
    name,
    municipality,
    in_register
from {{ ref('supplier') }}
union all
select
    {{ unknown_key() }} as supplier_key,
    null as business_id,
    'Ei tiedossa / Okänd' as name,
    null as municipality,
    false as in_register
