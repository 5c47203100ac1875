"""C13: the way of the data is known from its archive to a mart, with the run that made it."""

from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, Evidence, Lineage, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C13"


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The way of each contract's last released batch."""
    return by_contract.each(CRITERION, dataset, case, lambda state: [_way(state, case)])


def _way(state: Loaded, case: Case) -> Evidence:
    name, way = state.contract.dataset, state.lineage
    if way is None:
        return by_contract.unknown(
            CRITERION, case, subject=name, reason="any.no_measurement", looked_at=f"contract {name}"
        )
    # A way that nobody walked is not complete.
    broken = way.broken or (None if way.steps else state.contract.raw_table)
    return Evidence(
        criterion=CRITERION,
        result="fail" if broken else "pass",
        reason="C13.broken" if broken else "C13.complete",
        subject=name,
        looked_at=broken or " → ".join(way.steps),
        source="ISO/IEC 25012: traceability",
        observed_at=state.observed_at,
        expires_at=state.observed_at + case.method.measurement,
        run=_run(way),
    )


def _run(way: Lineage) -> str | None:
    parts = (("batch", way.batch_id), ("build", way.build_id), ("release", way.release_id), ("run", way.run_id))
    return ", ".join(f"{word} {value}" for word, value in parts if value is not None) or None
