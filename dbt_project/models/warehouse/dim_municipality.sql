-- One row a municipality and period in which it belonged to the same areas. The classification of a year says it of
-- all municipalities, the history, which a town may lack, of chosen ones; where both know a year, the classification
-- counts. An area that the sources do not tell of a year is not known: hospital districts are told from 2017 to 2022,
-- employment areas from 2025.
{%- set codes = [
    'language_ratio_code', 'municipality_group_code', 'region_code', 'sub_region_code', 'hospital_district_code',
    'wellbeing_county_code', 'employment_area_code'
] %}
with years as (
    select
        municipality_code,
        year,
        municipality_fi,
        municipality_sv,
        language_ratio_code,
        municipality_group_code,
        region_code,
        region_fi,
        region_sv,
        sub_region_code,
        sub_region_fi,
        sub_region_sv,
        null::text as hospital_district_code,
        null::text as hospital_district_fi,
        null::text as hospital_district_sv,
        wellbeing_county_code,
        wellbeing_county_fi,
        wellbeing_county_sv,
        employment_area_code,
        employment_area_fi,
        employment_area_sv
    from {{ ref('stg_statistics__municipalities') }}
    {%- if has_model('stg_statistics__municipality_history') %}
        union all
        select
            history.municipality_code,
            history.year,
            history.municipality_fi,
            history.municipality_sv,
            history.language_ratio_code,
            history.municipality_group_code,
            history.region_code,
            history.region_fi,
            history.region_sv,
            history.sub_region_code,
            history.sub_region_fi,
            history.sub_region_sv,
            history.hospital_district_code,
            history.hospital_district_fi,
            history.hospital_district_sv,
            history.wellbeing_county_code,
            history.wellbeing_county_fi,
            history.wellbeing_county_sv,
            history.employment_area_code,
            history.employment_area_fi,
            history.employment_area_sv
        from {{ ref('stg_statistics__municipality_history') }} as history
        where not exists (
            select 1
            from {{ ref('stg_statistics__municipalities') }} as classified
            where classified.municipality_code = history.municipality_code and classified.year = history.year
        )
    {%- endif %}
),

compared as (
    select
        *,
        {{ surrogate_key(['municipality_fi', 'municipality_sv'] + codes) }} as areas
    from years
),

-- A period begins where the year before is not known or differs.
begun as (
    select
        *,
        (
            lag(year) over in_order is distinct from (year - 1)::smallint
            or lag(areas) over in_order is distinct from areas
        )::integer as begins
    from compared
    window in_order as (partition by municipality_code order by year)
),

numbered as (
    select
        *,
        sum(begins) over (partition by municipality_code order by year) as period
    from begun
),

-- Names of areas are spelled in several ways over the years; the newest of the period counts.
periods as (
    select distinct on (municipality_code, period)
        *,
        min(year) over (partition by municipality_code, period) as first_year,
        max(year) over (partition by municipality_code, period) as last_year,
        max(year) over (partition by municipality_code) as newest_year
    from numbered
    order by municipality_code asc, period asc, year desc
)

select
    {{ surrogate_key(['municipality_code', 'first_year']) }} as municipality_key,
    municipality_code,
    municipality_fi as name_fi,
    municipality_sv as name_sv,
    make_date(first_year, 1, 1) as valid_from,
    case when last_year < newest_year then make_date(last_year, 12, 31) end as valid_to,
    last_year = newest_year as is_current,
    language_ratio_code,
    municipality_group_code,
    region_code,
    region_fi,
    region_sv,
    sub_region_code,
    sub_region_fi,
    sub_region_sv,
    hospital_district_code,
    hospital_district_fi,
    hospital_district_sv,
    wellbeing_county_code,
    wellbeing_county_fi,
    wellbeing_county_sv,
    employment_area_code,
    employment_area_fi,
    employment_area_sv
from periods
union all
select
    {{ unknown_key() }} as municipality_key,
    null as municipality_code,
    'Ei tiedossa' as name_fi,
    'Okänd' as name_sv,
    make_date(1900, 1, 1) as valid_from,
    null as valid_to,
    true as is_current,
    null as language_ratio_code,
    null as municipality_group_code,
    null as region_code,
    null as region_fi,
    null as region_sv,
    null as sub_region_code,
    null as sub_region_fi,
    null as sub_region_sv,
    null as hospital_district_code,
    null as hospital_district_fi,
    null as hospital_district_sv,
    null as wellbeing_county_code,
    null as wellbeing_county_fi,
    null as wellbeing_county_sv,
    null as employment_area_code,
    null as employment_area_fi,
    null as employment_area_sv
