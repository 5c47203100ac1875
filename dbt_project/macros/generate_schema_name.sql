{#- Staging is read where it stands; everything else is built aside, and `citydata.release` brings it to its readers. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name == 'staging' -%}
        staging
    {%- elif custom_schema_name -%}
        build_{{ custom_schema_name | trim }}
    {%- else -%}
        {{ exceptions.raise_compiler_error(node.name ~ " has no schema: put it into a folder of dbt_project.yml") }}
    {%- endif -%}
{%- endmacro %}
