-- Survivorship. name_fi: the finance register, else the newest invoice line; for a unit of the HR system its most
-- recently updated employment. name_sv: the HR system's own, else the HR name of a unit that has the same Finnish name
-- (when all such units agree), else the town's list, else the Finnish name with a flag. sector: the HR system's.
-- A town may have no HR system here, and no list.
with xref as (
    select * from {{ ref('organisation_unit_xref') }}
),

finance_units as (
    select distinct on (organisation_unit_id)
        organisation_unit_id,
        level,
        null::text as unit_code,
        source_id as name_fi,
        null::text as own_name_sv,
        null::text as sector_code
    from xref
    where system in ('finance.organisation_units', 'finance.purchase_invoices')
    order by organisation_unit_id asc, (system = 'finance.organisation_units') desc, source_id asc
),

{% if has_model('stg_hr__employments') -%}
    hr_units as (
        select distinct on (employments.unit_code)
            xref.organisation_unit_id,
            xref.level,
            employments.unit_code,
            coalesce(employments.unit_name_fi, employments.unit_code) as name_fi,
            employments.unit_name_sv as own_name_sv,
            employments.sector as sector_code
        from {{ ref('stg_hr__employments') }} as employments
        inner join xref on xref.system = 'hr.employments' and employments.unit_code = xref.source_id
        order by employments.unit_code asc, employments.updated_at desc, employments.employment_number asc
    ),
{%- else -%}
    hr_units as (
        select * from finance_units
        where false
    ),
{%- endif %}

units as (
    select * from finance_units
    union all
    select * from hr_units
),

names_in_hr as (
    select
        {{ match_name('name_fi') }} as match_name,
        min(own_name_sv) as name_sv
    from hr_units
    where own_name_sv is not null
    group by {{ match_name('name_fi') }}
    having count(distinct own_name_sv) = 1
),

{% if has_model('organisation_unit_name') -%}
    names_in_list as (
        select
            {{ match_name('name_fi') }} as match_name,
            name_sv
        from {{ ref('organisation_unit_name') }}
    )
{%- else -%}
    names_in_list as (
        select * from names_in_hr
        where false
    )
{%- endif %}

select
    units.organisation_unit_id,
    units.level,
    units.unit_code,
    units.name_fi,
    coalesce(units.own_name_sv, names_in_hr.name_sv, names_in_list.name_sv, units.name_fi) as name_sv,
    coalesce(units.own_name_sv, names_in_hr.name_sv, names_in_list.name_sv) is null as name_sv_is_fallback,
    units.sector_code
from units
left join names_in_hr on {{ match_name('units.name_fi') }} = names_in_hr.match_name
left join names_in_list on {{ match_name('units.name_fi') }} = names_in_list.match_name
