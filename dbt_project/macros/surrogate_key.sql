{#- A key from natural keys. Each part carries its length and NULL has a sign of its own, so that no two different
    lists give the same text: (a, NULL, b) and (a, b, NULL), or ('a|', 'b') and ('a', '|b'), stay apart. -#}
{% macro surrogate_key(expressions) -%}
    md5(
        {%- for expression in expressions %}
        coalesce(length(({{ expression }})::text) || ':' || ({{ expression }})::text, '~')
        {%- if not loop.last %} || {% endif %}
        {%- endfor %}
    )
{%- endmacro %}

{#- The key of the row that stands for “not known” in every dimension. -#}
{% macro unknown_key() -%}
    {{ surrogate_key(["'unknown'"]) }}
{%- endmacro %}

{#- Key of an invoice line. The dataset is keyless, so its identity is its content and occurrence. Staging and the
    deletion of closed lines must agree on it, hence one macro over the columns of raw. -#}
{% macro purchase_key() -%}
    {{ surrogate_key([
        'municipality_code', 'municipality_name', 'fiscal_year', 'voucher_month', 'voucher_number', 'account',
        'account_name', 'supplier_name', 'supplier_business_id', 'supplier_municipality', 'board', 'result_area',
        'amount_net', '_occurrence'
    ]) }}
{%- endmacro %}
