{#- Nothing is lost and nothing is doubled on the way from `compare_to`: amounts agree to the last digit, and rows do
    unless the grain is another. -#}
{% test same_total(model, compare_to, amount, compare_rows=true) %}
with here as (
    select
        count(*) as row_count,
        coalesce(sum({{ amount }}), 0) as total
    from {{ model }}
),

there as (
    select
        count(*) as row_count,
        coalesce(sum({{ amount }}), 0) as total
    from {{ compare_to }}
)

select here.row_count
from here
cross join there
where
    here.total <> there.total
    {% if compare_rows -%}
        or here.row_count <> there.row_count
    {%- endif %}
{% endtest %}
