select
    patient_id,
    identity_code,
    identity_code_valid,
    birth_year::integer as birth_year,
    {{ trimmed('municipality_code') }} as municipality_code,
    non_disclosure,
    last_updated,
    _opened_by,
    _closed_by
from {{ source('social_health', 'patients') }}
where {{ at_horizon(source('social_health', 'patients')) }}
