{#- The code of one of Sotkanet's regions with all its digits: leading zeros come and go, and a code is only known within
    its category. -#}
{% macro region_code(category, code) -%}
    case
        when btrim({{ category }}) in ('KUNTA', 'SEUTUKUNTA', 'MAA') then {{ padded_code('btrim(' ~ code ~ ')', 3) }}
        when btrim({{ category }}) in ('MAAKUNTA', 'HYVINVOINTIALUE', 'SAIRAANHOITOPIIRI', 'ELY-KESKUS')
            then {{ padded_code('btrim(' ~ code ~ ')', 2) }}
        else btrim({{ code }})
    end
{%- endmacro %}
