select
    region,
    {{ trimmed('category') }} as category,
    {{ region_code('category', 'code') }} as code,
    {{ plain_text('title_fi') }} as title_fi,
    {{ plain_text('title_sv') }} as title_sv,
    {{ plain_text('title_en') }} as title_en,
    member_of,
    uri,
    _opened_by,
    _closed_by
from {{ source('social_health', 'regions') }}
where {{ at_horizon(source('social_health', 'regions')) }}
