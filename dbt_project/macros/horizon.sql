{#- The dataset id ("finance.accounts") of a source relation (raw.finance__accounts). -#}
{% macro dataset_id(source_relation) -%}
    {{ (source_relation.identifier or '') | replace('__', '.') }}
{%- endmacro %}

{#- The condition that a version of a row is the current one at the horizon that the build has fixed:
    publishing during a build then changes nothing that the build sees. -#}
{% macro at_horizon(source_relation) -%}
    {%- set horizon -%}
        (select h.batch_id from ops.horizon as h where h.dataset = '{{ dataset_id(source_relation) }}')
    {%- endset -%}
    _opened_by <= {{ horizon }} and (_closed_by is null or _closed_by > {{ horizon }})
{%- endmacro %}

{#- The condition that a version of a row had been seen by the horizon, current or not: for models that need the past. -#}
{% macro seen_at_horizon(source_relation) -%}
    _opened_by <= (select h.batch_id from ops.horizon as h where h.dataset = '{{ dataset_id(source_relation) }}')
{%- endmacro %}

{#- The batch of a dataset in the last successful release of a group; -1 before the first. -#}
{% macro last_released_batch(dataset, group_name) -%}
    coalesce((
        select h.batch_id
        from ops.release_horizon as h
        inner join ops.release_group as g
            on h.release_id = g.release_id and h.group_name = g.group_name
        where h.dataset = '{{ dataset }}' and h.group_name = '{{ group_name }}' and g.state = 'released'
        order by h.release_id desc
        limit 1
    ), -1)
{%- endmacro %}

{#- The town's date when the build began: one date for all models, the same when the build is repeated. -#}
{% macro build_date() -%}
    (
        select (b.started_at at time zone '{{ var("time_zone") }}')::date
        from ops.build as b
        where b.build_id = (select max(h.build_id) from ops.horizon as h)
    )
{%- endmacro %}
