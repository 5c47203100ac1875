"""C6: it is said how long data is kept, on what ground, from which moment, and what becomes of it (906/2019 21 §)."""

from citydata.governance.criteria import stated_in
from citydata.governance.criteria.description import is_said
from citydata.governance.evidence import Case, Evidence
from citydata.governance.inventory import Dataset, Retention

NOTHING = Retention()
_REASONS = {
    "period": ("C6.period", "C6.no_period"),
    "ground": ("C6.ground", "C6.no_ground"),
    "starts": ("C6.starts", "C6.no_start"),
    "then": ("C6.afterwards", "C6.nothing_afterwards"),
}
"""For each part of the rule the reason where it is said and where it is not."""


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """One row for each of the four parts: period, ground, start, and whether it is archived or destroyed."""
    said = dataset.retention or NOTHING
    rows = []
    for part, (there, missing) in _REASONS.items():
        value = getattr(said, part)
        passes = is_said(value)
        rows.append(
            Evidence(
                criterion="C6",
                result="pass" if passes else "fail",
                reason=there if passes else missing,
                subject=value if passes and part != "then" else "",
                looked_at=stated_in(dataset),
                source="906/2019 21 §",
                observed_at=case.now,
                expires_at=case.now + case.method.measurement,
            )
        )
    return rows
