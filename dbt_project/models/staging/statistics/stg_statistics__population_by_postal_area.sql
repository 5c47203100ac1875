select
    postal_code,
    year,
    population,
    postal_code = 'KOKO' as is_national_total,
    _opened_by,
    _closed_by
from {{ source('statistics', 'population_by_postal_area') }}
where {{ at_horizon(source('statistics', 'population_by_postal_area')) }}
