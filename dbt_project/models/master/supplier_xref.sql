-- The links are written between staging and this model, which dbt cannot see in them.
-- depends_on: {{ ref('stg_finance__suppliers') }}
-- depends_on: {{ ref('stg_finance__purchase_invoices') }}

-- A supplier with a business id is the business id; one without stands for itself by name and municipality.
select
    dataset as system,
    source_id,
    case
        when business_id is not null then {{ surrogate_key(["'business_id'", 'business_id']) }}
        else {{ surrogate_key(["'name'", 'match_name', 'municipality']) }}
    end as supplier_id,
    rule as how_matched,
    score,
    reason
from {{ source('master_link', 'supplier') }}
