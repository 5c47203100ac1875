"""What `up` and `status` read from the ledger."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from citydata import contract, database
from citydata.service import progress
from citydata.service import status as service_status
from citydata.service.installation import Installation
from simulators import SERVICES


@pytest.fixture
def ledger(platform: Path):
    with database.connect_admin(autocommit=True) as connection:
        yield connection


def _batch(ledger: psycopg.Connection[Any], dataset: str, state: str, **values: Any) -> int:
    counts = {"extracted": 0, "contract_version": "1.0.0", "contract_hash": "x", "mode": "snapshot", **values}
    if state == "published":
        counts["published_at"] = database.now(ledger)
    names, marks = ", ".join(counts), ", ".join(["%s"] * len(counts))
    row = ledger.execute(
        f"insert into ops.batch (dataset, state, {names}) values (%s, %s, {marks}) returning batch_id",
        (dataset, state, *counts.values()),
    ).fetchone()
    assert row
    return row[0]


def test_progress_counts_only_what_happened_since(ledger: psycopg.Connection[Any]) -> None:
    _batch(ledger, "finance.accounts", "published", extracted=5, inserted=5)
    since = database.now(ledger)
    _batch(ledger, "finance.accounts", "published", extracted=7, inserted=3, unchanged=2, quarantined=2)
    _batch(ledger, "finance.accounts", "sealed", extracted=4)
    found = {item.dataset: item for item in progress.datasets(ledger, since)}
    assert found.keys() == contract.load_all().keys()
    accounts = found["finance.accounts"]
    assert (accounts.step, accounts.extracted, accounts.inserted, accounts.quarantined) == ("land", 11, 3, 2)
    assert found["hr.people"].step == "waiting"


def test_a_published_batch_is_unreleased_until_a_release_takes_it_in(ledger: psycopg.Connection[Any]) -> None:
    first = _batch(ledger, "finance.accounts", "published", extracted=1, inserted=1)
    assert progress.unreleased(ledger) == ["finance.accounts"]
    build, release = ledger.execute(
        "with b as (insert into ops.build (state) values ('built') returning build_id) "
        "insert into ops.release (build_id) select build_id from b returning build_id, release_id"
    ).fetchone() or (0, 0)
    ledger.execute("insert into ops.release_horizon values (%s, 'finance', 'finance.accounts', %s)", (release, first))
    assert progress.unreleased(ledger) == []
    _batch(ledger, "finance.accounts", "published", extracted=1, unchanged=1)
    assert progress.unreleased(ledger) == []
    _batch(ledger, "finance.accounts", "published", extracted=1, inserted=1)
    assert progress.unreleased(ledger) == ["finance.accounts"]
    assert build


def test_status_names_what_is_held_late_and_failed_with_the_next_command(
    ledger: psycopg.Connection[Any], platform: Path
) -> None:
    (platform / "secrets.env").touch()
    held = _batch(ledger, "finance.accounts", "held", held_reason="12 % of the rows vanished")
    for name in ("hr.people", "hr.absences"):
        _batch(ledger, name, "failed", failure="the HR database does not answer")
    late = _batch(ledger, "finance.suppliers", "published")
    ledger.execute("update ops.batch set published_at = published_at - interval '40 days' where batch_id = %s", (late,))
    _batch(ledger, "hr.employments", "failed", failure="overcome since")
    _batch(ledger, "hr.employments", "published")

    found = service_status.status(Installation())
    by_kind: dict[str, list[service_status.Finding]] = {}
    for finding in found.findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    (one_held,) = by_kind["held"]
    assert one_held.cause == "12 % of the rows vanished"
    assert one_held.command == f"./citydata batch show {held}"
    failed = {finding.cause: finding for finding in by_kind["failed"]}
    assert failed["the HR database does not answer"].subjects == ["hr.absences", "hr.people"]
    assert "overcome since" not in failed
    lateness = {subject: finding for finding in by_kind["late"] for subject in finding.subjects}
    assert "promised every" in lateness["finance.suppliers"].cause
    assert "hr.employments" not in lateness
    assert found.exit_code == 1


def test_status_names_tests_that_failed_and_groups_that_stayed_as_they_were(
    ledger: psycopg.Connection[Any], platform: Path
) -> None:
    (platform / "secrets.env").touch()
    [(build,)] = ledger.execute("insert into ops.build (state) values ('built') returning build_id").fetchall()
    for name, status in (("amounts_agree", "fail"), ("keys_are_unique", "pass"), ("names_are_known", "warn")):
        ledger.execute(
            "insert into ops.dbt_result (build_id, unique_id, resource_type, name, status, seconds)"
            " values (%s, %s, 'test', %s, %s, 0)",
            (build, name, name, status),
        )
    [(release,)] = ledger.execute(
        "insert into ops.release (build_id) values (%s) returning release_id", (build,)
    ).fetchall()
    ledger.execute(
        "insert into ops.release_group (release_id, group_name, state, reason) values"
        " (%s, 'hr', 'stale', 'test amounts_agree: fail'), (%s, 'finance', 'released', null)",
        (release, release),
    )
    found = {finding.cause: finding for finding in service_status.status(Installation()).findings}
    assert found["build: fail: test"].subjects == ["amounts_agree"]
    assert "build: warn: test" not in found
    assert (found["test amounts_agree: fail"].kind, found["test amounts_agree: fail"].subjects) == (
        "stale",
        ["group hr"],
    )
    assert not [finding for finding in found.values() if "group finance" in finding.subjects]


def test_progress_of_a_build_is_that_of_one_that_began_since(ledger: psycopg.Connection[Any]) -> None:
    ledger.execute("insert into ops.build (state) values ('failed')")
    since = database.now(ledger)
    assert progress.build(ledger, since) is None
    ledger.execute("insert into ops.build (state) values ('building')")
    found = progress.build(ledger, since)
    assert found is not None
    assert found.step == "build"


def test_of_a_batchs_checks_those_are_shown_that_did_not_pass(ledger: psycopg.Connection[Any]) -> None:
    held = _batch(ledger, "finance.accounts", "held", held_reason="few rows")
    for name, outcome in (("rows_plausible", "fail"), ("names_known", "pass"), ("codes_known", "error")):
        ledger.execute(
            "insert into quality.check_result (source, check_id, dimension, severity, description, outcome, dataset, batch_id,"
            " evaluated) values ('structure', %s, 'coverage', 'critical', 'x', %s, 'finance.accounts', %s, 1)",
            (name, outcome, held),
        )
    assert [row["check_id"] for row in service_status.batch(ledger, held).failed_checks] == [
        "codes_known",
        "rows_plausible",
    ]


def test_status_is_1_when_something_failed_although_everything_runs() -> None:
    late = service_status.Finding("late", "never loaded", ["hr.people"], "./citydata run hr.people")
    failed = service_status.Finding("failed", "no answer", ["hr.people"], "./citydata run hr.people")
    assert service_status.Status({"database": True}, findings=[late]).exit_code == 3
    assert service_status.Status({"database": True}, findings=[late, failed]).exit_code == 1
    assert service_status.Status({"database": False}).exit_code == 1
    assert service_status.Status({"database": True}).exit_code == 0


def test_status_is_3_when_only_something_waits_for_a_person(
    ledger: psycopg.Connection[Any], platform: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (platform / "secrets.env").touch()
    monkeypatch.setattr(Installation, "needs_cluster", False)
    monkeypatch.setattr("citydata.service.airflow.Airflow.running", lambda self: {"airflow-scheduler": True})
    for service in SERVICES:  # none is synthetic
        monkeypatch.setenv(f"CITYDATA_SOURCE_{service.upper()}", "http://127.0.0.1:1")
    for name in contract.load_all():
        _batch(ledger, name, "published")
    assert service_status.status(Installation()).exit_code == 0
    _batch(ledger, "finance.accounts", "held", held_reason="looks wrong")
    assert service_status.status(Installation()).exit_code == 3


def test_a_change_is_answered_by_a_build_that_began_after_it(ledger: psycopg.Connection[Any]) -> None:
    _batch(ledger, "finance.accounts", "published", extracted=1, inserted=1)
    assert not progress.is_answered(ledger)
    ledger.execute("insert into ops.build (state) values ('building')")
    assert not progress.is_answered(ledger)
    ledger.execute("update ops.build set state = 'failed'")
    assert progress.is_answered(ledger)
    _batch(ledger, "finance.accounts", "published", extracted=1, unchanged=1)
    assert progress.is_answered(ledger)
    _batch(ledger, "finance.accounts", "published", extracted=1, inserted=1)
    assert not progress.is_answered(ledger)


def test_a_batch_is_shown_with_its_reasons_and_no_value(ledger: psycopg.Connection[Any]) -> None:
    held = _batch(
        ledger, "finance.accounts", "held", extracted=2, landed=1, quarantined=1, held=1, held_reason="few rows"
    )
    ledger.execute(
        "insert into quarantine.finance (dataset, batch_id, row_number, reasons, row) values"
        " ('finance.accounts', %s, 1, '{finance.accounts.account.format}', '{\"account\": \"a very private value\"}')",
        (held,),
    )
    view = service_status.batch(ledger, held)
    assert view.reasons == [{"reason": "finance.accounts.account.format", "state": "open", "rows": 1}]
    assert view.commands == [f"./citydata batch {verb} {held} --reason '…'" for verb in ("release", "reject")]
    assert "a very private value" not in str(view)
