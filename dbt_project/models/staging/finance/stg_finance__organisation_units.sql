select
    level,
    {{ unit_name('name') }} as name,
    _opened_by,
    _closed_by
from {{ source('finance', 'organisation_units') }}
where {{ at_horizon(source('finance', 'organisation_units')) }}
