{#- A property id (kiinteistötunnus) as 14 digits: municipality, area, group and unit. Sources also write 91-1-23-4, and add
    the number of an unseparated parcel (M0601), which lies on the same property. NULL when it is neither form. -#}
{% macro property_id(column) -%}
    case
        when {{ column }} ~ '^\s*[0-9]{14}(M[0-9]{1,4})?\s*$' then left(btrim({{ column }}), 14)
        when {{ column }} ~ '^\s*[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,4}-[0-9]{1,4}(-M[0-9]{1,4})?\s*$'
            then
                lpad(split_part(btrim({{ column }}), '-', 1), 3, '0')
                || lpad(split_part(btrim({{ column }}), '-', 2), 3, '0')
                || lpad(split_part(btrim({{ column }}), '-', 3), 4, '0')
                || lpad(split_part(btrim({{ column }}), '-', 4), 4, '0')
    end
{%- endmacro %}

{#- A property id of 14 digits as people write it: 91-1-23-4. -#}
{% macro written_property_id(column) -%}
    left({{ column }}, 3)::integer || '-' || substr({{ column }}, 4, 3)::integer || '-'
    || substr({{ column }}, 7, 4)::integer || '-' || right({{ column }}, 4)::integer
{%- endmacro %}
