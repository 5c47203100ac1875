"""What of a DAG follows from the contracts: names, cadences, pools, retries, deadlines, owners and documentation.

Nothing here knows Airflow; `dags/` and `plugins/orchestration` turn it into tasks. Nothing heavy is imported, because
DAG files are parsed every half minute.
"""

import functools
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]

from citydata import contract, settings, town
from citydata.contract import Contract

if TYPE_CHECKING:
    import psycopg

BUILD_DAG = "build_warehouse"
BUILD_CRON = "0 6 * * *"
"""The daily full build, after the nightly extracts."""

MEASURE_DAG = "measure_governance"
MEASURE_CRON = "45 23 * * *"
"""The daily measurement, at the end of the day that it is the figure of; a month's last is the official one."""
RELEASE_ASSET = "citydata://warehouse/release"
"""What a release tells those who come after it."""

PLATFORM_OWNER = "data-platform"
"""Owner of what belongs to no single dataset."""

SOURCE_SLOTS = 4
"""How many tasks may read one source system at once."""

# How often a step is tried again after an error of a class or of one that derives from it. What is not listed fails at
# once: a content, a suite, a contract or a decision does not become another one by waiting.
RETRIES = {
    "citydata.extract.SourceError": 8,
    "psycopg.OperationalError": 3,
    "psycopg.InterfaceError": 3,
    "sqlalchemy.exc.DBAPIError": 3,
    "builtins.OSError": 3,
    "citydata.transform.TransformError": 1,
    "citydata.release.ReleaseError": 1,
}
MOST_RETRIES = max(RETRIES.values())
LONGEST_DELAY = timedelta(hours=1)

# A run that comes after the promise was broken already still gets an hour.
SHORTEST_DEADLINE = timedelta(hours=1)

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Pool:
    """An Airflow pool that must exist before tasks can run in it."""

    name: str
    slots: int
    description: str


@dataclass(frozen=True)
class Extract:
    """The datasets of a system that are read together: one DAG. `cadence` is None when all of the system's are."""

    system: str
    cadence: str | None
    cron: str
    contracts: tuple[Contract, ...]

    @property
    def dag_id(self) -> str:
        """`extract_<system>`, or `extract_<system>__<cadence>`."""
        return f"extract_{self.system}__{self.cadence}" if self.cadence else f"extract_{self.system}"

    @property
    def title(self) -> str:
        """Name for people."""
        return f"Extract {self.system} ({cadence(self.cron).replace('_', ' ')})"

    @property
    def datasets(self) -> list[str]:
        """Ids of the datasets."""
        return [entry.dataset for entry in self.contracts]

    @property
    def owner(self) -> str:
        """Owners of the datasets, as Airflow writes several."""
        return ", ".join(sorted({entry.owner for entry in self.contracts}))

    @property
    def tags(self) -> list[str]:
        """What the DAG list is filtered by: the step, the system, the sectors."""
        return sorted({"extract", f"system:{self.system}", *(f"sector:{entry.sector}" for entry in self.contracts)})

    @property
    def deadline(self) -> timedelta:
        """How long a run may take before a dataset becomes older than its contract promises (slaProperties latency).

        What the run before brought is one interval old when this one begins.
        """
        strictest = timedelta(hours=min(entry.sla_hours for entry in self.contracts))
        return max(strictest - longest_interval(self.cron), SHORTEST_DEADLINE)

    @property
    def documentation(self) -> str:
        """Markdown for the DAG's page."""
        sections = "\n\n".join(documentation(entry) for entry in self.contracts)
        return (
            f"Reads the datasets of **{self.system}** in parallel, audits them together and publishes each by itself. A"
            f" dataset's asset gets an event when its data changed; `{BUILD_DAG}` follows.\n\nSchedule: `{self.cron}`"
            f" ({town.load().time_zone}). When it fails: {runbook('failed-step')}, {runbook('source-unreachable')},"
            f" {runbook('held-batch')}.\n\n{sections}"
        )


def datasets() -> list[str]:
    """Ids of all datasets whose contract is no draft, usable or not: the names of the files, which are not parsed."""
    return sorted(
        f"{path.parent.name}.{path.stem}" for path in settings.CONTRACTS.glob("*/*.yaml") if not contract.is_draft(path)
    )


