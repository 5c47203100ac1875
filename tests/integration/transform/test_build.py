"""A build sees one horizon, builds what is out of date and nothing else, and loses nothing when it breaks off."""

import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import holidays
import pytest

from citydata import contract, database, release, transform
from tests.integration.transform import raw_rows


def rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the administrator sees."""
    with database.connect_admin() as connection:
        return connection.execute(statement, values).fetchall()


def content(*tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of tables, in an order of their own."""
    return {table: rows(f"SELECT * FROM {table} AS t ORDER BY t::text") for table in tables}


BUILT = (
    "build_warehouse.fct_purchase",
    "build_mart_finance.purchase",
    "build_mart_finance.supplier_spend",
    "build_master.supplier",
    "build_master.supplier_xref",
)


def test_publishing_during_a_build_changes_nothing_that_it_sees(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = raw_rows.publish(
        "finance.purchase_invoices", [*raw_rows.invoices(), raw_rows.invoice(voucher_number="seen")]
    )
    run: Callable[..., Any] = transform._run

    def run_while_publishing(*arguments: Any) -> Any:
        raw_rows.publish("finance.purchase_invoices", [raw_rows.invoice(voucher_number="too late")])
        return run(*arguments)

    monkeypatch.setattr(transform, "_run", run_while_publishing)
    build = transform.build()
    assert build.failures == {}
    assert rows("SELECT count(*) FROM build_mart_finance.purchase") == [(303,)]
    assert rows("SELECT count(*) FROM build_warehouse.fct_purchase WHERE voucher_number = 'too late'") == [(0,)]
    assert rows(
        "SELECT batch_id FROM ops.build_horizon WHERE build_id = %s AND dataset = 'finance.purchase_invoices'",
        build.build_id,
    ) == [(before,)]
    # What came meanwhile is not lost: it is the next build's.
    monkeypatch.setattr(transform, "_run", run)
    release.release(build.build_id)
    later = transform.build()
    assert {"fct_purchase", "purchase", "supplier_spend", "supplier_xref"} <= set(later.selected)
    # What does not hang on invoices is left alone; headcount does, because it names units, which are shared.
    assert not set(later.selected) & {"stg_hr__people", "employee", "fct_employment", "sick_leave", "dim_date"}
    assert rows("SELECT voucher_number FROM build_mart_finance.purchase") == [("too late",)]


def test_nothing_new_builds_nothing(warehouse: Path) -> None:
    assert transform.build().selected == ()


def _no_dbt(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether dbt was asked to make growing tables anew, once a call."""
    asked: list[bool] = []

    def run(names: tuple[str, ...], anew: bool, log: Path) -> dict[str, Any]:
        asked.append(anew)
        return {}

    monkeypatch.setattr(transform, "_run", run)
    return asked


def test_what_was_built_and_never_released_is_built_again(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody vouches for its tables, although code and horizon are those of the release."""
    anew = _no_dbt(monkeypatch)
    with database.connect_admin() as connection:
        connection.execute(
            "INSERT INTO ops.build (state, code_hash, selection) SELECT 'built', code_hash, 'dim_account' FROM ops.build"
        )
    selected = transform.build().selected
    assert {"dim_account", "purchase"} <= set(selected)
    assert "headcount" not in selected
    assert anew == [True]


def test_changed_code_is_built_again_with_what_depends_on_it(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anew = _no_dbt(monkeypatch)
    released = json.loads(transform._kept(transform.code_hash()).read_text(encoding="utf-8"))
    released["fingerprints"]["model.citydata.dim_account"] = "another"
    transform._replace(transform._kept("older"), json.dumps(released))
    with database.connect_admin() as connection:
        connection.execute("UPDATE ops.build SET code_hash = 'older'")
        # The views of staging are those of the code at hand.
        connection.execute(
            "INSERT INTO ops.build (state, code_hash, selection) VALUES ('built', %s, '')", (transform.code_hash(),)
        )
    selected = transform.build().selected
    assert {"dim_account", "purchase"} <= set(selected)
    assert "headcount" not in selected
    assert anew == [True]


def test_a_table_that_is_gone_is_built_again(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anew = _no_dbt(monkeypatch)
    with database.connect_admin() as connection:
        connection.execute("DROP TABLE build_warehouse.dim_account CASCADE")
    selected = transform.build().selected
    assert {"dim_account", "purchase"} <= set(selected)
    assert "headcount" not in selected
    assert anew == [True]


def test_increments_end_in_the_tables_that_a_full_build_makes(warehouse: Path) -> None:
    lines = raw_rows.invoices()
    raw_rows.publish("finance.purchase_invoices", lines[10:])
    release.release(transform.build().build_id)
    # Some lines come back, one is new, one supplier without business id gets another one by a correction of the register.
    raw_rows.publish("finance.purchase_invoices", [*lines[5:-1], raw_rows.invoice(amount_net=Decimal("-0.01"))])
    suppliers = raw_rows.finance()["finance.suppliers"]
    raw_rows.publish("finance.suppliers", [row | {"name": f"{row['name']} Suomi"} for row in suppliers])
    grown = transform.build()
    assert grown.failures == {}
    assert "fct_purchase" in grown.selected
    by_increment = content(*BUILT)
    transform.build(full=True)
    assert content(*BUILT) == by_increment


def test_a_line_follows_its_supplier_when_the_match_changes(warehouse: Path) -> None:
    """The line itself does not change, so no batch says that its fact has to."""
    name, business_id, municipality = "Uusi Nimi Oy", *raw_rows.SUPPLIERS[1][1:]
    line = raw_rows.invoice(supplier_name=name, supplier_business_id=None, supplier_municipality=municipality)
    raw_rows.publish("finance.purchase_invoices", [*raw_rows.invoices(), line])
    release.release(transform.build().build_id)
    unknown = "SELECT supplier_business_id FROM mart_finance.purchase WHERE supplier_name_on_invoice = 'Uusi Nimi Oy'"
    assert rows(unknown) == [(None,)]
    register = [row for row in raw_rows.finance()["finance.suppliers"] if row["business_id"] != business_id]
    register.append({"name": name, "business_id": business_id, "municipality": municipality})
    raw_rows.publish("finance.suppliers", register)
    release.release(transform.build().build_id)
    assert rows(unknown) == [(business_id,)]


def test_a_build_that_broke_off_is_made_up_for(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw_rows.publish("finance.purchase_invoices", raw_rows.invoices()[7:])
    run: Callable[..., Any] = transform._run

    def killed(*arguments: Any) -> Any:
        run(("stg_finance__purchase_invoices", "fct_purchase"), False, arguments[2])  # dbt got this far
        raise transform.TransformError("killed")

    monkeypatch.setattr(transform, "_run", killed)
    with pytest.raises(transform.TransformError, match="killed"):
        transform.build()
    assert rows("SELECT state FROM ops.build ORDER BY build_id DESC LIMIT 1") == [("failed",)]
    monkeypatch.setattr(transform, "_run", run)
    with database.connect_admin() as connection:  # as a process leaves it that could not even say so
        connection.execute("UPDATE ops.build SET state = 'building', finished_at = NULL WHERE state = 'failed'")
    release.release(transform.build().build_id)
    assert rows("SELECT count(*) FROM ops.build WHERE state = 'building'") == [(0,)]
    expected = raw_rows.invoices()[7:]
    for table in ("warehouse.fct_purchase", "mart_finance.purchase"):
        assert rows(f"SELECT count(*), sum(amount_net) FROM {table}") == [
            (len(expected), sum(row["amount_net"] for row in expected))
        ]


def test_tomorrow_builds_what_depends_on_the_date(warehouse: Path) -> None:
    with database.connect_admin() as connection:
        connection.execute("UPDATE ops.build SET started_at = started_at - interval '1 day'")
    selected = set(transform.build().selected)
    assert {"headcount", "sick_leave"} <= selected
    assert "purchase" not in selected


def test_one_build_at_a_time(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform, "LOCK_WAIT", "200ms")
    with database.connect("transformer", autocommit=True) as other:
        transform.lock(other)
        with pytest.raises(transform.TransformError, match="another build or release"):
            transform.build()


def test_results_are_kept_and_checks_have_judged_something(warehouse: Path) -> None:
    kinds = {kind for (kind,) in rows("SELECT DISTINCT resource_type FROM ops.dbt_result")}
    assert {"model", "seed", "test", "unit_test"} <= kinds
    found = rows("SELECT check_id, outcome, severity, evaluated > 0 FROM quality.check_result WHERE source = 'dbt'")
    assert all(judged for *_, judged in found)
    # Two of the buildings have one permanent id, which is a warning.
    failed = [(check, severity) for check, outcome, severity, _ in found if outcome != "pass"]
    assert [(check.rpartition(".")[2], severity) for check, severity in failed] == [
        ("unique_building_permanent_building_id", "warning")
    ]
    staged = rows("SELECT DISTINCT dataset FROM quality.check_result WHERE dataset IS NOT NULL")
    assert {"finance.accounts", "hr.people"} <= {dataset for (dataset,) in staged}


def test_a_check_that_judged_no_row_has_not_passed(warehouse: Path) -> None:
    raw_rows.publish("hr.absences", [])
    build = transform.build()
    assert rows("SELECT count(*) FROM build_warehouse.fct_absence") == [(0,)]
    judged = "SELECT DISTINCT evaluated > 0, outcome FROM quality.check_result WHERE build_id = %s AND source = 'dbt' ORDER BY 1"
    assert rows(judged, build.build_id) == [(False, "error"), (True, "pass")]


def test_neither_log_nor_message_holds_a_value(warehouse: Path) -> None:
    people = raw_rows.hr()
    people["hr.employments"][0]["sector"] = "salainen arvo"
    people["hr.employments"][1]["employment_type"] = "toinen salaisuus"
    raw_rows.publish("hr.employments", people["hr.employments"])
    build = transform.build()
    assert "hr" in build.failures
    assert "finance" not in build.failures
    assert build.log is not None
    texts = (
        build.log.read_text(encoding="utf-8") + str(build.failures) + str(rows("SELECT message FROM ops.dbt_result"))
    )
    assert "relationships_fct_employment_sector_code" in texts
    assert not re.search("salai|k1:0", texts)
    assert not list((warehouse / "dbt").rglob("run_results.json"))


def test_database_errors_lose_their_values() -> None:
    text = 'Database Error in model x (models/x.sql)\n  invalid input syntax for type date: "010190-123A"\n  DETAIL:  Key (a)=(Maija)'
    assert transform._clean(text) == "Database Error in model x (models/x.sql)\ninvalid input syntax for type date"


def test_an_unchanged_dataset_is_fresh(warehouse: Path) -> None:
    with database.connect_admin() as connection:
        connection.execute(
            "UPDATE ops.batch SET published_at = now() - interval '40 hours' WHERE dataset = 'hr.people'"
        )
        connection.execute(
            "UPDATE ops.batch SET published_at = now() - interval '9 days' WHERE dataset = 'hr.absences'"
        )
        connection.execute(
            "UPDATE ops.batch SET published_at = now() - interval '9 days' WHERE dataset = 'finance.suppliers'"
        )
        connection.execute(
            "INSERT INTO ops.arrival (dataset, file_name, bytes, content_sha256, observed_at, outcome)"
            " VALUES ('finance.suppliers', 'toimittajat.csv', 1, 'x', now(), 'repeated')"
        )
    status = {entry.dataset: entry.status for entry in transform.source_freshness()}
    assert status["finance.accounts"] == "pass"
    assert status["finance.suppliers"] == "pass"  # the source said the same again
    assert status["hr.people"] == "warn"
    assert status["hr.absences"] == "error"
    build = transform.build(full=True)
    with database.connect("officer") as connection:
        found = dict(
            connection.execute(
                "SELECT dataset, outcome FROM quality.check_result WHERE build_id = %s AND dimension = 'punctuality'",
                (build.build_id,),
            ).fetchall()
        )
    assert found == {name: "pass" if state == "pass" else "fail" for name, state in status.items()}


def test_the_identity_of_an_invoice_line_is_its_whole_content() -> None:
    """The macro lists the columns that the contract has: a line that differs in any of them is another line."""
    text = (transform.PROJECT / "macros" / "surrogate_key.sql").read_text(encoding="utf-8")
    listed = re.findall(r"'(\w+)'", text[text.index("macro purchase_key") :])
    assert listed == [*contract.load("finance.purchase_invoices").table_columns, "_occurrence"]


def test_health_data_is_named_nowhere_in_what_dbt_reads() -> None:
    assert "cause_code" not in json.dumps(transform._sources())


def test_the_calendar_knows_the_holidays(warehouse: Path) -> None:
    """Against a library that has them from the law, for every day of the calendar."""
    official = holidays.country_holidays("FI", years=range(2000, 2036), language="fi")
    found = dict(rows("SELECT date_day, is_public_holiday FROM build_warehouse.dim_date WHERE holiday_fi IS NOT NULL"))
    assert found.keys() == set(official.keys())
    eves = {day for day, public in found.items() if not public}
    assert {(day.month, day.day) for day in eves if day.month == 12} == {(12, 24)}
    assert all(dt.date(day.year, 6, 19) <= day <= dt.date(day.year, 6, 25) for day in eves if day.month == 6)
    weeks = rows("SELECT iso_year, iso_week, weekday, date_day FROM build_warehouse.dim_date")
    assert all(day.isocalendar() == (year, week, weekday) for year, week, weekday, day in weeks)


def test_one_record_that_asks_for_protection_is_enough_and_a_code_that_fails_its_check_is_not(warehouse: Path) -> None:
    people = raw_rows.hr()["hr.people"]
    people[1]["non_disclosure"] = True  # the second number of the first person
    people[4]["identity_code"] = people[5]["identity_code"]  # mistyped, so that it is somebody else's
    raw_rows.publish("hr.people", people)
    assert transform.build().failures == {}
    employees = "SELECT DISTINCT employee_id FROM build_master.employee_xref WHERE source_id = ANY(%s)"
    assert len(rows(employees, ["P0005", "P0006"])) == 2
    assert rows(
        "SELECT DISTINCT e.non_disclosure, e.email FROM build_master.employee AS e"
        " JOIN build_master.employee_xref AS x USING (employee_id) WHERE x.source_id = ANY(%s)",
        ["P0001", "P0002"],
    ) == [(True, None)]


def test_several_person_numbers_of_a_person_are_one_employee(warehouse: Path) -> None:
    numbers = "SELECT employee_id FROM build_master.employee_xref WHERE source_id = ANY(%s)"
    assert len(set(rows(numbers, ["P0001", "P0002"]))) == 1
    # An identity code that fails its check identifies nobody.
    assert rows("SELECT how_matched FROM build_master.employee_xref WHERE source_id = 'P0005'") == [("person_number",)]
    assert rows("SELECT count(*) FROM build_master.employee WHERE non_disclosure AND email IS NOT NULL") == [(0,)]
