-- The links are written between staging and this model, which dbt cannot see in them.
-- depends_on: {{ ref('stg_gis__addresses') }}

-- A building is what the building control's register has under one id: its permanent id comes later, and may be
-- corrected. Other sources know a building by its permanent id, which must be that of one building.
with register as (
    select
        building_id,
        permanent_building_id,
        {{ surrogate_key(['building_id']) }} as golden_id
    from {{ ref('stg_gis__buildings') }}
),

linked as (
    select distinct
        building_id,
        permanent_building_id
    from {{ source('master_link', 'building_address') }}
)

select
    'gis.buildings' as system,
    building_id as source_id,
    golden_id as building_id,
    'building_id' as how_matched,
    1.000 as score
from register
union all
select
    'gis.addresses' as system,
    linked.permanent_building_id as source_id,
    register.golden_id as building_id,
    'permanent_building_id' as how_matched,
    1.000 as score
from linked
inner join register on linked.building_id = register.building_id