def extracts() -> list[Extract]:
    """The extract DAGs, from every contract that can be used."""
    by_system: dict[str, dict[str, list[Contract]]] = defaultdict(lambda: defaultdict(list))
    for entry in contract.load_each()[0].values():
        by_system[entry.system][entry.platform.schedule].append(entry)
    return [
        Extract(system, cadence(cron) if len(by_cron) > 1 else None, cron, tuple(entries))
        for system, by_cron in by_system.items()
        for cron, entries in by_cron.items()
    ]


def cadence(cron: str) -> str:
    """A schedule as a word: `daily_0430`, `weekly_mon_0430`, `monthly_1_0430`, `hourly_15`, `every_10_minutes`.

    Another schedule is its cron expression with the signs spelt; different schedules have different words.
    """
    minute, hour, day, month, weekday = cron.split()
    if re.fullmatch(r"\d+ \d+", f"{minute} {hour}") and month == "*":
        at = f"{int(hour):02}{int(minute):02}"
        if (day, weekday) == ("*", "*"):
            return f"daily_{at}"
        if day == "*" and re.fullmatch("[0-7]", weekday):
            return f"weekly_{_WEEKDAYS[int(weekday)]}_{at}"
        if day.isdigit() and weekday == "*":
            return f"monthly_{day}_{at}"
    if (hour, day, month, weekday) == ("*", "*", "*", "*"):
        if minute.isdigit():
            return f"hourly_{int(minute):02}"
        if re.fullmatch(r"\*/\d+", minute):
            return f"every_{minute[2:]}_minutes"
    for sign, spelt in (("*", "any"), ("?", "any"), ("/", "-per-"), (",", "-and-"), ("#", "-nth-")):
        cron = cron.replace(sign, spelt)
    return "_".join(cron.lower().split())


@functools.cache
def longest_interval(cron: str) -> timedelta:
    """The longest time between two runs of a schedule."""
    times = croniter(cron, datetime(2026, 1, 1, tzinfo=UTC))
    moments = [times.get_next(datetime) for _ in range(15)]
    return max(later - earlier for earlier, later in pairwise(moments))


def asset_uri(dataset: str) -> str:
    """`citydata://<system>/<dataset>`."""
    return f"citydata://{dataset.replace('.', '/', 1)}"


def pool(system: str) -> str:
    """Name of the pool of a source system."""
    return f"source_{system}"


def pools() -> list[Pool]:
    """The pools that the DAGs need: one a source system, so that a slow one does not take the places of the others."""
    systems = sorted({entry.system for entry in contract.load_each()[0].values()})
    return [Pool(pool(system), SOURCE_SLOTS, f"Reading the source system {system}") for system in systems]


def retries(error: type[BaseException]) -> int:
    """How often a step is tried again after an error of this class. Classes are compared by name: none is imported."""
    for ancestor in error.__mro__:
        limit = RETRIES.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if limit is not None:
            return limit
    return 0


def first_delay() -> timedelta:
    """How long the first retry waits (CITYDATA_RETRY_SECONDS, default 60); each later one waits twice as long."""
    return timedelta(seconds=float(os.environ.get("CITYDATA_RETRY_SECONDS") or 60))


def retry_delay(attempt: int) -> timedelta:
    """How long to wait after the `attempt`th try (from 1)."""
    return min(first_delay() * 2 ** (attempt - 1), LONGEST_DELAY)


def runbook(name: str) -> str:
    """Where the page that says what to do is read: the site at CITYDATA_DOCS_URL, else the file of the repository."""
    site = os.environ.get("CITYDATA_DOCS_URL", "").rstrip("/")
    return f"{site}/runbooks/{name}.html" if site else f"docs/runbooks/{name}.md"


