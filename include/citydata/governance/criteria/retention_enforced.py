"""C14: the job that enforces retention has run, and left no row whose time is over."""

from decimal import Decimal

from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, Evidence, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C14"


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The last run of the job over each contract."""
    return by_contract.each(CRITERION, dataset, case, lambda state: [_run(state, case)])


def _run(state: Loaded, case: Case) -> Evidence:
    name, run = state.contract.dataset, state.retention
    if run is None:
        return by_contract.unknown(
            CRITERION, case, subject=name, reason="C14.never_ran", looked_at=state.contract.raw_table
        )
    until = run.ran_at + case.method.retention
    old = case.now >= until
    return Evidence(
        criterion=CRITERION,
        result="fail" if old or run.overdue else "pass",
        reason="C14.overdue" if run.overdue else "C14.ran_too_long_ago" if old else "C14.enforced",
        subject=name,
        figure=Decimal(run.overdue),
        threshold=Decimal(0),
        unit="rows",
        looked_at=state.contract.raw_table,
        source="906/2019 21 §",
        observed_at=run.ran_at,
        expires_at=until,
        run=run.run_id,
    )
