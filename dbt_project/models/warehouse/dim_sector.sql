select
    sector_code,
    name_fi,
    name_sv,
    valid_until
from (
    values
    {% for sector in var('sectors') %}
    (
        '{{ sector.code }}'::text, '{{ sector.name_fi }}'::text, '{{ sector.name_sv }}'::text,
        {{ "'" ~ sector.until ~ "'" if sector.until else 'null' }}::date
    ){{ ',' if not loop.last }}
    {% else %}
    (null::text, null::text, null::text, null::date)
    {% endfor %}
) as sectors (sector_code, name_fi, name_sv, valid_until)
where sector_code is not null