def documentation(entry: Contract) -> str:
    """Markdown about a dataset, from its contract."""
    columns = "\n".join(
        f"| {column.name} | {column.pg_type}{', key' if column.key else ''} | {column.classification}"
        f" | {_cell(column.description_fi)} | {_cell(column.description_sv or '–')} | {_cell(column.description_en)} |"
        for column in entry.columns
    )
    texts = (entry.description_fi, entry.platform.description_sv, entry.platform.description_en)
    return (
        f"### {entry.dataset}: {entry.title}\n\n{' · '.join(filter(None, texts))}\n\n"
        f"Owner {entry.owner}, steward {entry.steward}. Contract {entry.version};"
        f" {entry.mode}, schedule `{entry.platform.schedule}`, at most {entry.sla_hours:g} h old."
        f" Held batch: {runbook('held-batch')}.\n\n"
        f"| column | type | class | fi | sv | en |\n|---|---|---|---|---|---|\n{columns}"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def is_last_of_month(moment: datetime) -> bool:
    """Whether it is the last day of a month in the town."""
    day = moment.astimezone(ZoneInfo(town.load().time_zone)).date()
    return (day + timedelta(days=1)).month != day.month


Window = tuple[datetime, datetime]
"""From a moment up to another, which is not included; UTC."""

CALENDAR = {"day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}
"""Where days, weeks and months begin, as cron expressions in the town's time."""


def window(start: str, end: str | None) -> Window:
    """The window between the texts of its ends (ISO 8601; without an offset in the town's time). An open end is now.

    Raises ValueError when the start is not before the end.
    """
    moments = [_moment(start), _moment(end) if end else datetime.now(UTC)]
    if moments[0] >= moments[1]:
        raise ValueError(f"`from` ({start}) is not before `to` ({end or 'now'})")
    return moments[0], moments[1]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return _utc(moment) if moment.tzinfo is None else moment.astimezone(UTC)


def _utc(local: datetime) -> datetime:
    return local.replace(tzinfo=ZoneInfo(town.load().time_zone)).astimezone(UTC)


def _local(moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(town.load().time_zone)).replace(tzinfo=None)


def windows(cron: str, start: datetime, end: datetime) -> list[Window]:
    """What lies between `start` and `end`, cut where the schedule ticks: without a gap, without an overlap."""
    bounds = [start]
    # The clock on the wall is counted on, as people write schedules; what it never shows in spring is no bound of its own.
    ticks = croniter(cron, _local(start))
    while (tick := _utc(ticks.get_next(datetime))) < end:
        if tick > bounds[-1]:
            bounds.append(tick)
    return list(pairwise([*bounds, end]))


def tick_before(cron: str, moment: datetime) -> datetime:
    """The last tick of a schedule before a moment."""
    ticks = croniter(cron, _local(moment) + timedelta(seconds=1))
    while (tick := _utc(ticks.get_prev(datetime))) >= moment:
        pass
    return tick


def years(start: datetime, end: datetime) -> dict[int, Window]:
    """The years of the town's calendar that a window touches, each whole."""
    last = _local(end - timedelta(microseconds=1)).year
    return {
        year: (_utc(datetime(year, 1, 1)), _utc(datetime(year + 1, 1, 1)))  # noqa: DTZ001  # the town's clock
        for year in range(_local(start).year, last + 1)
    }


@dataclass(frozen=True)
class Late:
    """A dataset that is older than its contract promises. `last` is when its source was last taken in; None is never."""

    dataset: str
    last: datetime | None
    promised_hours: float


def late(connection: "psycopg.Connection[Any]", datasets: Sequence[str]) -> list[Late]:
    """Which of the datasets are late now. One whose source said the same again is as fresh as one that changed."""
    rows: Iterable[tuple[str, datetime | None, bool]] = connection.execute(
        "SELECT dataset, last, last IS NULL OR last < clock_timestamp() - make_interval(secs => hours * 3600)"
        " FROM unnest(%s::text[], %s::float8[]) AS promised (dataset, hours) LEFT JOIN LATERAL ("
        "SELECT greatest((SELECT max(published_at) FROM ops.batch b WHERE b.dataset = promised.dataset"
        " AND b.kind = 'load' AND b.state = 'published'),"
        " (SELECT max(seen_at) FROM ops.arrival a WHERE a.dataset = promised.dataset AND a.outcome = 'repeated')"
        ") AS last) AS taken ON true",
        (list(datasets), [contract.load(name).sla_hours for name in datasets]),
    ).fetchall()
    return [Late(dataset, last, contract.load(dataset).sla_hours) for dataset, last, is_late in rows if is_late]
