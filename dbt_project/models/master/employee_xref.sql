-- Several person numbers of one person are one employee, known by the pseudonym of the identity code. A code that
-- did not pass its check identifies nobody, so such a person number stands for itself.
select
    'hr.people' as system,
    person_number as source_id,
    case
        when identity_code is not null and identity_code_valid then {{ surrogate_key(["'identity'", 'identity_code']) }}
        else {{ surrogate_key(["'person_number'", 'person_number']) }}
    end as employee_id,
    case
        when identity_code is not null and identity_code_valid then 'identity_code'
        else 'person_number'
    end as how_matched,
    1.000 as score
from {{ ref('stg_hr__people') }}
