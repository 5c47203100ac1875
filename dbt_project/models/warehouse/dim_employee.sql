select
    employee_id as employee_key,
    birth_year,
    gender,
    language
from {{ ref('employee') }}
union all
select
    {{ unknown_key() }} as employee_key,
    null as birth_year,
    null as gender,
    null as language
