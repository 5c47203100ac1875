{%- set peers = "'" ~ var('peer_municipalities') | join("', '") ~ "'" -%}
with known as (
    select
        {{ surrogate_key(['category', 'code']) }} as region_key,
        category,
        code,
        title_fi,
        title_sv,
        title_en,
        true as is_current
    from {{ ref('stg_social_health__regions') }}
),

former as (
    select distinct on (ids.region_key)
        ids.region_key,
        ids.category,
        ids.code,
        ids.title_fi,
        ids.title_sv,
        ids.title_en,
        false as is_current
    from {{ ref('int_region_id') }} as ids
    left join known on ids.region_key = known.region_key
    where known.region_key is null
    order by ids.region_key asc, ids.opened_by_batch desc
),

regions as (
    select * from known
    union all
    select * from former
)

select
    region_key,
    category,
    code,
    title_fi as name_fi,
    coalesce(title_sv, title_fi) as name_sv,
    coalesce(title_en, title_fi) as name_en,
    case
        when category = 'MAA' then 'country'
        when category = 'KUNTA' and code = '{{ var("municipality_code") }}' then 'town'
        when category = 'KUNTA' and code in ({{ peers }}) then 'peer'
        else 'other'
    end as comparison,
    is_current
from regions
union all
select
    {{ unknown_key() }} as region_key,
    null as category,
    null as code,
    'Ei tiedossa' as name_fi,
    'Okänd' as name_sv,
    'Not known' as name_en,
    'other' as comparison,
    false as is_current
