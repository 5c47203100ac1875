with source_units as (
    select
        'finance.organisation_units' as system,
        level,
        name,
        null::text as unit_code
    from {{ ref('stg_finance__organisation_units') }}
    where name is not null
    union
    select
        'finance.purchase_invoices' as system,
        'toimielin' as level,
        board as name,
        null::text as unit_code
    from {{ ref('stg_finance__purchase_invoices') }}
    where board is not null
    union
    select
        'finance.purchase_invoices' as system,
        'tulosalue' as level,
        result_area as name,
        null::text as unit_code
    from {{ ref('stg_finance__purchase_invoices') }}
    where result_area is not null
    {%- if has_model('stg_hr__employments') %}
        union
        select
            'hr.employments' as system,
            'yksikko' as level,
            null::text as name,
            unit_code
        from {{ ref('stg_hr__employments') }}
        where unit_code is not null
    {%- endif %}
)

select
    system,
    level,
    coalesce(unit_code, name) as source_id,
    case
        when unit_code is not null then {{ surrogate_key(["'unit_code'", 'unit_code']) }}
        else {{ surrogate_key(['level', match_name('name')]) }}
    end as organisation_unit_id,
    case when unit_code is not null then 'unit_code' else 'level_and_name' end as how_matched,
    1.000 as score
from source_units
