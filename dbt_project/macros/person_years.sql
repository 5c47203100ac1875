{#- Person-years (henkilötyövuosi, HTV2) by the recommendation of KT Local Government and County Employers on personnel
    reports (2021): paid days in service as calendar days / 365 × part-time percentage / 100. Days of unpaid absence
    are not in service; wholly or partly paid absence (holiday, sick leave) is. The divisor is the number of days of the
    year, because KT also says that one employment must not exceed one, which 366/365 would. -#}
{% macro person_years(days_in_service, unpaid_days, working_time_share, days_in_year) -%}
    round(({{ days_in_service }} - {{ unpaid_days }}) * {{ working_time_share }} / 100.0 / {{ days_in_year }}, 6)
{%- endmacro %}
