select
    encounter_id,
    patient_id,
    {{ trimmed('status') }} as status,
    {{ trimmed('class_code') }} as class_code,
    start_at,
    start_precision::integer as start_precision,
    end_at,
    part_of,
    {{ trimmed('provider_oid') }} as provider_oid,
    last_updated,
    _opened_by,
    _closed_by
from {{ source('social_health', 'encounters') }}
where {{ at_horizon(source('social_health', 'encounters')) }}
