-- What the town steers by: one row an indicator, area and year. Definitions are the seed's; figures come from the marts
-- and facts of the sectors, which answer for them; a town has the figures of the sectors whose datasets it has.
with {% if has_model('dim_municipality') -%}
    town as (
        select
            municipality_code,
            name_fi,
            name_sv
        from {{ ref('dim_municipality') }}
        where municipality_code = '{{ var("municipality_code") }}' and is_current
    ),
{%- else -%}
    town as (
        select
            null::text as municipality_code,
            null::text as name_fi,
            null::text as name_sv
    ),
{%- endif %}

{% if has_model('dim_district') -%}
    district as (
        select
            district_key,
            district_code,
            name_fi,
            name_sv,
            is_town
        from {{ ref('dim_district') }}
    ),
{%- else -%}
    district as (
        select
            null::text as district_key,
            null::text as district_code,
            null::text as name_fi,
            null::text as name_sv,
            false as is_town
        where false
    ),
{%- endif %}

{% if has_model('headcount') -%}
    person_years as (
        select
            year,
            sum(person_years) as value,
            bool_and(is_complete_month) and count(distinct month_start) = 12 as is_complete
        from {{ ref('headcount') }}
        group by year
    ),
{%- endif %}

{% if has_model('purchase') -%}
    purchases as (
        select
            fiscal_year,
            sum(amount_net) as value
        from {{ ref('purchase') }}
        group by fiscal_year
    ),
{%- endif %}

figures as (
    select
        null::text as indicator,
        null::text as district_key,
        null::integer as year,
        null::numeric as value,
        false as is_complete
    where false
    {%- if has_model('indicator') %}
        union all
        select
            'population' as indicator,
            null::text as district_key,
            year,
            value,
            true as is_complete
        from {{ ref('indicator') }}
        where indicator = 127 and comparison = 'town' and gender = 'total' and value is not null
    {%- endif %}
    {%- if has_model('fct_district_population') %}
        union all
        select
            'population_by_district' as indicator,
            counted.district_key,
            counted.year,
            counted.population as value,
            true as is_complete
        from {{ ref('fct_district_population') }} as counted
        inner join district on counted.district_key = district.district_key
        where district.is_town
    {%- endif %}
    {%- if has_model('headcount') %}
        union all
        select
            'person_years' as indicator,
            null::text as district_key,
            year,
            value,
            is_complete
        from person_years
    {%- endif %}
    {%- if has_model('purchase') %}
        union all
        select
            'purchases' as indicator,
            null::text as district_key,
            fiscal_year as year,
            value,
            fiscal_year < extract(year from {{ build_date() }}) as is_complete
        from purchases
    {%- endif %}
)

select
    {{ surrogate_key(['figures.indicator', 'district.district_code', 'figures.year']) }} as strategic_indicator_id,
    figures.indicator,
    defined.name_fi,
    defined.name_sv,
    defined.name_en,
    case when figures.district_key is null then 'municipality' else 'district' end as area_level,
    coalesce(district.district_code, town.municipality_code, '{{ var("municipality_code") }}') as area_code,
    coalesce(district.name_fi, town.name_fi, '{{ var("municipality_code") }}') as area_fi,
    coalesce(district.name_sv, town.name_sv, '{{ var("municipality_code") }}') as area_sv,
    figures.year as period,
    make_date(figures.year, 1, 1) as period_start,
    make_date(figures.year, 12, 31) as period_end,
    figures.is_complete,
    round(figures.value, 2) as value,
    defined.unit_fi,
    defined.unit_sv,
    defined.unit_en,
    defined.decimals,
    defined.target,
    defined.target_year,
    defined.direction,
    defined.source,
    defined.owner
from figures
inner join {{ ref('strategic_indicator_definition') }} as defined on figures.indicator = defined.indicator
left join district on figures.district_key = district.district_key
left join town on true
