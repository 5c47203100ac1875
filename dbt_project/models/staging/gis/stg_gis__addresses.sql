select
    {{ trimmed('address_id') }} as address_id,
    {{ trimmed('permanent_building_id') }} as permanent_building_id,
    {{ property_id('property_id') }} as property_id,
    municipality_code,
    {{ trimmed('street_fi') }} as street_fi,
    {{ trimmed('street_sv') }} as street_sv,
    {{ trimmed('house_number') }} as house_number,
    {{ trimmed('house_letter') }} as house_letter,
    postal_code,
    {{ trimmed('post_office_fi') }} as post_office_fi,
    {{ trimmed('post_office_sv') }} as post_office_sv,
    geometry,
    _opened_by,
    _closed_by
from {{ source('gis', 'addresses') }}
where {{ at_horizon(source('gis', 'addresses')) }}
