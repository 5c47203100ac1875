-- Districts are postal code areas, so all sources write the same code. Of the areas outside the town those with a
-- boundary are kept, because points beside the town lie in them.
with classified as (
    select distinct on (municipality_code)
        municipality_code,
        municipality_fi
    from {{ ref('stg_statistics__municipalities') }}
    order by municipality_code asc, year desc
),

sources as (
    select
        'statistics.postal_code_areas' as system,
        postal_code,
        municipality_code,
        false as has_boundary
    from {{ ref('stg_statistics__postal_code_areas') }}
    union all
    select
        'gis.postal_areas' as system,
        areas.postal_code,
        classified.municipality_code,
        true as has_boundary
    from {{ ref('stg_gis__postal_areas') }} as areas
    left join classified on areas.municipality = classified.municipality_fi
    union all
    -- The other kinds are boxes, companies and machines, which have no area.
    select
        'gis.postal_codes' as system,
        postal_code,
        municipality_code,
        false as has_boundary
    from {{ ref('stg_gis__postal_codes') }}
    where type_code = '1'
)

select
    system,
    postal_code as source_id,
    {{ surrogate_key(['postal_code']) }} as district_id,
    'postal_code' as how_matched,
    1.000 as score
from sources
where postal_code in (
    select kept.postal_code
    from sources as kept
    where kept.has_boundary or kept.municipality_code = '{{ var("municipality_code") }}'
)
