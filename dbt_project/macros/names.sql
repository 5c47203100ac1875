{#- Trimmed text; an empty one is NULL. -#}
{% macro trimmed(column) -%}
    nullif(btrim({{ column }}), '')
{%- endmacro %}

{#- Name of a unit; finance writes a dash where there is none. -#}
{% macro unit_name(column) -%}
    nullif(nullif(nullif(btrim({{ column }}), ''), '–'), '-')
{%- endmacro %}

{#- The form in which names of units are compared: case and spacing do not count. -#}
{% macro match_name(column) -%}
    lower(regexp_replace(btrim({{ column }}), '\s+', ' ', 'g'))
{%- endmacro %}
