-- Encounters form trees: a stay has periods on wards as its parts, and those have theirs. Leaves of what took
-- place are counted; a whole counts itself when none of its parts took place.
with encounters as (
    select
        *,
        status in ('arrived', 'triaged', 'in-progress', 'onleave', 'finished') as took_place
    from {{ ref('stg_social_health__encounters') }}
),

wholes as (
    select distinct part_of as encounter_id
    from encounters
    where took_place and part_of is not null
)

select
    {{ surrogate_key(['encounters.encounter_id']) }} as encounter_key,
    coalesce(
        patient.patient_key,
        case when encounters.patient_id is not null then {{ surrogate_key(['encounters.patient_id']) }} end,
        {{ unknown_key() }}
    ) as patient_key,
    coalesce(patient.residence, 'unknown') as residence,
    encounters.status,
    encounters.class_code,
    case when encounters.part_of is not null then {{ surrogate_key(['encounters.part_of']) }} end as part_of_key,
    encounters.provider_oid,
    encounters.start_at,
    encounters.end_at,
    -- Of a beginning that is known to the year only, nobody knows the month.
    case
        when encounters.start_precision >= 6
            then date_trunc('month', encounters.start_at at time zone '{{ var("time_zone") }}')::date
    end as month_start,
    encounters.took_place,
    encounters.took_place and wholes.encounter_id is null as is_counted
from encounters
left join wholes on encounters.encounter_id = wholes.encounter_id
left join {{ ref('int_patient') }} as patient on encounters.patient_id = patient.patient_id
