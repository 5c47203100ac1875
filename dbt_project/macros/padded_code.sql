{#- A code of a classification with the zeros that a source which takes it for a number has lost. A longer one stays whole. -#}
{% macro padded_code(column, digits) -%}
    lpad({{ column }}::text, greatest({{ digits }}, length({{ column }}::text)), '0')
{%- endmacro %}
