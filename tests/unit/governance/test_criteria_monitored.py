"""C11 to C14: the contract holds, data comes as promised, its way is known, and what is over is gone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from citydata.governance import criteria, reasons
from citydata.governance.evidence import Case, Evidence, Lineage, RetentionRun, SourceSchema
from citydata.governance.method import CURRENT
from tests.unit.governance import cases
from tests.unit.governance.cases import CONTRACT, LOADED, NOW, OFFICER, UNLOADED

MONITORED = ["C11", "C12", "C13", "C14"]


def judged(criterion: str, case: Case, subject: str = LOADED) -> list[Evidence]:
    """Evidence of one criterion of a dataset, by the way that every measurement takes."""
    rows = [row for row in criteria.judge(case.inventory.datasets[subject], case) if row.criterion == criterion]
    for row in rows:
        for language in reasons.LANGUAGES:
            assert "{" not in reasons.text(row, language)
    return rows


def failing(criterion: str, subject: str = LOADED, **changes: Any) -> list[tuple[str, str, str]]:
    """What does not count now in the passing case with other facts."""
    case = cases.case(loaded=cases.loaded(**changes))
    return cases.results(row for row in judged(criterion, case, subject) if not row.counts(case.now))


@pytest.mark.parametrize("criterion", MONITORED)
def test_a_dataset_with_everything_in_order_passes_until_it_is_measured_no_more(criterion: str) -> None:
    assert failing(criterion) == []
    rows = judged(criterion, cases.case())
    assert rows
    assert not any(row.counts(NOW + CURRENT.retention) for row in rows)


@pytest.mark.parametrize("criterion", MONITORED)
def test_a_dataset_that_is_not_loaded_cannot_be_monitored(criterion: str) -> None:
    assert failing(criterion, UNLOADED) == [("unknown", f"{criterion}.not_loaded", "")]


@pytest.mark.parametrize("criterion", MONITORED)
def test_a_contract_that_the_platform_cannot_show_is_not_known(criterion: str) -> None:
    rows = judged(criterion, replace(cases.case(), loaded={}))
    assert cases.results(rows) == [("unknown", "any.no_measurement", CONTRACT)]


@pytest.mark.parametrize("criterion", MONITORED)
def test_an_approved_waiver_takes_the_place_of_evidence(criterion: str) -> None:
    case = cases.with_inventory(cases.case(), not_applicable=(cases.waiver(criterion, UNLOADED),))
    assert cases.results(judged(criterion, case, UNLOADED)) == [("not_applicable", "any.not_applicable", OFFICER)]


# -- C11 -------------------------------------------------------------------------------------------------------------

COLUMNS = {"business_id": "text", "name": "text", "municipality": "text"}


@pytest.mark.parametrize(
    ("changes", "reason", "figure", "named"),
    [
        ({"contract_problems": ("a:1: wrong", "a:2: wrong")}, "C11.invalid", 2, "a:1: wrong"),
        ({"contract": cases.contract(status="draft")}, "C11.not_active", 1, "draft"),
        ({"physical_columns": COLUMNS | {"extra": "text"}}, "C11.table_differs", 1, "+extra"),
        ({"physical_columns": {"name": "text"}}, "C11.table_differs", 2, "-business_id, -municipality"),
        ({"physical_columns": COLUMNS | {"name": "integer"}}, "C11.table_differs", 1, "name integer ≠ text"),
        ({"source_schema": SourceSchema(8, NOW, added=("iban",))}, "C11.source_differs", 1, "+iban"),
        ({"source_schema": SourceSchema(8, NOW, missing=("name",))}, "C11.source_differs", 1, "-name"),
    ],
)
def test_contract_table_and_source_agree(changes: dict[str, Any], reason: str, figure: int, named: str) -> None:
    case = cases.case(loaded=cases.loaded(**changes))
    [row] = [row for row in judged("C11", case) if not row.counts(NOW)]
    assert (row.result, row.reason, row.subject, row.figure) == ("fail", reason, CONTRACT, figure)
    assert named in row.looked_at


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"physical_columns": {}}, "C11.no_table"), ({"source_schema": None}, "C11.source_not_seen")],
)
def test_what_could_not_be_compared_is_not_known(changes: dict[str, Any], reason: str) -> None:
    assert failing("C11", **changes) == [("unknown", reason, CONTRACT)]


# -- C12 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (NOW - timedelta(hours=29, minutes=59), []),
        (NOW - timedelta(hours=30), [("fail", "C12.late", CONTRACT)]),
        (None, [("fail", "C12.never_loaded", CONTRACT)]),
    ],
)
def test_the_last_load_keeps_the_promise(last: Any, expected: list[tuple[str, str, str]]) -> None:
    assert failing("C12", last_load_at=last) == expected


def test_a_load_expires_with_the_promise() -> None:
    [row] = judged("C12", cases.case())
    assert (row.figure, row.threshold, row.expires_at) == (2, 30, NOW + timedelta(hours=28))


# -- C13 -------------------------------------------------------------------------------------------------------------


def way(**changes: Any) -> Lineage:
    found = cases.loaded().lineage
    assert found
    return replace(found, **changes)


def test_the_way_is_told_with_the_run_that_made_it() -> None:
    [row] = judged("C13", cases.case())
    assert row.looked_at == "archive → landing → raw → staging → mart"
    assert row.run == "batch 7, build 3, release 2, run scheduled__2026-06-15"


@pytest.mark.parametrize("lineage", [way(broken="staging.stg_finance__suppliers"), way(steps=())])
def test_a_way_that_breaks_off_is_none(lineage: Lineage) -> None:
    assert failing("C13", lineage=lineage) == [("fail", "C13.broken", CONTRACT)]


def test_a_way_that_nobody_looked_for_is_not_known() -> None:
    assert failing("C13", lineage=None) == [("unknown", "any.no_measurement", CONTRACT)]


# -- C14 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (None, [("unknown", "C14.never_ran", CONTRACT)]),
        (RetentionRun(NOW - timedelta(hours=6), 1, "r"), [("fail", "C14.overdue", CONTRACT)]),
        (RetentionRun(NOW - CURRENT.retention, 0, "r"), [("fail", "C14.ran_too_long_ago", CONTRACT)]),
        (RetentionRun(NOW - CURRENT.retention + timedelta(hours=1), 0, "r"), []),
    ],
)
def test_the_job_ran_and_left_nothing_that_is_over(
    run: RetentionRun | None, expected: list[tuple[str, str, str]]
) -> None:
    assert failing("C14", retention=run) == expected
