select
    account_id as account_key,
    account,
    name_fi,
    name_sv,
    name_sv_is_fallback,
    in_chart
from {{ ref('account') }}
union all
select
    {{ unknown_key() }} as account_key,
    null as account,
    'Ei tiedossa' as name_fi,
    'Okänd' as name_sv,
    false as name_sv_is_fallback,
    false as in_chart
