with months as (
    select distinct
        month_start,
        least(month_end, {{ build_date() }}) as last_day,
        month_end <= {{ build_date() }} as is_complete_month,
        days_in_year
    from {{ ref('dim_date') }}
    where month_start <= {{ build_date() }}
),

employment_months as (
    select
        employment.employment_key,
        employment.employee_key,
        employment.organisation_unit_key,
        employment.sector_code,
        employment.employment_type,
        employment.working_time_share,
        months.month_start,
        months.is_complete_month,
        months.days_in_year,
        greatest(employment.start_date, months.month_start) as first_day_in_service,
        least(employment.end_date, months.last_day) as last_day_in_service,
        employment.end_date is null or employment.end_date >= months.last_day as in_service_on_last_day
    from {{ ref('fct_employment') }} as employment
    inner join months
        on
            employment.start_date <= months.last_day
            and (employment.end_date is null or employment.end_date >= months.month_start)
),

-- Days, not spans, because two unpaid absences may overlap and a day can be taken off only once.
unpaid as (
    select
        absence.employment_key,
        calendar.month_start,
        count(distinct calendar.date_day) as unpaid_days
    from {{ ref('fct_absence') }} as absence
    inner join {{ ref('fct_employment') }} as employment on absence.employment_key = employment.employment_key
    inner join {{ ref('dim_date') }} as calendar
        on
            calendar.date_day between greatest(absence.start_date, employment.start_date)
            and least(absence.end_date, employment.end_date, {{ build_date() }})
    where absence.is_unpaid
    group by absence.employment_key, calendar.month_start
)

select
    employment_months.employment_key,
    employment_months.employee_key,
    employment_months.organisation_unit_key,
    employment_months.sector_code,
    employment_months.employment_type,
    employment_months.month_start,
    employment_months.is_complete_month,
    employment_months.in_service_on_last_day,
    {{ person_years(
        '(employment_months.last_day_in_service - employment_months.first_day_in_service + 1)',
        'coalesce(unpaid.unpaid_days, 0)',
        'employment_months.working_time_share',
        'employment_months.days_in_year'
    ) }} as person_years
from employment_months
left join unpaid
    on
        employment_months.employment_key = unpaid.employment_key
        and employment_months.month_start = unpaid.month_start
