-- Two sources count the town's people at the end of a year and do not agree: how far and why is shown.
{%- set band = 0.01 %}
with told as (
    select
        year,
        value as population
    from {{ ref('indicator') }}
    where indicator = 127 and comparison = 'town' and gender = 'total' and value is not null
),

summed as (
    select
        counted.year,
        sum(counted.population) as population,
        count(*)::integer as areas
    from {{ ref('fct_district_population') }} as counted
    inner join {{ ref('dim_district') }} as district on counted.district_key = district.district_key
    where district.is_town
    group by counted.year
),

compared as (
    select
        told.year,
        told.population::integer as sotkanet_population,
        summed.population::integer as postal_area_population,
        summed.areas,
        (told.population - summed.population)::integer as difference,
        round((told.population - summed.population) / nullif(told.population, 0), 6) as difference_share
    from told
    inner join summed on told.year = summed.year
)

select
    year,
    sotkanet_population,
    postal_area_population,
    areas,
    difference,
    difference_share,
    coalesce(abs(difference_share) <= {{ band }}, false) as is_within_band,
    case
        when difference = 0 then 'Ei eroa'
        when difference_share between 0 and {{ band }}
            then 'Henkilöt, joiden asuinpaikan sijaintia ei tunneta, ovat vain kunnan luvussa'
        else 'Ero ei selity tunnetulla syyllä'
    end as reason_fi,
    case
        when difference = 0 then 'Ingen skillnad'
        when difference_share between 0 and {{ band }}
            then 'Personer vars boningsort inte har känt läge ingår bara i kommunens siffra'
        else 'Skillnaden har ingen känd orsak'
    end as reason_sv,
    case
        when difference = 0 then 'No difference'
        when difference_share between 0 and {{ band }}
            then 'People whose place of residence has no known location are in the figure of the municipality only'
        else 'The difference has no known reason'
    end as reason_en
from compared
