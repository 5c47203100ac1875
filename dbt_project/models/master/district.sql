-- Survivorship. Names: Statistics Finland's list of areas, else Posti's post office. Municipality: the list of areas,
-- else Posti, else the municipality's name beside the boundary. Boundary: the surveyor's file; what is measured from it
-- comes with the links of matching.
with municipalities as (
    select distinct on (municipality_code)
        municipality_code,
        municipality_fi,
        municipality_sv
    from {{ ref('stg_statistics__municipalities') }}
    order by municipality_code asc, year desc
),

placed as (
    select distinct on (xref.source_id)
        xref.district_id,
        xref.source_id as district_code,
        coalesce(listed.name_fi, post.name_fi, xref.source_id) as name_fi,
        coalesce(listed.name_sv, post.name_sv, listed.name_fi, post.name_fi, xref.source_id) as name_sv,
        coalesce(listed.municipality_code, post.municipality_code, named.municipality_code) as municipality_code,
        coalesce(listed.municipality, post.municipality_fi, areas.municipality) as municipality_fi,
        coalesce(post.municipality_sv, listed.municipality, areas.municipality) as municipality_sv,
        areas.geometry
    from {{ ref('district_xref') }} as xref
    left join {{ ref('stg_statistics__postal_code_areas') }} as listed on xref.source_id = listed.postal_code
    left join {{ ref('stg_gis__postal_codes') }} as post on xref.source_id = post.postal_code
    left join {{ ref('stg_gis__postal_areas') }} as areas on xref.source_id = areas.postal_code
    left join municipalities as named on areas.municipality = named.municipality_fi
    order by xref.source_id asc, named.municipality_code asc
)

select
    placed.district_id,
    placed.district_code,
    placed.name_fi,
    placed.name_sv,
    placed.municipality_code,
    coalesce(municipalities.municipality_fi, placed.municipality_fi) as municipality_fi,
    coalesce(municipalities.municipality_sv, placed.municipality_sv) as municipality_sv,
    coalesce(placed.municipality_code = '{{ var("municipality_code") }}', false) as is_town,
    placed.geometry,
    round((measured.area_m2 / 1000000)::numeric, 4) as area_km2,
    round(measured.easting::numeric, 3) as point_easting,
    round(measured.northing::numeric, 3) as point_northing
from placed
left join municipalities on placed.municipality_code = municipalities.municipality_code
left join {{ source('master_link', 'district_geometry') }} as measured on placed.district_code = measured.code
