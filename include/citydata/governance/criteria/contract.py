"""C11: the contract is valid and active, and neither the database nor the source has drifted away from it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from citydata.governance.criteria import by_contract
from citydata.governance.evidence import Case, Evidence, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C11"
NAMED = 5


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The contract itself, its table, and the last look at the source."""
    return by_contract.each(CRITERION, dataset, case, lambda state: list(_contract(state, case)))


def _contract(state: Loaded, case: Case) -> Iterator[Evidence]:
    entry = state.contract
    file = f"include/contracts/{entry.system}/{entry.name}.yaml"
    problems = state.contract_problems
    yield _row(
        state,
        case,
        reason="C11.invalid" if problems else "C11.valid",
        found=problems,
        looked_at="; ".join(problems[:NAMED]) or file,
        unit="problems",
    )
    inactive = entry.status != "active"
    yield _row(
        state,
        case,
        reason="C11.not_active" if inactive else "C11.active",
        found=(entry.status,) if inactive else (),
        looked_at=f"{file}: status {entry.status}",
        unit="problems",
    )
    if state.physical_columns:
        differing = _differences(state)
        yield _row(
            state,
            case,
            reason="C11.table_differs" if differing else "C11.table",
            found=differing,
            looked_at=f"{entry.raw_table}: {_first(differing)}" if differing else entry.raw_table,
            unit="columns",
        )
    else:
        yield by_contract.unknown(
            CRITERION, case, subject=entry.dataset, reason="C11.no_table", looked_at=entry.raw_table
        )
    yield _source(state, case)


def _differences(state: Loaded) -> tuple[str, ...]:
    """Columns that the table has and the contract has not, the other way round, and those of another type."""
    wanted, present = state.contract.table_columns, state.physical_columns
    return (
        *(f"+{name}" for name in sorted(present.keys() - wanted.keys())),
        *(f"-{name}" for name in sorted(wanted.keys() - present.keys())),
        *(
            f"{name} {present[name]} ≠ {wanted[name]}"
            for name in sorted(wanted.keys() & present.keys())
            if present[name] != wanted[name]
        ),
    )


def _source(state: Loaded, case: Case) -> Evidence:
    name, seen = state.contract.dataset, state.source_schema
    if seen is None:
        return by_contract.unknown(
            CRITERION, case, subject=name, reason="C11.source_not_seen", looked_at="ops.batch: source.columns"
        )
    differing = (*(f"+{column}" for column in seen.added), *(f"-{column}" for column in seen.missing))
    row = f"ops.batch {seen.batch_id}"
    return _row(
        state,
        case,
        reason="C11.source_differs" if differing else "C11.source",
        found=differing,
        looked_at=f"{row}: {_first(differing)}" if differing else row,
        unit="columns",
        observed_at=seen.observed_at,
        run=f"batch {seen.batch_id}",
    )


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")


def _row(
    state: Loaded, case: Case, *, reason: str, found: tuple[str, ...], looked_at: str, unit: str, **values: Any
) -> Evidence:
    """A row that fails for whatever was found, of which there must be nothing."""
    row: dict[str, Any] = {
        "criterion": CRITERION,
        "result": "fail" if found else "pass",
        "reason": reason,
        "subject": state.contract.dataset,
        "figure": Decimal(len(found)),
        "threshold": Decimal(0),
        "unit": unit,
        "looked_at": looked_at,
        "source": "Open Data Contract Standard 3.1",
        "observed_at": state.observed_at,
        "expires_at": state.observed_at + case.method.measurement,
    }
    return Evidence(**row | values)
