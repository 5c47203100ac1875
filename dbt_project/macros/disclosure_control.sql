{#- Disclosure control of published counts of people: common table expressions, the last of which, `protected`, says of each
    cell and of each period's total (`is_total`, cell columns NULL) whether it must be hidden (`is_suppressed`).

    `contributions` has one row a person and cell: `period`, the text columns of `cell`, `person`, `amount` (above 0).
    `population` is NONE or has `period`, `cell` and `people`: how many could have contributed.

    A cell is sensitive when it holds 1 to threshold − 1 people, when two people make 85 % of its amount or more, or when
    everybody in its population contributes. The total of the period is published, so hiding one cell is not enough: cells
    are hidden in the order of their size until those hidden are together as safe as a cell that may be published – at least
    two cells, at least the threshold of different people, no cell with 85 % of the amount, not everybody. Where that is not
    possible, the total is hidden too. Reasons are not told apart, because “this one is small” would narrow the bounds of the
    others. Cells without people protect nothing and stay. -#}
{% macro disclosure_control(contributions, period, cell, person, amount, population=none) -%}
{%- set dominant = 0.85 -%}
{%- set keys = [period] + cell -%}
places as (
    select
        {{ keys | join(', ') }},
        {{ amount }} as amount,
        row_number() over (partition by {{ keys | join(', ') }} order by {{ amount }} desc) as place
    from {{ contributions }}
),

judged as (
    select
        counted.*,
        {{ 'population.people' if population else 'null::bigint' }} as population,
        counted.people < {{ var('suppression_threshold') }}
        or counted.of_two >= {{ dominant }} * counted.amount
        {%- if population %}
        or counted.people >= population.people
        {%- endif %} as is_sensitive
    from (
        select
            {{ keys | join(', ') }},
            count(*) as people,
            sum(amount) as amount,
            sum(amount) filter (where place <= 2) as of_two
        from places
        group by {{ keys | join(', ') }}
    ) as counted
    {%- if population %}
    left join {{ population }} as population
        on {% for key in keys %}{{ 'and ' if not loop.first }}counted.{{ key }} = population.{{ key }} {% endfor %}
    {%- endif %}
),

ordered as (
    select
        *,
        row_number() over in_order as place,
        sum(people) over in_order as hidden_counted,
        sum(population) over in_order as hidden_population,
        sum(amount) over in_order as hidden_amount,
        max(amount) over in_order as hidden_largest,
        count(*) filter (where is_sensitive) over (partition by {{ period }}) as sensitive_cells
    from judged
    window in_order as (
        partition by {{ period }}
        order by is_sensitive desc, people asc, amount asc{% for key in cell %}, {{ key }} asc{% endfor %}
    )
),

-- A person in several hidden cells is one person: each counts in the first of the cells that would be hidden.
first_places as (
    select
        contributed.{{ period }},
        contributed.{{ person }} as person,
        sum(contributed.{{ amount }}) as amount,
        min(ordered.place) as place
    from {{ contributions }} as contributed
    inner join ordered
        on {% for key in keys %}{{ 'and ' if not loop.first }}contributed.{{ key }} = ordered.{{ key }} {% endfor %}
    group by contributed.{{ period }}, contributed.{{ person }}
),

different_people as (
    select
        ordered.{{ period }},
        ordered.place,
        sum(count(first_places.person)) over (partition by ordered.{{ period }} order by ordered.place) as hidden_people
    from ordered
    left join first_places
        on ordered.{{ period }} = first_places.{{ period }} and ordered.place = first_places.place
    group by ordered.{{ period }}, ordered.place
),

protection as (
    select
        ordered.{{ period }},
        min(ordered.place) filter (
            where ordered.place >= greatest(ordered.sensitive_cells, 2)
            and different_people.hidden_people >= {{ var('suppression_threshold') }}
            and ordered.hidden_largest < {{ dominant }} * ordered.hidden_amount
            {%- if population %}
            and ordered.hidden_counted < ordered.hidden_population
            {%- endif %}
        ) as hidden_cells,
        max(ordered.sensitive_cells) as sensitive_cells
    from ordered
    inner join different_people
        on ordered.{{ period }} = different_people.{{ period }} and ordered.place = different_people.place
    group by ordered.{{ period }}
),

judged_totals as (
    select
        protection.*,
        (protection.sensitive_cells > 0 and protection.hidden_cells is null)
        or whole.people < {{ var('suppression_threshold') }}
        or whole.of_two >= {{ dominant }} * whole.amount
        {%- if population %}
        or whole_population.counted >= whole_population.people
        {%- endif %} as is_suppressed
    from protection
    inner join (
        select
            {{ period }},
            count(*) as people,
            sum(amount) as amount,
            sum(amount) filter (where place_in_period <= 2) as of_two
        from (
            select
                *,
                row_number() over (partition by {{ period }} order by amount desc) as place_in_period
            from first_places
        ) as people
        group by {{ period }}
    ) as whole on protection.{{ period }} = whole.{{ period }}
    {%- if population %}
    inner join (
        select
            population.{{ period }},
            sum(population.people) as people,
            coalesce(sum(judged.people), 0) as counted
        from {{ population }} as population
        left join judged
            on {% for key in keys %}{{ 'and ' if not loop.first }}population.{{ key }} = judged.{{ key }} {% endfor %}
        group by population.{{ period }}
    ) as whole_population on protection.{{ period }} = whole_population.{{ period }}
    {%- endif %}
),

protected as (
    select
        {% for key in keys %}ordered.{{ key }}, {% endfor %}
        false as is_total,
        case
            when total.sensitive_cells = 0 then false
            -- With a hidden total nothing can be subtracted, and the sensitive cells alone are enough.
            when total.is_suppressed then ordered.is_sensitive
            else ordered.place <= total.hidden_cells
        end as is_suppressed
    from ordered
    inner join judged_totals as total on ordered.{{ period }} = total.{{ period }}
    union all
    select
        {{ period }},
        {% for key in cell %}null::text as {{ key }}, {% endfor %}
        true as is_total,
        is_suppressed
    from judged_totals
)
{%- endmacro %}
