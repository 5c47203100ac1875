"""A column is followed by its names through SQL: by alias, through lists, unions and macros, and not into another table's."""

import pytest

from citydata import contract
from citydata.source_change import impact

REGISTER = {"stg_register": {"name", "code"}}


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("select {{ trimmed('name') }} as title, other from {{ source('x', 'stg_register') }}", {"name", "title"}),
        ("select coalesce(r.name, o.name, '-') as title from {{ ref('stg_register') }} as r", {"name", "title"}),
        (
            "with a as (select upper(name) as n from {{ ref('stg_register') }}), b as (select n as m, 1 as one from a)"
            " select m || '!' as final, one from b",
            {"name", "n", "m", "final"},
        ),
        # The other table's column of the same name is not this one.
        (
            "select r.code as id, o.name as owner from {{ ref('stg_register') }} as r join {{ ref('owners') }} as o on true",
            {"code", "id"},
        ),
        ("select o.name as owner from {{ ref('owners') }} as o", set()),
        # In a condition only: it is read, and no column comes of it.
        ("select o.id from {{ ref('owners') }} as o join {{ ref('stg_register') }} as r on o.id = r.code", {"code"}),
        ("select id from {{ ref('stg_register') }} -- name\n{# name #}", set()),
        (
            "select (select max(r.name) from {{ ref('stg_register') }} as r) as newest from {{ ref('owners') }}",
            {"name", "newest"},
        ),
    ],
)
def test_columns_that_come_of_a_column(code: str, made: set[str]) -> None:
    read, found = impact.derived(code, REGISTER)
    assert found == made
    assert read == bool(made)


def test_what_of_a_contract_uses_a_column() -> None:
    employments = contract.load("hr.employments")
    assert {use.name for use in impact._in_contract(employments, "updated_at")} == {"watermark"}
    assert {use.name for use in impact._in_contract(employments, "employment_number")} == {"key"}
    assert {use.name for use in impact._in_contract(employments, "start_date")} == {"employment_register"}
    assert not list(impact._in_contract(employments, "job_title_sv"))


def test_checks_of_the_suite_and_of_suites_that_compare_with_it() -> None:
    names = {use.name for use in impact._in_checks(contract.load("finance.purchase_invoices"), "account_name")}
    assert "finance.accounts.name_agrees_with_invoices" in names
    assert any(name.startswith("finance.purchase_invoices.") for name in names)
    assert {use.name for use in impact._in_matching(contract.load("finance.suppliers"), "municipality")} == {"supplier"}
