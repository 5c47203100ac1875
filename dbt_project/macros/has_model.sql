{#- Whether the town builds a model or has a seed: true, or nothing. A model that asks for another can live without it;
    `citydata.lineage` reads which ones ask. -#}
{% macro has_model(name) -%}
    {%- if name not in var('left_out') -%} true {%- endif -%}
{%- endmacro %}
