"""What the criteria about loaded datasets share: one look at each contract, and what is said where nothing can be seen."""

from collections.abc import Callable
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
