select
    organisation_unit_id as organisation_unit_key,
    level,
    unit_code,
    name_fi,
    name_sv,
    name_sv_is_fallback,
    sector_code
from {{ ref('organisation_unit') }}
union all
select
    {{ unknown_key() }} as organisation_unit_key,
    'unknown' as level,
    null as unit_code,
    'Ei tiedossa' as name_fi,
    'Okänd' as name_sv,
    false as name_sv_is_fallback,
    null as sector_code
