"""C12: the source was last taken in within what the contract promises."""

from datetime import timedelta
from decimal import Decimal

from citydata.governance.criteria import by_contract
from citydata.governance.criteria.quality import hours
from citydata.governance.evidence import Case, Evidence, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C12"


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The last successful load of each contract. A source that said the same again is as fresh as one that changed."""
    return by_contract.each(CRITERION, dataset, case, lambda state: [_load(state, case)])


def _load(state: Loaded, case: Case) -> Evidence:
    promised, last = state.contract.sla_hours, state.last_load_at
    until = last + timedelta(hours=promised) if last else None
    return Evidence(
        criterion=CRITERION,
        result="pass" if until and case.now < until else "fail",
        reason="C12.never_loaded" if until is None else "C12.in_time" if case.now < until else "C12.late",
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
