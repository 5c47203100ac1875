select
    {{ surrogate_key(['val.indicator', 'val.region', 'val.year', 'val.gender']) }} as indicator_value_key,
    val.indicator,
    coalesce(ids.region_key, {{ unknown_key() }}) as region_key,
    val.region as region_source_id,
    val.year,
    val.gender,
    val.value,
    val.absolute_value
from {{ ref('stg_social_health__indicator_values') }} as val
left join {{ ref('int_region_id') }} as ids
    on
        val.region = ids.region
        and val._opened_by >= ids.from_batch
        and (ids.until_batch is null or val._opened_by < ids.until_batch)
