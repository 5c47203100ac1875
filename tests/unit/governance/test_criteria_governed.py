"""C7 to C9: rights as the classification says and reviewed, checks that exist, ran and can fail, quality that holds."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from citydata.governance import criteria, reasons
from citydata.governance.evidence import (
    Case,
    CheckState,
    CriticalFailure,
    Evidence,
    Grant,
    Loaded,
    SuiteState,
)
from citydata.governance.inventory import AccessReview
from citydata.governance.method import CURRENT
from tests.unit.governance import cases
from tests.unit.governance.cases import CONTRACT, LOADED, NOW, OFFICER, OTHER, OWNER, STEWARD, UNLOADED

LEAKED = Grant("raw", "finance__suppliers", "name", "PUBLIC", "SELECT")
CHECK = f"{CONTRACT}.uniqueness"


def judged(criterion: str, case: Case, subject: str = LOADED) -> list[Evidence]:
    """Evidence of one criterion of a dataset, by the way that every measurement takes."""
    rows = [row for row in criteria.judge(case.inventory.datasets[subject], case) if row.criterion == criterion]
    for row in rows:
        for language in reasons.LANGUAGES:
            assert "{" not in reasons.text(row, language)
    return rows


def failing(criterion: str, case: Case, subject: str = LOADED) -> list[tuple[str, str, str]]:
    """What does not count now."""
    return cases.results(row for row in judged(criterion, case, subject) if not row.counts(case.now))


def of(**changes: Any) -> Case:
    """The passing case with other facts."""
    return cases.case(loaded=cases.loaded(**changes))


@pytest.mark.parametrize("criterion", ["C7", "C8", "C9"])
def test_a_dataset_with_everything_in_order_passes(criterion: str) -> None:
    rows = judged(criterion, cases.case())
    assert rows
    assert failing(criterion, cases.case()) == []


@pytest.mark.parametrize("criterion", ["C7", "C8", "C9"])
def test_what_nobody_measures_again_expires(criterion: str) -> None:
    later = NOW + CURRENT.access_review
    assert all(row.expires_at <= later for row in judged(criterion, cases.case()))


@pytest.mark.parametrize("criterion", ["C7", "C8", "C9"])
def test_an_approved_waiver_takes_the_place_of_evidence(criterion: str) -> None:
    case = cases.with_inventory(of(suite=None), not_applicable=(cases.waiver(criterion),))
    assert cases.results(judged(criterion, case)) == [("not_applicable", "any.not_applicable", OFFICER)]


@pytest.mark.parametrize("criterion", ["C7", "C8", "C9"])
def test_a_contract_that_the_platform_cannot_show_is_not_known(criterion: str) -> None:
    case = replace(cases.case(), loaded={})
    assert ("unknown", "any.no_measurement", CONTRACT) in failing(criterion, case)


@pytest.mark.parametrize("criterion", ["C7", "C8", "C9"])
def test_a_dataset_that_is_not_loaded_needs_a_document(criterion: str) -> None:
    assert failing(criterion, cases.case(), UNLOADED) == []
    without = cases.with_inventory(cases.case(), manual_evidence=())
    assert failing(criterion, without, UNLOADED) == [("unknown", "any.not_loaded_and_not_documented", "")]


def test_every_contract_of_a_dataset_is_looked_at() -> None:
    both = cases.dataset(contracts=[CONTRACT, "finance.accounts"])
    other = cases.loaded(contract=cases.contract(name="accounts"), unexpected_grants=(LEAKED,))
    case = cases.case(both, loaded={CONTRACT: cases.loaded(), "finance.accounts": other})
    assert failing("C7", case) == [("fail", "C7.unexpected_rights", "finance.accounts")]


# -- C7 --------------------------------------------------------------------------------------------------------------


def test_an_unexpected_right_is_named_and_counted() -> None:
    case = of(unexpected_grants=(LEAKED, LEAKED))
    [row] = [row for row in judged("C7", case) if row.result == "fail"]
    assert (row.reason, row.subject, row.figure, row.threshold) == ("C7.unexpected_rights", CONTRACT, 2, 0)
    assert "SELECT raw.finance__suppliers (name) → PUBLIC" in row.looked_at


@pytest.mark.parametrize("changes", [{"unexpected_grants": None}, {"grants_seen": 0}])
def test_rights_that_nobody_compared_are_not_known(changes: dict[str, Any]) -> None:
    assert failing("C7", of(**changes)) == [("unknown", "C7.not_compared", CONTRACT)]


def reviews(*rows: tuple[str, date, list[str]]) -> Case:
    found = {
        str(number): AccessReview(
            id=str(number), datasets=names, reviewer=who, reviewed_on=day, document="TIHA 13/2026"
        )
        for number, (who, day, names) in enumerate(rows)
    }
    case = cases.case()
    return replace(case, inventory=replace(case.inventory, access_reviews=found))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], [("fail", "C7.never_reviewed", "")]),
        ([(OTHER, date(2026, 6, 1), [UNLOADED])], [("fail", "C7.never_reviewed", "")]),
        ([(OWNER, date(2026, 6, 1), [LOADED])], [("fail", "any.reviewer_is_owner", OWNER)]),
        ([(STEWARD, date(2026, 6, 1), [LOADED])], [("fail", "any.reviewer_is_owner", STEWARD)]),
        ([(OTHER, date(2026, 6, 16), [LOADED])], [("fail", "any.dated_in_the_future", OTHER)]),
        ([(OTHER, date(2025, 6, 15), [LOADED])], [("pass", "C7.reviewed", OTHER)]),  # expired
        ([(OTHER, date(2025, 6, 16), [LOADED])], []),
        # Somebody else's older review counts while it holds, whatever the owner wrote later.
        ([(OTHER, date(2026, 1, 9), [LOADED]), (OWNER, date(2026, 6, 1), [LOADED])], []),
    ],
)
def test_somebody_else_reviewed_the_access_within_a_year(
    rows: list[tuple[str, date, list[str]]], expected: list[tuple[str, str, str]]
) -> None:
    assert failing("C7", reviews(*rows)) == expected


# -- C8 --------------------------------------------------------------------------------------------------------------


def suite(**changes: Any) -> SuiteState:
    found = cases.loaded().suite
    assert found
    return replace(found, **changes)


def states(check: CheckState | None) -> dict[str, CheckState]:
    """The passing states, with that of CHECK replaced or taken away."""
    found: dict[str, CheckState | None] = {**cases.loaded().checks, CHECK: check}
    return {name: state for name, state in found.items() if state}


def state(**changes: Any) -> CheckState:
    return replace(CheckState("pass", 100, NOW - timedelta(hours=2), 7, None), **changes)


@pytest.mark.parametrize("nothing", [None, suite(dimensions={})])
def test_a_suite_without_checks_is_none(nothing: SuiteState | None) -> None:
    case = of(suite=nothing, suite_problem="expectations/x.json: not JSON")
    [row] = judged("C8", case)
    assert (row.result, row.reason, row.looked_at) == ("fail", "C8.no_suite", "expectations/x.json: not JSON")


def test_every_dimension_of_the_kind_is_covered() -> None:
    dimensions = {**suite().dimensions, CHECK: "completeness"}
    assert failing("C8", of(suite=suite(dimensions=dimensions))) == [
        ("fail", "C8.dimension_missing", f"{CONTRACT}: uniqueness")
    ]


def test_punctuality_is_looked_at_of_what_was_ever_loaded() -> None:
    assert failing("C8", of(last_load_at=None)) == [("fail", "C8.dimension_missing", f"{CONTRACT}: punctuality")]
    assert failing("C8", of(last_load_at=NOW - timedelta(days=400))) == []


@pytest.mark.parametrize(
    "found", [None, state(outcome="error"), state(evaluated=0), state(outcome="fail", evaluated=0)]
)
def test_a_check_that_judged_nothing_is_not_evaluated(found: CheckState | None) -> None:
    case = of(checks=states(check=found))
    [row] = [row for row in judged("C8", case) if row.result != "pass"]
    assert (row.reason, row.figure, row.threshold) == ("C8.not_evaluated", 6, 7)
    assert CHECK in row.looked_at


def test_a_failed_check_was_evaluated() -> None:
    assert failing("C8", of(checks=states(check=state(outcome="fail")))) == []


def test_the_oldest_evaluation_says_until_when_it_counts() -> None:
    day = timedelta(days=1)
    assert failing("C8", of(checks=states(check=state(checked_at=NOW - CURRENT.checks + day)))) == []
    old = states(check=state(checked_at=NOW - CURRENT.checks))
    assert failing("C8", of(checks=old)) == [("pass", "C8.evaluated", CONTRACT)]
    yearly = cases.loaded(contract=cases.contract(sla_hours=400 * 24.0), checks=old)
    assert failing("C8", cases.case(loaded=yearly)) == []


@pytest.mark.parametrize("proven", [{CHECK: False}, {}])
def test_a_check_whose_canary_lives_cannot_fail(proven: dict[str, bool]) -> None:
    others = {name: True for name in suite().proven if name != CHECK}
    [row] = [row for row in judged("C8", of(suite=suite(proven=others | proven))) if row.result != "pass"]
    assert (row.result, row.reason, row.figure, row.threshold) == ("fail", "C8.cannot_fail", 6, 7)
    assert CHECK in row.looked_at


def test_the_proof_holds_a_month() -> None:
    assert failing("C8", of(suite=suite(proven_at=NOW - CURRENT.canaries))) == [("pass", "C8.canaries", CONTRACT)]
    assert failing("C8", of(suite=suite(proven={}, proven_at=None))) == [("unknown", "C8.canaries_not_tried", CONTRACT)]


# -- C9 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audited", "expected"),
    [
        (NOW - timedelta(hours=29, minutes=59), []),
        (NOW - timedelta(hours=30), [("fail", "C9.audit_too_old", CONTRACT)]),
        (None, [("fail", "C9.never_audited", CONTRACT)]),
    ],
)
def test_the_last_audit_is_within_the_window_of_the_contract(
    audited: Any, expected: list[tuple[str, str, str]]
) -> None:
    assert failing("C9", of(last_audit_at=audited)) == expected


def test_an_audit_expires_with_its_window() -> None:
    [audit, _] = judged("C9", cases.case())
    assert (audit.figure, audit.threshold, audit.expires_at) == (2, 30, NOW + timedelta(hours=28))


def waiting(hours: int) -> Loaded:
    return cases.loaded(critical_failures=(CriticalFailure(CHECK, NOW - timedelta(hours=hours), "batch 9"),))


def test_a_critical_failure_may_wait_for_days() -> None:
    young = cases.case(loaded=waiting(71))
    assert failing("C9", young) == []
    [_, row] = judged("C9", young)
    assert (row.reason, row.run, row.expires_at) == ("C9.critical_failure", "batch 9", NOW + timedelta(hours=1))
    old = cases.case(loaded=waiting(72))
    assert failing("C9", old) == [("fail", "C9.critical_failure_too_old", f"{CONTRACT}: {CHECK}")]
