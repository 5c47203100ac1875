select
    indicator,
    region,
    year,
    gender,
    value,
    absolute_value,
    _opened_by,
    _closed_by
from {{ source('social_health', 'indicator_values') }}
where {{ at_horizon(source('social_health', 'indicator_values')) }}
