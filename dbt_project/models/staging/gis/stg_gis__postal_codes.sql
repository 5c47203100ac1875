select
    file_date,
    postal_code,
    {{ trimmed('name_fi') }} as name_fi,
    {{ trimmed('name_sv') }} as name_sv,
    {{ trimmed('abbreviation_fi') }} as abbreviation_fi,
    {{ trimmed('abbreviation_sv') }} as abbreviation_sv,
    valid_from,
    type_code,
    nuts3_code,
    {{ trimmed('nuts3_fi') }} as nuts3_fi,
    {{ trimmed('nuts3_sv') }} as nuts3_sv,
    municipality_code,
    {{ trimmed('municipality_fi') }} as municipality_fi,
    {{ trimmed('municipality_sv') }} as municipality_sv,
    posti_language_code,
    -- Posti counts from 1 where Statistics Finland counts from 0.
    (posti_language_code::integer - 1)::text as language_ratio_code,
    _opened_by,
    _closed_by
from {{ source('gis', 'postal_codes') }}
where {{ at_horizon(source('gis', 'postal_codes')) }}
