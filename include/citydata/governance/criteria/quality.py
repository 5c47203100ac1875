"""C9: the last audit is inside its window, and no critical failure has waited longer than it may."""

from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, CriticalFailure, Evidence, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C9"


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The last audit of each contract and what failed critically."""
    return by_contract.each(CRITERION, dataset, case, lambda state: [_audit(state, case), *_failures(state, case)])


def _audit(state: Loaded, case: Case) -> Evidence:
    codes = {"never": "C9.never_audited", "kept": "C9.audited", "late": "C9.audit_too_old"}
    return by_contract.in_time(CRITERION, state, case, state.last_audit_at, **codes)


def _failures(state: Loaded, case: Case) -> list[Evidence]:
    if state.critical_failures:
        return [_failure(state, failure, case) for failure in state.critical_failures]
    return [
        Evidence(
            criterion=CRITERION,
            result="pass",
            reason="C9.no_critical_failure",
            subject=state.contract.dataset,
            looked_at="ops.batch, ops.release_group",
            source="method: deadline of critical failures",
            observed_at=state.observed_at,
            expires_at=state.observed_at + case.method.measurement,
        )
    ]


def _failure(state: Loaded, failure: CriticalFailure, case: Case) -> Evidence:
    deadline = failure.since + case.method.critical_failure
    late = case.now >= deadline
    return Evidence(
        criterion=CRITERION,
        result="fail" if late else "pass",
        reason="C9.critical_failure_too_old" if late else "C9.critical_failure",
        subject=f"{state.contract.dataset}: {failure.check_id}",
        figure=by_contract.hours(failure.since, case.now),
        threshold=by_contract.hours(failure.since, deadline),
        unit="h",
        looked_at="quality.check_result",
        source="method: deadline of critical failures",
        observed_at=failure.since,
        # What waits holds until its deadline; what is over it is looked at again at the next measurement.
        expires_at=case.now + case.method.measurement if late else deadline,
        run=failure.run,
    )
