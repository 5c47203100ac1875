select
    {{ trimmed('building_id') }} as building_id,
    began_at::timestamptz as began_at,
    extract(year from began_at::timestamptz at time zone '{{ var("time_zone") }}')::integer as construction_year,
    {{ trimmed('permanent_building_id') }} as permanent_building_id,
    {{ property_id('property_id') }} as property_id,
    lpad({{ trimmed('building_number') }}, 3, '0') as building_number,
    {{ trimmed('polling_district') }} as polling_district,
    nullif({{ trimmed('intended_use') }}, 'ei tiedossa') as intended_use,
    substring({{ trimmed('intended_use') }} from '^[0-9]{3}\M') as intended_use_code,
    volume_m3,
    gross_floor_area_m2,
    basement_area_m2,
    floors::integer as floors,
    floor_area_m2,
    nullif({{ trimmed('load_bearing_material') }}, 'ei tiedossa') as load_bearing_material,
    nullif({{ trimmed('facade_material') }}, 'ei tiedossa') as facade_material,
    nullif({{ trimmed('heating_method') }}, 'ei tiedossa') as heating_method,
    nullif({{ trimmed('heat_source') }}, 'ei tiedossa') as heat_source,
    geometry,
    _opened_by,
    _closed_by
from {{ source('gis', 'buildings') }}
where {{ at_horizon(source('gis', 'buildings')) }}
