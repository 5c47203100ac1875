-- One day of one employee in one sector counts once, whatever the number of overlapping absences and employments.
select
    calendar.month_start,
    absence.sector_code,
    absence.employee_key,
    count(distinct calendar.date_day)::integer as sick_leave_days
from {{ ref('fct_absence') }} as absence
inner join {{ ref('fct_employment') }} as employment on absence.employment_key = employment.employment_key
inner join {{ ref('dim_date') }} as calendar
    on
        calendar.date_day between greatest(absence.start_date, employment.start_date)
        and least(absence.end_date, employment.end_date, {{ build_date() }})
where absence.absence_type = 'sick'
group by calendar.month_start, absence.sector_code, absence.employee_key
