select
    months.month_start,
    extract(year from months.month_start)::integer as year,
    months.sector_code,
    sector.name_fi as sector_fi,
    sector.name_sv as sector_sv,
    months.organisation_unit_key as organisation_unit_id,
    unit.unit_code,
    unit.name_fi as unit_fi,
    unit.name_sv as unit_sv,
    months.employment_type,
    (count(distinct months.employee_key) filter (where months.in_service_on_last_day))::integer as headcount,
    sum(months.person_years) as person_years,
    bool_and(months.is_complete_month) as is_complete_month
from {{ ref('int_employment_month') }} as months
inner join {{ ref('dim_organisation_unit') }} as unit on months.organisation_unit_key = unit.organisation_unit_key
inner join {{ ref('dim_sector') }} as sector on months.sector_code = sector.sector_code
group by
    months.month_start, months.sector_code, sector.name_fi, sector.name_sv, months.organisation_unit_key,
    unit.unit_code, unit.name_fi, unit.name_sv, months.employment_type
