select
    {{ trimmed('business_id') }} as business_id,
    {{ trimmed('name') }} as name,
    {{ trimmed('municipality') }} as municipality,
    _opened_by,
    _closed_by
from {{ source('finance', 'suppliers') }}
where {{ at_horizon(source('finance', 'suppliers')) }}
