-- What the town steers by: one row an indicator, area and year. Definitions are the seed's; figures come from the marts
-- and facts of the sectors, which answer for them.
with town as (
    select
        municipality_code,
        name_fi,
        name_sv
    from {{ ref('dim_municipality') }}
    where municipality_code = '{{ var("municipality_code") }}' and is_current
),

person_years as (
    select
        year,
        sum(person_years) as value,
        bool_and(is_complete_month) and count(distinct month_start) = 12 as is_complete
    from {{ ref('headcount') }}
    group by year
),

purchases as (
    select
        fiscal_year,
        sum(amount_net) as value
    from {{ ref('purchase') }}
    group by fiscal_year
),

figures as (
    select
        'population' as indicator,
        null::text as district_key,
        year,
        value,
        true as is_complete
    from {{ ref('indicator') }}
    where indicator = 127 and comparison = 'town' and gender = 'total' and value is not null
    union all
    select
        'population_by_district' as indicator,
        counted.district_key,
        counted.year,
        counted.population as value,
        true as is_complete
    from {{ ref('fct_district_population') }} as counted
    inner join {{ ref('dim_district') }} as district on counted.district_key = district.district_key
    where district.is_town
    union all
    select
        'person_years' as indicator,
        null::text as district_key,
        year,
        value,
        is_complete
    from person_years
    union all
    select
        'purchases' as indicator,
        null::text as district_key,
        fiscal_year as year,
        value,
        fiscal_year < extract(year from {{ build_date() }}) as is_complete
    from purchases
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
left join {{ ref('dim_district') }} as district on figures.district_key = district.district_key
left join town on true
