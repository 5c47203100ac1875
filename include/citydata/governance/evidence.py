"""Evidence: for each criterion of a dataset what was looked at, what was found, by which measure, until when it holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from citydata.contract import Contract
from citydata.governance.inventory import Dataset, Inventory
from citydata.governance.method import Method

LEVELS: dict[int, tuple[str, ...]] = {
    1: ("C1", "C2"),
    2: ("C3", "C4", "C5", "C6"),
    3: ("C7", "C8", "C9", "C10"),
    4: ("C11", "C12", "C13", "C14"),
}
"""The criteria that each level adds: kuvattu, vastuutettu ja luokiteltu, hallittu, valvottu."""
CRITERIA = tuple(name for names in LEVELS.values() for name in names)
GOVERNED = 3
NEEDED = tuple(name for number, names in LEVELS.items() if number <= GOVERNED for name in names)
"""Criteria without which a dataset is not governed."""
RESULTS = ("pass", "fail", "not_applicable", "unknown")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One row of evidence. It counts while `result` is pass or not_applicable and it has not expired.

    `reason` is a code whose text in three languages is in `reasons/`; `subject` is the part of the dataset it is about (a
    contract, a person's office, a column), empty for the whole. `figure` and `threshold` are in `unit`. `looked_at` names the
    table, file or record; `source` the law or rule; `run` the batch, build or review that made it. No values of the data.
    """

    criterion: str
    result: str
    reason: str
    looked_at: str
    source: str
    observed_at: datetime
    expires_at: datetime
    subject: str = ""
    figure: Decimal | None = None
    threshold: Decimal | None = None
    unit: str | None = None
    run: str | None = None
    manual: bool = False

    def __post_init__(self) -> None:
        if self.result not in RESULTS or self.criterion not in CRITERIA:
            raise ValueError(f"evidence {self.criterion} {self.reason}: {self.result} is none of {', '.join(RESULTS)}")

    def counts(self, now: datetime) -> bool:
        """Whether it counts for its criterion at a moment. Unknown, missing and expired count as failed."""
        return self.result in ("pass", "not_applicable") and now < self.expires_at


def passed(rows: Iterable[Evidence], now: datetime) -> set[str]:
    """Criteria of a dataset for which there is evidence and all of it counts."""
    by_criterion: dict[str, list[Evidence]] = {}
    for row in rows:
        by_criterion.setdefault(row.criterion, []).append(row)
    return {name for name, found in by_criterion.items() if all(row.counts(now) for row in found)}


def level(criteria: set[str]) -> int:
    """The level that a dataset has reached: all or nothing, each on top of those below it."""
    reached = 0
    for number, needed in LEVELS.items():
        if not criteria.issuperset(needed):
            break
        reached = number
    return reached


# -- what rules are given --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PersonState:
    """What HR says of a person: employed or not, None when HR does not know the number; `checked_at` is HR's last batch."""

    active: bool | None
    checked_at: datetime
    batch_id: int


@dataclass(frozen=True)
class Attestation:
    """An officer's signature under the content of a dataset. `genuine` says whether the signature is the person's."""

    attestation_id: int
    dataset: str
    content_sha256: str
    signed_by: str
    signed_at: datetime
    genuine: bool


@dataclass(frozen=True)
class Grant:
    """A right to read that the database has given: to a role on a table, or on one column of it."""

    schema: str
    table: str
    column: str | None
    grantee: str
    privilege: str


@dataclass(frozen=True)
class CheckState:
    """The newest result of a check within the method's period."""

    outcome: str
    evaluated: int
    checked_at: datetime
    batch_id: int | None
    build_id: int | None


@dataclass(frozen=True)
class SuiteState:
    """A suite: its checks with their dimensions, and for each check whether its canary proved it, and when."""

    sha256: str
    dimensions: Mapping[str, str]
    proven: Mapping[str, bool]
    proven_at: datetime | None


@dataclass(frozen=True)
class CriticalFailure:
    """A critical check that fails and waits for a person since a moment."""

    check_id: str
    since: datetime
    run: str


@dataclass(frozen=True)
class SourceSchema:
    """How the source's columns differed from the contract's when it was last read. `missing` and `added` are their names."""

    batch_id: int
    observed_at: datetime
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The way of a dataset's last published batch: each step that was found, from archive to mart.

    `broken` names the first step that is not there; None when the way is complete.
    """

    steps: tuple[str, ...]
    marts: tuple[str, ...]
    batch_id: int | None
    build_id: int | None
    release_id: int | None
    run_id: str | None
    broken: str | None


@dataclass(frozen=True)
class RetentionRun:
    """The last run of the retention job over a dataset and how many rows were overdue after it."""

    ran_at: datetime
    overdue: int
    run_id: str


@dataclass(frozen=True)
class Loaded:
    """What the platform itself shows of a dataset that it loads, read at `observed_at`."""

    contract: Contract
    observed_at: datetime
    contract_problems: tuple[str, ...] = ()
    physical_columns: Mapping[str, str] = field(default_factory=dict)
    source_schema: SourceSchema | None = None
    unexpected_grants: tuple[Grant, ...] | None = None  # None: the table does not exist
    grants_seen: int = 0
    suite: SuiteState | None = None
    suite_problem: str | None = None
    checks: Mapping[str, CheckState] = field(default_factory=dict)
    last_audit_at: datetime | None = None
    last_load_at: datetime | None = None
    last_batch_id: int | None = None
    critical_failures: tuple[CriticalFailure, ...] = ()
    lineage: Lineage | None = None
    retention: RetentionRun | None = None
    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Case:
    """Everything that a rule may look at. Rules ask nothing else, so they are the same for every day and every town."""

    inventory: Inventory
    method: Method
    now: datetime
    people: Mapping[str, PersonState] = field(default_factory=dict)  # by employee number
    loaded: Mapping[str, Loaded] = field(default_factory=dict)  # by contract
    attestations: Mapping[str, Attestation] = field(default_factory=dict)  # the newest by dataset
    content: Mapping[str, str] = field(default_factory=dict)  # hash of what an attestation covers, today, by dataset

    def states(self, dataset: Dataset) -> list[Loaded]:
        """What the platform shows of the contracts of a dataset; a contract that it cannot show is missing."""
        return [self.loaded[name] for name in dataset.contracts if name in self.loaded]
