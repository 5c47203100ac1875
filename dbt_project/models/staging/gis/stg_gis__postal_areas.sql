select
    postal_code,
    {{ trimmed('municipality') }} as municipality,
    geometry,
    _opened_by,
    _closed_by
from {{ source('gis', 'postal_areas') }}
where {{ at_horizon(source('gis', 'postal_areas')) }}
