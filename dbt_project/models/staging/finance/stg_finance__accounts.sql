select
    {{ trimmed('account') }} as account,
    {{ trimmed('name') }} as name,
    _opened_by,
    _closed_by
from {{ source('finance', 'accounts') }}
where {{ at_horizon(source('finance', 'accounts')) }}
