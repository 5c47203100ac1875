-- By month and sector, with the total of the month; what is hidden is decided by the macro disclosure_control.
with employed as (
    select
        month_start,
        sector_code,
        count(distinct employee_key)::integer as employees,
        bool_and(is_complete_month) as is_complete_month
    from {{ ref('int_employment_month') }}
    group by month_start, sector_code
),

ill as (
    select
        ill.month_start,
        ill.sector_code,
        ill.employee_key,
        ill.sick_leave_days
    from {{ ref('int_sick_leave_employee_month') }} as ill
    inner join employed on ill.month_start = employed.month_start and ill.sector_code = employed.sector_code
),

staff as (
    select
        month_start,
        sector_code,
        employees as people
    from employed
),

{{ disclosure_control(
    'ill', period='month_start', cell=['sector_code'], person='employee_key', amount='sick_leave_days', population='staff'
) }},

cells as (
    select
        employed.month_start,
        employed.sector_code,
        employed.employees,
        employed.is_complete_month,
        count(ill.employee_key)::integer as sick_leave_employees,
        coalesce(sum(ill.sick_leave_days), 0)::integer as sick_leave_days
    from employed
    left join ill on employed.month_start = ill.month_start and employed.sector_code = ill.sector_code
    group by employed.month_start, employed.sector_code, employed.employees, employed.is_complete_month
),

rows_of_mart as (
    select
        cells.month_start,
        cells.sector_code,
        sector.name_fi as sector_fi,
        sector.name_sv as sector_sv,
        false as is_total,
        cells.employees,
        cells.sick_leave_employees,
        cells.sick_leave_days,
        coalesce(protected.is_suppressed, false) as is_suppressed,
        cells.is_complete_month
    from cells
    inner join {{ ref('dim_sector') }} as sector on cells.sector_code = sector.sector_code
    left join protected on cells.month_start = protected.month_start and cells.sector_code = protected.sector_code
    union all
    select
        cells.month_start,
        'all' as sector_code,
        'Yhteensä' as sector_fi,
        'Totalt' as sector_sv,
        true as is_total,
        sum(cells.employees)::integer as employees,
        sum(cells.sick_leave_employees)::integer as sick_leave_employees,
        sum(cells.sick_leave_days)::integer as sick_leave_days,
        coalesce(bool_or(protected.is_suppressed), false) as is_suppressed,
        bool_and(cells.is_complete_month) as is_complete_month
    from cells
    left join protected on cells.month_start = protected.month_start and protected.is_total
    group by cells.month_start
)

select
    month_start,
    extract(year from month_start)::integer as year,
    sector_code,
    sector_fi,
    sector_sv,
    is_total,
    employees,
    case when not is_suppressed then sick_leave_employees end as sick_leave_employees,
    case when not is_suppressed then sick_leave_days end as sick_leave_days,
    is_suppressed,
    case when is_suppressed then 'disclosure_control' end as suppression_reason,
    is_complete_month
from rows_of_mart
