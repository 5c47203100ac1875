select
    indicator,
    {{ plain_text('title_fi') }} as title_fi,
    {{ plain_text('title_sv') }} as title_sv,
    {{ plain_text('title_en') }} as title_en,
    {{ trimmed('organisation_fi') }} as organisation_fi,
    {{ trimmed('organisation_sv') }} as organisation_sv,
    {{ trimmed('organisation_en') }} as organisation_en,
    sexes,
    data_updated,
    first_year,
    last_year,
    {{ trimmed('unit_code') }} as unit_code,
    {{ trimmed('unit_fi') }} as unit_fi,
    {{ trimmed('unit_sv') }} as unit_sv,
    {{ trimmed('unit_en') }} as unit_en,
    decimals,
    _opened_by,
    _closed_by
from {{ source('social_health', 'indicators') }}
where {{ at_horizon(source('social_health', 'indicators')) }}
