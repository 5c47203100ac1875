select
    month_start,
    class_code,
    residence,
    patient_key,
    count(*)::integer as encounters
from {{ ref('fct_encounter') }}
where is_counted and month_start is not null
group by month_start, class_code, residence, patient_key
