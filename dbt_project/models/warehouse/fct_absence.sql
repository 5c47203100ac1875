select
    {{ surrogate_key(['absences.absence_number']) }} as absence_key,
    absences.absence_number,
    {{ surrogate_key(['absences.employment_number']) }} as employment_key,
    coalesce(employment.employee_key, {{ unknown_key() }}) as employee_key,
    employment.sector_code,
    absences.absence_type,
    absences.start_date,
    absences.end_date,
    absences.paid_share,
    -- HTV2 takes off days without any pay; a partly paid day is a day in service.
    coalesce(absences.paid_share = 0, absences.absence_type = 'unpaid') as is_unpaid
from {{ ref('stg_hr__absences') }} as absences
left join {{ ref('fct_employment') }} as employment
    on absences.employment_number = employment.employment_number
