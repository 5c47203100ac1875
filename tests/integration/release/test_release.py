"""A release writes what differs, a group at a time, and never takes away what people made on it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from citydata import contract, database, release, transform
from tests.integration.transform import raw_rows
from tests.integration.transform.test_build import content, rows

MARTS = ("mart_finance.purchase", "mart_finance.supplier_spend", "mart_hr.headcount", "mart_hr.sick_leave")


def _publish_more() -> None:
    raw_rows.publish("finance.purchase_invoices", [*raw_rows.invoices(), raw_rows.invoice(voucher_number="more")])


def _break_hr() -> None:
    employments = raw_rows.hr()["hr.employments"]
    employments[0]["sector"] = "unheard of"
    raw_rows.publish("hr.employments", employments)


def test_amounts_are_released_to_the_cent(warehouse: Path) -> None:
    expected = sum(row["amount_net"] for row in raw_rows.invoices())
    for table in ("mart_finance.purchase", "mart_finance.supplier_spend", "warehouse.fct_purchase"):
        assert rows(f"SELECT sum(amount_net) FROM {table}") == [(expected,)]
    assert rows("SELECT count(*) FROM mart_finance.purchase") == [(302,)]


def test_a_group_with_a_failed_test_stays_while_the_other_is_released(warehouse: Path) -> None:
    _publish_more()
    _break_hr()
    before = content("mart_hr.headcount", "mart_hr.sick_leave", "warehouse.fct_employment", "master.employee")
    done = release.release(transform.build().build_id)
    assert "finance" in done.released
    assert "relationships_fct_employment_sector_code" in done.stale["hr"]
    assert content(*before) == before
    assert rows("SELECT count(*) FROM mart_finance.purchase WHERE voucher_number = 'more'") == [(1,)]
    stale = rows("SELECT table_name, stale_since, reason_fi, reason_sv, reason_en FROM mart_hr.freshness ORDER BY 1")
    assert [row[0] for row in stale] == ["headcount", "sick_leave"]
    assert all(all(value is not None for value in row) for row in stale)
    assert rows("SELECT DISTINCT stale_since FROM mart_finance.freshness") == [(None,)]
    # Once the source is right again, the group catches up.
    raw_rows.publish("hr.employments", raw_rows.hr()["hr.employments"])
    assert release.release(transform.build().build_id).stale == {}
    assert rows("SELECT DISTINCT stale_since, reason_en FROM mart_hr.freshness") == [(None, None)]


def test_a_mart_is_as_old_as_its_oldest_source_and_stale_since_the_first_release_that_left_it(warehouse: Path) -> None:
    observed, published = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC)
    with database.connect_admin() as connection:
        connection.execute("UPDATE ops.batch SET observed_at = %s WHERE dataset = 'hr.absences'", (observed,))
        connection.execute("UPDATE ops.batch SET published_at = %s WHERE dataset = 'hr.people'", (published,))
    freshness = "SELECT as_of, stale_since, expected_at FROM mart_hr.freshness WHERE table_name = 'sick_leave'"
    first, second = [], []
    for seen in (first, second):
        employments = raw_rows.hr()["hr.employments"]
        employments[len(first)]["sector"] = "unheard of"
        raw_rows.publish("hr.employments", employments)
        assert "hr" in release.release(transform.build().build_id).stale
        seen.extend(rows(freshness))
    expected = published + timedelta(hours=contract.load("hr.people").sla_hours)
    [(as_of, stale_since, expected_at)] = first
    assert (as_of, expected_at) == (observed, expected)
    assert stale_since is not None
    assert second == first


def test_shared_rows_that_a_stale_group_points_to_stay(warehouse: Path) -> None:
    unit = (
        "SELECT count(*) FROM warehouse.dim_organisation_unit WHERE name_fi = 'Tietohallinto' AND level = 'tulosalue'"
    )
    for dataset, values in raw_rows.finance().items():
        if dataset in ("finance.purchase_invoices", "finance.organisation_units"):
            raw_rows.publish(dataset, [row for row in values if "Tietohallinto" not in row.values()])
    _break_hr()
    done = release.release(transform.build().build_id)
    assert "hr" in done.stale
    assert rows(unit) == [(1,)]
    raw_rows.publish("hr.employments", raw_rows.hr()["hr.employments"])
    release.release(transform.build().build_id)
    assert rows(unit) == [(0,)]


def test_only_what_differs_is_written_and_views_of_a_team_survive(warehouse: Path) -> None:
    with database.connect("reporting_finance") as team:
        team.execute(
            "CREATE VIEW team_finance.spend AS SELECT account, sum(amount_net) AS total FROM mart_finance.purchase GROUP BY 1"
        )
        team.execute("CREATE VIEW team_finance.notes AS SELECT voucher_number FROM mart_finance.purchase")
    versions = "SELECT purchase_id, xmin::text FROM mart_finance.purchase"
    before = dict(rows(versions))
    whole = rows("SELECT xmin::text, ctid::text FROM warehouse.dim_date")
    _publish_more()
    done = release.release(transform.build(full=True).build_id)
    after = dict(rows(versions))
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + 1
    assert rows("SELECT xmin::text, ctid::text FROM warehouse.dim_date") == whole
    purchase = next(change for change in done.changes if (change.schema, change.table) == ("mart_finance", "purchase"))
    assert (purchase.inserted, purchase.updated, purchase.deleted) == (1, 0, 0)
    with database.connect("reporting_finance") as team:
        assert team.execute("SELECT sum(total) FROM team_finance.spend").fetchall() == rows(
            "SELECT sum(amount_net) FROM mart_finance.purchase"
        )
        assert team.execute("SELECT count(*) FROM team_finance.notes WHERE voucher_number = 'more'").fetchone() == (1,)


def test_a_crash_leaves_the_old_release_and_the_next_run_makes_the_new_once(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish_more()
    build = transform.build()
    tables = (
        "ops.release",
        "ops.release_group",
        "ops.release_change",
        "mart_finance.freshness",
        "warehouse.fct_purchase",
    )
    old = content(*tables, *MARTS)
    for point, call in (("_widen", 4), ("_create", 1), ("_bring_up_to_date", 4), ("_describe", 20), ("_freshness", 1)):
        with monkeypatch.context() as patch:
            _crash(patch, point, call)
            with pytest.raises(KeyboardInterrupt):
                release.release(build.build_id)
        assert content(*old) == old, point
    first = release.release(build.build_id)
    assert first.stale == {}
    assert rows("SELECT count(*) FROM mart_finance.purchase") == [(303,)]
    new = content(*old)
    again = release.release(build.build_id)
    assert content(*old) == new
    assert (again.release_id, again.released, set(again.changes)) == (
        first.release_id,
        first.released,
        set(first.changes),
    )


def _crash(patch: pytest.MonkeyPatch, point: str, call: int) -> None:
    """Let the release break off at the given call of one of its functions."""
    original, calls = getattr(release, point), iter(range(1, 1000))

    def crash(*arguments: Any, **options: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    patch.setattr(release, point, crash)


def test_an_older_build_is_refused_because_its_tables_are_gone(warehouse: Path) -> None:
    old = transform.build().build_id
    with database.connect_admin() as connection:
        connection.execute("INSERT INTO ops.build (state, selection, code_hash) VALUES ('built', 'purchase', 'x')")
    with pytest.raises(
        release.ReleaseError, match=rf"build {old} is not the last: build_\* hold what build {old + 1} made"
    ):
        release.release(old)


def test_a_build_that_broke_off_or_never_was_is_not_released(warehouse: Path) -> None:
    with database.connect_admin() as connection:
        [(broken,)] = connection.execute(
            "INSERT INTO ops.build (state, code_hash) VALUES ('failed', 'x') RETURNING build_id"
        ).fetchall()
    with pytest.raises(release.ReleaseError, match=rf"build {broken} broke off \(failed\) and cannot be released"):
        release.release(broken)
    with pytest.raises(release.ReleaseError, match=rf"there is no build {broken + 1}"):
        release.release(broken + 1)


def test_a_new_column_is_added_under_a_view_and_filled(warehouse: Path) -> None:
    with database.connect_admin() as connection:
        connection.execute("ALTER TABLE mart_finance.purchase DROP COLUMN board_sv")  # a release before the column came
        connection.execute("CREATE VIEW team_finance.kept AS SELECT purchase_id, account FROM mart_finance.purchase")
    done = release.release(transform.build().build_id)
    assert done.stale == {}
    assert rows("SELECT count(*) FROM mart_finance.purchase WHERE board_sv IS NULL") == [(0,)]
    assert rows("SELECT count(*) FROM team_finance.kept") == [(302,)]
    assert (
        "sv: Organ"
        in rows(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'mart_finance.purchase'::regclass"
            " AND attname = 'board_sv'"
        )[0][0]
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER TABLE mart_finance.purchase ADD COLUMN old text", "column old is gone"),
        ("ALTER TABLE mart_finance.purchase ALTER COLUMN fiscal_year TYPE bigint", "column fiscal_year was bigint"),
    ],
)
def test_a_change_that_breaks_readers_is_refused(warehouse: Path, change: str, reason: str) -> None:
    with database.connect_admin() as connection:
        connection.execute(change)
    done = release.release(transform.build().build_id)
    assert reason in done.stale["finance"]
    assert "purchase_v2" in done.stale["finance"]
    assert "hr" in done.released


def test_an_alter_does_not_queue_behind_a_reader_for_long(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.connect_admin() as connection:
        connection.execute("ALTER TABLE mart_finance.purchase DROP COLUMN board_sv")
    build = transform.build()
    monkeypatch.setattr(database, "LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(database, "LOCK_TRIES", 2)
    with database.connect("bi") as reader:
        reader.execute("SELECT count(*) FROM mart_finance.purchase")
        with pytest.raises(release.ReleaseError, match="readers have kept a table busy"):
            release.release(build.build_id)
    assert release.release(build.build_id).stale == {}


MAY_READ = (
    ("bi", "mart_finance.purchase"),
    ("bi", "mart_hr.sick_leave"),
    ("bi", "mart_hr.freshness"),
    ("reporting_hr", "mart_hr.headcount"),
    ("reporting_hr", "master.organisation_unit"),
    ("engineer", "warehouse.fct_purchase"),
)
MAY_NOT_READ = (
    ("bi", "warehouse.fct_absence"),
    ("bi", "build_warehouse.int_sick_leave_employee_month"),
    ("reporting_hr", "mart_finance.purchase"),
    ("reporting_hr", "warehouse.fct_absence"),
    ("reporting_hr", "master.employee"),
    ("reporting_hr", "master.employee_xref"),
    ("engineer", "master.employee"),
    ("engineer", "build_warehouse.int_sick_leave_employee_month"),
)


def test_who_may_read_what(warehouse: Path) -> None:
    for role, table in MAY_READ:
        with database.connect(role) as connection:
            connection.execute(f"SELECT * FROM {table} LIMIT 1")
    for role, table in MAY_NOT_READ:
        with database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM {table} LIMIT 1")


def test_released_tables_belong_to_the_role_and_to_no_login(warehouse: Path) -> None:
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('master', 'warehouse', 'mart_finance', 'mart_hr')"
    assert rows(owners) == [("citydata_releaser",)]


def test_everything_that_people_read_is_described_in_three_languages(warehouse: Path) -> None:
    columns = rows(
        "SELECT a.attrelid::regclass::text || '.' || attname, coalesce(col_description(a.attrelid, a.attnum), '')"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE (n.nspname IN ('master', 'warehouse') OR n.nspname LIKE 'mart\\_%%') AND c.relkind = 'r' AND attnum > 0"
        " UNION ALL SELECT c.oid::regclass::text, coalesce(obj_description(c.oid, 'pg_class'), '')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE (n.nspname IN ('master', 'warehouse') OR n.nspname LIKE 'mart\\_%%') AND c.relkind = 'r'"
    )
    assert len(columns) > 150
    assert [name for name, text in columns if not all(f"{language}: " in text for language in ("fi", "sv", "en"))] == []


def test_marts_have_only_types_that_bi_tools_read(warehouse: Path) -> None:
    types = rows(
        "SELECT DISTINCT format_type(atttypid, atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname LIKE 'mart\\_%%' AND c.relkind = 'r' AND attnum > 0"
    )
    allowed = r"integer|text|date|boolean|timestamp with time zone|numeric\(\d+,\d+\)"
    assert [name for (name,) in types if not re.fullmatch(allowed, name)] == []


def test_every_released_table_has_a_primary_key(warehouse: Path) -> None:
    assert (
        rows(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE (n.nspname IN ('master', 'warehouse') OR n.nspname LIKE 'mart\\_%%') AND c.relkind = 'r'"
            " AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')"
        )
        == []
    )
