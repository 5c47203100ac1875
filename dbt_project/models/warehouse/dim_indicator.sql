-- An indicator that has values but is not offered any more keeps its place, under its number.
with used as (
    select distinct indicator
    from {{ ref('stg_social_health__indicator_values') }}
)

select
    coalesce(offered.indicator, used.indicator) as indicator,
    coalesce(offered.title_fi, 'Indikaattori ' || used.indicator) as title_fi,
    coalesce(offered.title_sv, offered.title_fi, 'Indikator ' || used.indicator) as title_sv,
    coalesce(offered.title_en, offered.title_fi, 'Indicator ' || used.indicator) as title_en,
    offered.organisation_fi,
    offered.organisation_sv,
    offered.organisation_en,
    offered.unit_code,
    offered.unit_fi,
    offered.unit_sv,
    offered.unit_en,
    offered.decimals,
    offered.first_year,
    offered.last_year,
    offered.data_updated,
    offered.indicator is not null as is_offered,
    used.indicator is not null as has_values
from {{ ref('stg_social_health__indicators') }} as offered
full join used on offered.indicator = used.indicator
