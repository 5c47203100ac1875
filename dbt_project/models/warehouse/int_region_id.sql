-- Which region an id of the source meant, and when: ids are given anew, and values that nobody has published since
-- keep the old ones. Batches count the time, because values and regions come from one source in one run.
with versions as (
    select
        region,
        {{ trimmed('category') }} as category,
        {{ region_code('category', 'code') }} as code,
        {{ plain_text('title_fi') }} as title_fi,
        {{ plain_text('title_sv') }} as title_sv,
        {{ plain_text('title_en') }} as title_en,
        _opened_by,
        case when not ({{ at_horizon(source('social_health', 'regions')) }}) then _closed_by end as closed_by
    from {{ source('social_health', 'regions') }}
    where {{ seen_at_horizon(source('social_health', 'regions')) }}
)

select
    region,
    category,
    code,
    {{ surrogate_key(['category', 'code']) }} as region_key,
    title_fi,
    title_sv,
    title_en,
    _opened_by as opened_by_batch,
    -- Values may have been published before the list of their own run: the first version holds from the beginning, and
    -- the last one to the end.
    coalesce(lag(closed_by) over of_the_id, 0) as from_batch,
    case when lead(_opened_by) over of_the_id is not null then closed_by end as until_batch
from versions
window of_the_id as (partition by region order by _opened_by)
