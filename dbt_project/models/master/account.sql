-- Survivorship. name_fi: the chart of accounts, else the name on the newest invoice line. name_sv: the town's list of
-- Swedish names if it has one, else the Finnish name with a flag.
with on_invoices as (
    select distinct on (account)
        account,
        account_name as name
    from {{ ref('stg_finance__purchase_invoices') }}
    order by account asc, (account_name is null) asc, voucher_month desc, account_name asc
),

accounts as (
    select
        coalesce(chart.account, invoiced.account) as account,
        coalesce(chart.name, invoiced.name, chart.account, invoiced.account) as name_fi,
        chart.account is not null as in_chart
    from {{ ref('stg_finance__accounts') }} as chart
    full outer join on_invoices as invoiced on chart.account = invoiced.account
)

select
    {{ surrogate_key(['accounts.account']) }} as account_id,
    accounts.account,
    accounts.name_fi,
    {%- if has_model('account_name') %}
        coalesce(swedish.name_sv, accounts.name_fi) as name_sv,
        swedish.name_sv is null as name_sv_is_fallback,
    {%- else %}
        accounts.name_fi as name_sv,
        true as name_sv_is_fallback,
    {%- endif %}
    accounts.in_chart
from
    accounts
{%- if has_model('account_name') %}
    left join {{ ref('account_name') }} as swedish on accounts.account = swedish.account
{%- endif %}
