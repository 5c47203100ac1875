select
    postal_code,
    {{ trimmed('name_fi') }} as name_fi,
    {{ trimmed('name_sv') }} as name_sv,
    municipality_code,
    {{ trimmed('municipality') }} as municipality,
    municipality_group_code,
    {{ trimmed('municipality_group') }} as municipality_group,
    sub_region_code,
    {{ trimmed('sub_region') }} as sub_region,
    region_code,
    {{ trimmed('region') }} as region,
    major_region_code,
    {{ trimmed('major_region') }} as major_region,
    regional_agency_code,
    {{ trimmed('regional_agency') }} as regional_agency,
    ely_centre_code,
    {{ trimmed('ely_centre') }} as ely_centre,
    hospital_district_code,
    {{ trimmed('hospital_district') }} as hospital_district,
    _opened_by,
    _closed_by
from {{ source('statistics', 'postal_code_areas') }}
where {{ at_horizon(source('statistics', 'postal_code_areas')) }}
