-- The cause of an absence is health data and is not read: no role of the warehouse may see it.
select
    absence_number,
    employment_number,
    {{ trimmed('absence_type') }} as absence_type,
    start_date,
    end_date,
    paid_share,
    updated_at,
    _opened_by,
    _closed_by
from {{ source('hr', 'absences') }}
where {{ at_horizon(source('hr', 'absences')) }}
