"""The share: how many of the town's tietoaineistot are governed, out of how many, with bounds and views.

Pure arithmetic over judged datasets; `governance.snapshot` keeps what it says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from citydata.governance.evidence import CRITERIA, GOVERNED, LEVELS, NEEDED
from citydata.governance.inventory import Change, Exclusion, Inventory
from citydata.governance.method import Method

UNCOUNTED = ("vanished", "unlogged")
"""Why a dataset counts in the denominator and never in the numerator."""


@dataclass(frozen=True)
class Judged:
    """A registered dataset with the level it has reached and the criteria it lacks.

    `unit` is the tietoaineisto it belongs to: what is counted. `uncounted` says why it cannot count as governed: it vanished
    from the inventory without a decision, or came into it without one. `manual`: its level rests on documented evidence.
    """

    dataset: str
    unit: str
    name_fi: str
    name_sv: str
    system: str
    sector: str
    criticality: str
    personal_data: str
    level: int
    missing: tuple[str, ...]
    manual: bool = False
    uncounted: str | None = None
    owner: str | None = None
    steward: str | None = None
    contracts: tuple[str, ...] = ()
    rows: int | None = None
    bytes: int | None = None

    @property
    def counted_level(self) -> int:
        """The level that counts: none for a dataset that came or went without a decision."""
        return 0 if self.uncounted else self.level


@dataclass(frozen=True)
class Counts:
    """What the share is made of (governance method, “Denominator”).

    n governed and m registered datasets in scope, s mapped systems, u systems that are known but not mapped; `at_least`
    counts datasets by the level they have reached at least; `automatic` and `manual` are the parts of n.
    """

    n: int
    m: int
    s: int
    u: int
    at_least: Mapping[int, int]
    automatic: int
    manual: int

    @property
    def denominator(self) -> int:
        """Of the headline: an unmapped system is taken to hold as many datasets as a mapped one."""
        # Where nothing is mapped nothing is known of the others either: each counts as one.
        return self.m + self.u * (-(-self.m // self.s) if self.s else 1)

    @property
    def upper_denominator(self) -> int:
        """Of the upper bound: an unmapped system counts as one dataset."""
        return self.m + self.u

    @property
    def share(self) -> Decimal | None:
        """The headline, in percent: the lower bound."""
        return percentage(self.n, self.denominator)

    @property
    def upper_share(self) -> Decimal | None:
        """The upper bound, in percent."""
        return percentage(self.n, self.upper_denominator)


def percentage(n: int, denominator: int) -> Decimal | None:
    """floor(1000 · n / denominator) / 10: percent with one decimal, always rounded down; None when there is nothing."""
    return Decimal(1000 * n // denominator).scaleb(-1) if denominator else None


def units(judged: Iterable[Judged]) -> list[Judged]:
    """One entry for each tietoaineisto: of several with the same unit the weakest, lacking what any of them lacks."""
    members: dict[str, list[Judged]] = defaultdict(list)
    for entry in judged:
        members[entry.unit].append(entry)
    return [
        replace(
            min(found, key=lambda entry: (entry.counted_level, entry.dataset)),
            missing=tuple(dict.fromkeys(name for entry in found for name in entry.missing)),
            manual=any(entry.manual for entry in found),
        )
        for found in members.values()
    ]


def count(judged: Sequence[Judged], *, mapped: int, unmapped: int) -> Counts:
    """Count the units of `judged`, with the numbers of systems that are mapped and that are known but not mapped."""
    counted = units(judged)
    governed = [entry for entry in counted if entry.counted_level >= GOVERNED]
    manual = sum(entry.manual for entry in governed)
    return Counts(
        n=len(governed),
        m=len(counted),
        s=mapped,
        u=unmapped,
        at_least={level: sum(entry.counted_level >= level for entry in counted) for level in LEVELS},
        automatic=len(governed) - manual,
        manual=manual,
    )


@dataclass(frozen=True)
class View:
    """One line of a view: n governed of m datasets with this value; `share` is None where m is too small for one.

    Of the views in HELD, n and m count rows or bytes, and `share` is None when the platform holds none.
    """

    view: str
    value: str
    n: int
    m: int
    share: Decimal | None


VIEWS = ("sector", "system", "criticality", "personal_data")
HELD = ("rows", "bytes")


def views(judged: Sequence[Judged], method: Method) -> list[View]:
    """The share by sector, system, criticality, personal data, systems, rows and bytes.

    A system is governed when its weakest dataset is. Rows and bytes are those that the platform holds; they are governed when
    the tietoaineisto is that they belong to.
    """
    counted = units(judged)
    lines = []
    for view in VIEWS:
        groups: dict[str, list[Judged]] = defaultdict(list)
        for entry in counted:
            groups[getattr(entry, view)].append(entry)
        for value, entries in sorted(groups.items()):
            n, m = sum(entry.counted_level >= GOVERNED for entry in entries), len(entries)
            lines.append(View(view, value, n, m, percentage(n, m) if m >= method.fewest_for_a_share else None))
    weakest = {entry.unit: entry.counted_level for entry in counted}
    systems: dict[str, int] = {}
    for entry in judged:  # not only the weakest of each unit: its others may lie in other systems
        systems[entry.system] = min(systems.get(entry.system, weakest[entry.unit]), weakest[entry.unit])
    n, m = sum(level >= GOVERNED for level in systems.values()), len(systems)
    lines.append(View("systems", "all", n, m, percentage(n, m) if m >= method.fewest_for_a_share else None))
    for view in HELD:
        n = sum(getattr(entry, view) or 0 for entry in judged if weakest[entry.unit] >= GOVERNED)
        m = sum(getattr(entry, view) or 0 for entry in judged)
        lines.append(View(view, "all", n, m, percentage(n, m)))
    return lines


@dataclass(frozen=True)
class Blocker:
    """How many datasets lack a criterion, and how many would be governed if they did not; None above that level."""

    criterion: str
    lacking: int
    only: int | None


def blockers(units: Sequence[Judged]) -> list[Blocker]:
    """What blocks most datasets, first. `units` are what is counted (`units`)."""
    found = [
        Blocker(
            name,
            sum(name in entry.missing for entry in units),
            sum({*NEEDED} & {*entry.missing} == {name} and not entry.uncounted for entry in units)
            if name in NEEDED
            else None,
        )
        for name in CRITERIA
    ]
    return sorted(found, key=lambda blocker: (-blocker.lacking, CRITERIA.index(blocker.criterion)))


# -- what is counted -------------------------------------------------------------------------------------------------


def excluded(inventory: Inventory, today: date) -> dict[str, Exclusion]:
    """Datasets and systems that do not count today: approved by an officer who is not their owner, and not expired."""
    found = {}
    for exclusion in inventory.exclusions:
        dataset = inventory.datasets.get(exclusion.subject)
        system = inventory.systems.get(exclusion.subject)
        own = system is not None and system.owner == exclusion.approver
        in_force = exclusion.approved_on <= today < exclusion.expires_on
        if in_force and inventory.approved(exclusion.approver, dataset) and not own:
            found[exclusion.subject] = exclusion
    return found


def unit_of(inventory: Inventory, dataset: str, method: Method, today: date) -> str:
    """The tietoaineisto that a dataset belongs to: one tietovaranto × one task class × one controller.

    Parts of a dataset that was split this month are still one: what is counted is frozen until the month has ended.
    """
    together = _split_this_month(inventory, dataset, today)
    if len(together) > 1:
        return f"split:{'+'.join(sorted(together))}"
    entry = inventory.datasets[dataset]
    if not (entry.tietovaranto and entry.task_class):
        return f"dataset:{dataset}"
    task_class = ".".join(entry.task_class.split(".")[: method.task_class_levels])
    return f"{entry.tietovaranto} × {task_class} × {entry.controller}"


def _split_this_month(inventory: Inventory, dataset: str, today: date) -> set[str]:
    """The dataset with all that this month's splits connect it to: parts of a part, too, were one when the month began."""
    splits = [change for change in inventory.changes if change.kind == "split" and _this_month(change, today)]
    together = {dataset}
    for _ in splits:  # each round joins one split more at least, or there is none left to join
        for change in splits:
            if together & {*change.before, *change.after}:
                together |= {*change.before, *change.after}
    return together


def _this_month(change: Change, today: date) -> bool:
    return change.on <= today and (change.on.year, change.on.month) == (today.year, today.month)


def decided(inventory: Inventory, subject: str, today: date, *, kinds: Sequence[str]) -> bool:
    """Whether an officer who does not answer for it has decided a change of these kinds about a dataset or system."""
    system = inventory.systems.get(subject)
    return any(
        change.kind in kinds
        and subject in (change.after if change.kind == "added" else [*change.before, *change.after])
        and change.on <= today
        and inventory.approved(change.approver, inventory.datasets.get(subject))
        and not (system and system.owner == change.approver)
        for change in inventory.changes
    )
