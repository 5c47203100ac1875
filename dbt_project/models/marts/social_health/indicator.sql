with country as (
    select
        val.indicator,
        val.year,
        val.gender,
        val.value
    from {{ ref('fct_indicator_value') }} as val
    inner join {{ ref('dim_region') }} as region on val.region_key = region.region_key
    where region.comparison = 'country'
)

select
    val.indicator_value_key as indicator_value_id,
    val.indicator,
    described.title_fi as indicator_fi,
    described.title_sv as indicator_sv,
    described.title_en as indicator_en,
    region.category as region_category,
    region.code as region_code,
    region.name_fi as region_fi,
    region.name_sv as region_sv,
    region.name_en as region_en,
    region.comparison,
    val.year::integer as year,
    val.gender,
    val.value,
    val.absolute_value,
    country.value as country_value,
    -- Shares and rates can be compared with those of the country; numbers cannot.
    case
        when described.unit_code ~ '^(PROS|PER[0-9]+)$' then val.value - country.value
    end::numeric(20, 6) as difference_to_country,
    val.value is null as is_missing,
    described.unit_code,
    described.unit_fi,
    described.unit_sv,
    described.unit_en,
    described.decimals::integer as decimals,
    described.data_updated
from {{ ref('fct_indicator_value') }} as val
inner join {{ ref('dim_indicator') }} as described on val.indicator = described.indicator
inner join {{ ref('dim_region') }} as region on val.region_key = region.region_key
left join country
    on val.indicator = country.indicator and val.year = country.year and val.gender = country.gender
