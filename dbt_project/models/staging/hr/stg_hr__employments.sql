select
    employment_number,
    person_number,
    {{ trimmed('unit_code') }} as unit_code,
    {{ trimmed('unit_name_fi') }} as unit_name_fi,
    {{ trimmed('unit_name_sv') }} as unit_name_sv,
    {{ trimmed('sector') }} as sector,
    {{ trimmed('cost_centre') }} as cost_centre,
    {{ trimmed('job_title_fi') }} as job_title_fi,
    {{ trimmed('job_title_sv') }} as job_title_sv,
    {{ trimmed('pricing_code') }} as pricing_code,
    {{ trimmed('agreement') }} as agreement,
    {{ trimmed('employment_type') }} as employment_type,
    working_time_share,
    start_date,
    end_date,
    updated_at,
    _opened_by,
    _closed_by
from {{ source('hr', 'employments') }}
where {{ at_horizon(source('hr', 'employments')) }}
