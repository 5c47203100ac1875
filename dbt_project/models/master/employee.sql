-- Survivorship. Every attribute: the most recently updated person record that has a value. non_disclosure: any record
-- that says so is enough, because protecting somebody needlessly harms less than exposing one who is protected; a
-- protected person has no contact data here.
with records as (
    select
        xref.employee_id,
        people.*
    from {{ ref('stg_hr__people') }} as people
    inner join {{ ref('employee_xref') }} as xref on people.person_number = xref.source_id
),

golden as (
    select
        employee_id,
        (array_agg(family_name order by updated_at desc, person_number asc) filter (where family_name is not null))[1]
            as family_name,
        (array_agg(given_name order by updated_at desc, person_number asc) filter (where given_name is not null))[1]
            as given_name,
        (array_agg(birth_year order by updated_at desc, person_number asc) filter (where birth_year is not null))[1]
            as birth_year,
        (array_agg(gender order by updated_at desc, person_number asc) filter (where gender is not null))[1] as gender,
        (array_agg(language order by updated_at desc, person_number asc) filter (where language is not null))[1]
            as language,
        (array_agg(email order by updated_at desc, person_number asc) filter (where email is not null))[1] as email,
        coalesce(bool_or(non_disclosure), false) as non_disclosure,
        count(*)::integer as person_numbers
    from records
    group by employee_id
)

select
    employee_id,
    family_name,
    given_name,
    birth_year,
    gender,
    language,
    case when not non_disclosure then email end as email,
    non_disclosure,
    person_numbers
from golden
