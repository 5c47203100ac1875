with source_accounts as (
    select
        'finance.accounts' as system,
        account
    from {{ ref('stg_finance__accounts') }}
    union
    select
        'finance.purchase_invoices' as system,
        account
    from {{ ref('stg_finance__purchase_invoices') }}
)

select
    system,
    account as source_id,
    {{ surrogate_key(['account']) }} as account_id,
    'account' as how_matched,
    1.000 as score
from source_accounts
