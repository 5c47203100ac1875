"""What the criteria about loaded datasets share: one look at each contract, and what is said where nothing can be seen."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from citydata.governance.evidence import Case, Evidence, Loaded
from citydata.governance.inventory import Dataset

Look = Callable[[Loaded], list[Evidence]]


def each(criterion: str, dataset: Dataset, case: Case, look: Look) -> list[Evidence]:
    """Evidence of each contract of a dataset. A dataset that has none is not known to fulfil the criterion."""
    if not dataset.contracts:
        return [
            unknown(criterion, case, reason=f"{criterion}.not_loaded", looked_at=f"include/inventory: {dataset.id}")
        ]
    rows: list[Evidence] = []
    for name in dataset.contracts:
        if name in case.loaded:
            rows += look(case.loaded[name])
        else:
            rows.append(
                unknown(criterion, case, subject=name, reason="any.no_measurement", looked_at=f"contract {name}")
            )
    return rows


def hours(since: datetime, now: datetime) -> Decimal:
    """Hours between two moments, with one decimal."""
    return round(Decimal((now - since).total_seconds()) / 3600, 1)


def in_time(
    criterion: str, state: Loaded, case: Case, last: datetime | None, *, never: str, kept: str, late: str
) -> Evidence:
    """Whether something last happened within the latency that the contract promises; the codes say what it was."""
    until = last + timedelta(hours=state.contract.sla_hours) if last else None
    holds = until is not None and case.now < until
    return Evidence(
        criterion=criterion,
        result="pass" if holds else "fail",
        reason=never if until is None else kept if holds else late,
        subject=state.contract.dataset,
        figure=hours(last, case.now) if last else None,
        threshold=Decimal(str(state.contract.sla_hours)),
        unit="h",
        looked_at="ops.batch, ops.arrival",
        source="contract: slaProperties latency",
        observed_at=last or state.observed_at,
        expires_at=until or state.observed_at + case.method.measurement,
        run=f"batch {state.last_batch_id}" if state.last_batch_id else None,
    )


def unknown(criterion: str, case: Case, **values: Any) -> Evidence:
    """A row that says that nothing is known."""
    row: dict[str, Any] = {
        "criterion": criterion,
        "result": "unknown",
        "source": f"method {case.method.version}",
        "observed_at": case.now,
        "expires_at": case.now + case.method.measurement,
    }
    return Evidence(**row | values)
