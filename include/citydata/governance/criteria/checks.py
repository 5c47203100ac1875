"""C8: checks exist for every quality dimension, all of them were evaluated, and each has been shown able to fail."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from citydata.contract import Contract
from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, Evidence, Loaded, SuiteState
from citydata.governance.inventory import Dataset
from citydata.governance.method import Method

CRITERION = "C8"
SOURCE = "ISO/IEC 25012"
NAMED = 5


def window(entry: Contract, method: Method) -> timedelta:
    """How long the last evaluation of a check counts: a dataset that comes once a year is checked once a year."""
    return max(method.checks, timedelta(hours=entry.sla_hours))


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """Dimensions, evaluation and canaries of the suite of each contract."""
    return by_contract.each(CRITERION, dataset, case, lambda state: list(_suite(dataset, state, case)))


def _suite(dataset: Dataset, state: Loaded, case: Case) -> Iterator[Evidence]:
    name, suite = state.contract.dataset, state.suite
    if suite is None or not suite.dimensions:
        yield Evidence(
            criterion=CRITERION,
            result="fail",
            reason="C8.no_suite",
            subject=name,
            looked_at=state.suite_problem or f"{_file(state)}: no checks",
            source=SOURCE,
            observed_at=state.observed_at,
            expires_at=state.observed_at + case.method.measurement,
        )
        return
    yield from _dimensions(dataset, state, suite, case)
    yield _evaluated(state, suite, case)
    yield _canaries(state, suite, case)


def _file(state: Loaded) -> str:
    return f"expectations/{state.contract.system}/{state.contract.name}.json"


def _dimensions(dataset: Dataset, state: Loaded, suite: SuiteState, case: Case) -> Iterator[Evidence]:
    name = state.contract.dataset
    needed, covered = case.method.dimensions[dataset.kind], set(suite.dimensions.values())
    if state.last_load_at:
        covered.add("punctuality")  # every measurement looks at it: C12
    missing = sorted(needed - covered)
    for subject in [f"{name}: {dimension}" for dimension in missing] or [name]:
        yield Evidence(
            criterion=CRITERION,
            result="fail" if missing else "pass",
            reason="C8.dimension_missing" if missing else "C8.dimensions",
            subject=subject,
            figure=Decimal(len(needed & covered)),
            threshold=Decimal(len(needed)),
            unit="dimensions",
            looked_at=_file(state),
            source=SOURCE,
            observed_at=state.observed_at,
            expires_at=state.observed_at + case.method.measurement,
        )


def _evaluated(state: Loaded, suite: SuiteState, case: Case) -> Evidence:
    """An error, or a look at no elements, is no evaluation."""
    done = {
        check: found
        for check, found in state.checks.items()
        if check in suite.dimensions and found.outcome in ("pass", "fail") and found.evaluated > 0
    }
    missing = sorted(suite.dimensions.keys() - done.keys())
    oldest = min((found.checked_at for found in done.values()), default=state.observed_at)
    return Evidence(
        criterion=CRITERION,
        result="fail" if missing else "pass",
        reason="C8.not_evaluated" if missing else "C8.evaluated",
        subject=state.contract.dataset,
        figure=Decimal(len(done)),
        threshold=Decimal(len(suite.dimensions)),
        unit="checks",
        looked_at=f"quality.check_result: {_first(missing)}" if missing else "quality.check_result",
        source=SOURCE,
        observed_at=oldest,
        expires_at=oldest + window(state.contract, case.method),
        run=_run(state),
    )


def _run(state: Loaded) -> str | None:
    return f"batch {state.last_batch_id}" if state.last_batch_id else None


def _first(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")


def _canaries(state: Loaded, suite: SuiteState, case: Case) -> Evidence:
    unproven = sorted(check for check in suite.dimensions if not suite.proven.get(check))
    tried = suite.proven_at
    return Evidence(
        criterion=CRITERION,
        result="unknown" if tried is None else "fail" if unproven else "pass",
        reason="C8.canaries_not_tried" if tried is None else "C8.cannot_fail" if unproven else "C8.canaries",
        subject=state.contract.dataset,
        figure=Decimal(len(suite.dimensions) - len(unproven)),
        threshold=Decimal(len(suite.dimensions)),
        unit="checks",
        looked_at=f"governance.canary_result: {_first(unproven)}" if unproven else "governance.canary_result",
        source="method: a check must be able to fail",
        observed_at=tried or state.observed_at,
        expires_at=(tried + case.method.canaries) if tried else state.observed_at + case.method.measurement,
        run=suite.sha256,
    )
