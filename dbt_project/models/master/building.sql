-- Survivorship. Everything about the building: the building control's register. Address: of the national register's
-- addresses with the building's permanent id the one whose point is nearest to the building's. Name of the use: the
-- classification's in both languages, else the register's with a flag. Positions come with the links of matching.
with addresses as (
    select
        links.building_id as register_id,
        addresses.*
    from {{ source('master_link', 'building_address') }} as links
    inner join {{ ref('stg_gis__addresses') }} as addresses on links.address_id = addresses.address_id
    where links.is_nearest
),

address_counts as (
    select
        building_id as register_id,
        count(*)::integer as address_count
    from {{ source('master_link', 'building_address') }}
    group by building_id
)

select
    xref.building_id,
    buildings.building_id as register_id,
    buildings.permanent_building_id,
    buildings.property_id,
    buildings.building_number,
    buildings.polling_district,
    buildings.intended_use_code,
    coalesce(uses.name_fi, buildings.intended_use, 'ei tiedossa') as intended_use_fi,
    coalesce(uses.name_sv, buildings.intended_use, 'okänt') as intended_use_sv,
    uses.use_code is null and buildings.intended_use is not null as intended_use_sv_is_fallback,
    buildings.began_at,
    buildings.construction_year,
    buildings.volume_m3,
    buildings.gross_floor_area_m2,
    buildings.floor_area_m2,
    buildings.basement_area_m2,
    buildings.floors,
    buildings.load_bearing_material,
    buildings.facade_material,
    buildings.heating_method,
    buildings.heat_source,
    {{ street_address('addresses.street_fi', 'addresses.street_sv', 'addresses') }} as address_fi,
    {{ street_address('addresses.street_sv', 'addresses.street_fi', 'addresses') }} as address_sv,
    addresses.postal_code,
    addresses.post_office_fi,
    addresses.post_office_sv,
    coalesce(address_counts.address_count, 0) as address_count,
    buildings.geometry,
    round(positions.easting::numeric, 3) as easting,
    round(positions.northing::numeric, 3) as northing
from {{ ref('stg_gis__buildings') }} as buildings
inner join {{ ref('building_xref') }} as xref
    on xref.system = 'gis.buildings' and buildings.building_id = xref.source_id
left join {{ ref('building_use') }} as uses on buildings.intended_use_code = uses.use_code
left join addresses on buildings.building_id = addresses.register_id
left join address_counts on buildings.building_id = address_counts.register_id
left join {{ source('master_link', 'building_position') }} as positions on buildings.building_id = positions.building_id
