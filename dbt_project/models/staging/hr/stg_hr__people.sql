select
    person_number,
    identity_code,
    identity_code_valid,
    {{ trimmed('family_name') }} as family_name,
    {{ trimmed('given_name') }} as given_name,
    birth_year::integer as birth_year,
    {{ trimmed('gender') }} as gender,
    {{ trimmed('language') }} as language,
    {{ trimmed('email') }} as email,
    non_disclosure,
    updated_at,
    _opened_by,
    _closed_by
from {{ source('hr', 'people') }}
where {{ at_horizon(source('hr', 'people')) }}
