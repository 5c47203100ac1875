{#- Street, number and letter of an address; a street that has no name in the language has the one in the other. NULL when
    there is no street. -#}
{% macro street_address(street, street_else, address) -%}
    case
        when coalesce({{ street }}, {{ street_else }}) is not null
            then concat_ws(' ', coalesce({{ street }}, {{ street_else }}), {{ address }}.house_number, {{ address }}.house_letter)
    end
{%- endmacro %}
