-- Inhabitants of the districts at the end of a year. The national total that stands among the areas is none of them.
select
    {{ surrogate_key(['district.district_id', 'counted.year']) }} as district_population_key,
    district.district_id as district_key,
    counted.year::integer as year,
    counted.population
from {{ ref('stg_statistics__population_by_postal_area') }} as counted
inner join {{ ref('district') }} as district on counted.postal_code = district.district_code
where not counted.is_national_total and counted.population is not null
