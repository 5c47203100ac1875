"""C9: the last audit is inside its window, and no critical failure has waited longer than it may."""

from datetime import datetime, timedelta
from decimal import Decimal

from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, CriticalFailure, Evidence, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C9"


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The last audit of each contract and what failed critically."""
    return by_contract.each(CRITERION, dataset, case, lambda state: [_audit(state, case), *_failures(state, case)])


def hours(since: datetime, now: datetime) -> Decimal:
    """Hours between two moments, with one decimal."""
    return round(Decimal((now - since).total_seconds()) / 3600, 1)


def _audit(state: Loaded, case: Case) -> Evidence:
    promised, last = state.contract.sla_hours, state.last_audit_at
    until = last + timedelta(hours=promised) if last else None
    return Evidence(
        criterion=CRITERION,
        result="pass" if until and case.now < until else "fail",
        reason="C9.never_audited" if until is None else "C9.audited" if case.now < until else "C9.audit_too_old",
        subject=state.contract.dataset,
        figure=hours(last, case.now) if last else None,
        threshold=Decimal(str(promised)),
        unit="h",
        looked_at="ops.batch, ops.arrival",
        source="contract: slaProperties latency",
        observed_at=last or state.observed_at,
        expires_at=until or state.observed_at + case.method.measurement,
        run=f"batch {state.last_batch_id}" if state.last_batch_id else None,
    )


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
        figure=hours(failure.since, case.now),
        threshold=hours(failure.since, deadline),
        unit="h",
        looked_at="quality.check_result",
        source="method: deadline of critical failures",
        observed_at=failure.since,
        # What waits holds until its deadline; what is over it is looked at again at the next measurement.
        expires_at=case.now + case.method.measurement if late else deadline,
        run=failure.run,
    )
