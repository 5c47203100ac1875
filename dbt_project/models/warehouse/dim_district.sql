select
    district_id as district_key,
    district_code,
    name_fi,
    name_sv,
    municipality_code,
    municipality_fi,
    municipality_sv,
    is_town,
    area_km2
from {{ ref('district') }}
union all
select
    {{ unknown_key() }} as district_key,
    null as district_code,
    'Ei tiedossa' as name_fi,
    'Okänd' as name_sv,
    null as municipality_code,
    null as municipality_fi,
    null as municipality_sv,
    false as is_town,
    null as area_km2
