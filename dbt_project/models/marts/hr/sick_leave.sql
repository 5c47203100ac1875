-- Disclosure control. A cell (month × sector) is sensitive when it holds 1 to threshold − 1 people, when two people
-- make 85 % of its days or more, or when everybody employed in it was ill. The total of the month is published, so
-- hiding one cell is not enough: cells are hidden in the order of their size until those hidden are together as safe
-- as a cell that may be published – at least two cells, at least the threshold of people, no cell with 85 % of the
-- days, not everybody ill. Where that is not possible, the total is hidden too. Reasons are not told apart, because
-- “this one is small” would narrow the bounds of the others.
{%- set dominant = 0.85 %}
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
        month_start,
        sector_code,
        employee_key,
        sick_leave_days,
        row_number() over (partition by month_start, sector_code order by sick_leave_days desc) as place_in_sector,
        row_number() over (partition by month_start order by sick_leave_days desc) as place_in_month
    from {{ ref('int_sick_leave_employee_month') }}
),

cells as (
    select
        employed.month_start,
        employed.sector_code,
        employed.employees,
        employed.is_complete_month,
        count(ill.employee_key)::integer as sick_leave_employees,
        coalesce(sum(ill.sick_leave_days), 0)::integer as sick_leave_days,
        coalesce(sum(ill.sick_leave_days) filter (where ill.place_in_sector <= 2), 0) as days_of_two
    from employed
    left join ill on employed.month_start = ill.month_start and employed.sector_code = ill.sector_code
    group by employed.month_start, employed.sector_code, employed.employees, employed.is_complete_month
),

judged as (
    select
        *,
        sick_leave_employees > 0 and (
            sick_leave_employees < {{ var('suppression_threshold') }}
            or days_of_two >= {{ dominant }} * sick_leave_days
            or sick_leave_employees >= employees
        ) as is_sensitive
    from cells
),

-- Cells without any ill person protect nothing and stay.
ordered as (
    select
        *,
        row_number() over in_order as place,
        sum(sick_leave_employees) over in_order as hidden_people,
        sum(employees) over in_order as hidden_employees,
        sum(sick_leave_days) over in_order as hidden_days,
        max(sick_leave_days) over in_order as hidden_largest,
        count(*) filter (where is_sensitive) over (partition by month_start) as sensitive_cells
    from judged
    where sick_leave_employees > 0
    window in_order as (
        partition by month_start
        order by is_sensitive desc, sick_leave_employees asc, sick_leave_days asc, sector_code asc
    )
),

protection as (
    select
        month_start,
        min(place) filter (
            where place >= greatest(sensitive_cells, 2)
            and hidden_people >= {{ var('suppression_threshold') }}
            and hidden_largest < {{ dominant }} * hidden_days
            and hidden_people < hidden_employees
        ) as hidden_cells,
        max(sensitive_cells) as sensitive_cells
    from ordered
    group by month_start
),

months as (
    select
        month_start,
        sum(sick_leave_days) filter (where place_in_month <= 2) as days_of_two
    from ill
    group by month_start
),

totals as (
    select
        cells.month_start,
        sum(cells.employees)::integer as employees,
        bool_and(cells.is_complete_month) as is_complete_month,
        sum(cells.sick_leave_employees)::integer as sick_leave_employees,
        sum(cells.sick_leave_days)::integer as sick_leave_days,
        coalesce(max(two.days_of_two), 0) as days_of_two
    from cells
    left join months as two on cells.month_start = two.month_start
    group by cells.month_start
),

judged_totals as (
    select
        totals.month_start,
        totals.employees,
        totals.is_complete_month,
        totals.sick_leave_employees,
        totals.sick_leave_days,
        coalesce(protection.sensitive_cells > 0 and protection.hidden_cells is null, false)
        or (
            totals.sick_leave_employees > 0 and (
                totals.sick_leave_employees < {{ var('suppression_threshold') }}
                or totals.days_of_two >= {{ dominant }} * totals.sick_leave_days
                or totals.sick_leave_employees >= totals.employees
            )
        ) as is_suppressed
    from totals
    left join protection on totals.month_start = protection.month_start
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
        coalesce(
            -- With a hidden total nothing can be subtracted, and the sensitive cells alone are enough.
            case
                when ordered.sensitive_cells = 0 then false
                when total.is_suppressed then ordered.is_sensitive
                else ordered.place <= protection.hidden_cells
            end,
            false
        ) as is_suppressed,
        cells.is_complete_month
    from cells
    inner join judged_totals as total on cells.month_start = total.month_start
    inner join {{ ref('dim_sector') }} as sector on cells.sector_code = sector.sector_code
    left join ordered on cells.month_start = ordered.month_start and cells.sector_code = ordered.sector_code
    left join protection on cells.month_start = protection.month_start
    union all
    select
        month_start,
        'all' as sector_code,
        'Yhteensä' as sector_fi,
        'Totalt' as sector_sv,
        true as is_total,
        employees,
        sick_leave_employees,
        sick_leave_days,
        is_suppressed,
        is_complete_month
    from judged_totals
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
