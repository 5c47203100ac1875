"""Sealed snapshots of the share: append-only, each holding the hash of the one before, so that a changed byte is found.

`figures` is the one query that everybody shows a figure from.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import psycopg
from psycopg.rows import class_row

from citydata.governance import share
from citydata.governance.evidence import Evidence
from citydata.governance.share import Judged

Connection = psycopg.Connection[Any]
Row = TypeVar("Row")

SNAPSHOT_LOCK = 6380003
GENESIS = "0" * 64
"""What the first snapshot names as the one before it."""


class SnapshotError(ValueError):
    """There is no such snapshot, or none yet; the text says what to do."""


@dataclass(frozen=True)
class Figure:
    """A row of `governance.share`: one sealed figure. Shares are in percent, None when nothing is registered."""

    snapshot_id: int
    taken_at: datetime
    as_of: date
    official: bool
    method_version: str
    n: int
    m: int
    s: int
    u: int
    denominator: int
    upper_denominator: int
    share: Decimal | None
    upper_share: Decimal | None
    level_1: int
    level_2: int
    level_3: int
    level_4: int
    automatic: int
    manual: int
    reason: str
    run_id: str | None
    previous_sha256: str
    sha256: str

    @property
    def text(self) -> str:
        """`112/240 (46,6 %)`, as it is written in Finnish and Swedish."""
        return written(self.n, self.denominator, self.share)

    @property
    def upper_text(self) -> str:
        """The upper bound, written the same way."""
        return written(self.n, self.upper_denominator, self.upper_share)


def written(n: int, denominator: int, percent: Decimal | None) -> str:
    """A share for people: `112/240 (46,6 %)`; without a denominator `0/0 (–)`."""
    return f"{n}/{denominator} ({'–' if percent is None else f'{percent:.1f} %'.replace('.', ',')})"


@dataclass(frozen=True)
class CountedSystem:
    """A system in scope of a snapshot: mapped, known but not mapped, or found by reconciliation.

    `found_in` says where reconciliation saw it (`vendor:<business id>`, `catalogue:<connection>.<schema>`,
    `connection:<name>`, `files:<folder>`).
    """

    system: str
    name_fi: str
    name_sv: str
    sector: str | None
    origin: str
    mapped: bool
    found_in: str | None = None
    first_seen: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceRow(Evidence):
    """Evidence as it was sealed: of a dataset, in the order of its rows."""

    dataset: str
    number: int


# -- sealing ---------------------------------------------------------------------------------------------------------


def seal(
    connection: Connection,
    *,
    taken_at: datetime,
    as_of: date,
    method_version: str,
    official: bool,
    reason: str,
    run_id: str | None,
    judged: Sequence[Judged],
    evidence: dict[str, list[Evidence]],
    systems: Sequence[CountedSystem],
) -> Figure:
    """Count, chain to the snapshot before and keep; returns the figure. One transaction, one at a time."""
    rows = [
        EvidenceRow(**vars(row), dataset=dataset, number=number)
        for dataset, found in sorted(evidence.items())
        for number, row in enumerate(found, start=1)
    ]
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (SNAPSHOT_LOCK,))
        last = latest(connection)
        figure = Figure(
            **_counts(judged, systems),
            snapshot_id=last.snapshot_id + 1 if last else 1,
            taken_at=taken_at,
            as_of=as_of,
            official=official,
            method_version=method_version,
            reason=reason,
            run_id=run_id,
            previous_sha256=last.sha256 if last else GENESIS,
            sha256="",
        )
        figure = Figure(**{**vars(figure), "sha256": _digest(figure, judged, rows, systems)})
        _insert(connection, "snapshot", [figure], {})
        of = {"snapshot_id": figure.snapshot_id}
        _insert(connection, "snapshot_dataset", judged, of)
        _insert(connection, "evidence", rows, of)
        _insert(connection, "snapshot_system", systems, of)
    return figure


def _counts(judged: Sequence[Judged], systems: Sequence[CountedSystem]) -> dict[str, Any]:
    """What a figure says of its datasets and systems: each field by its name."""
    mapped = sum(system.mapped for system in systems)
    counts = share.count(judged, mapped=mapped, unmapped=len(systems) - mapped)
    return {
        **{name: getattr(counts, name) for name in ("n", "m", "s", "u", "denominator", "upper_denominator")},
        **{name: getattr(counts, name) for name in ("share", "upper_share", "automatic", "manual")},
        **{f"level_{level}": number for level, number in counts.at_least.items()},
    }


def _insert(connection: Connection, table: str, rows: Sequence[Any], more: dict[str, Any]) -> None:
    if not rows:
        return
    columns = [*more, *(field.name for field in fields(rows[0]))]
    statement = f"COPY governance.{table} ({', '.join(columns)}) FROM STDIN"
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            values = [*more.values(), *astuple(row)]
            copy.write_row([list(value) if isinstance(value, tuple) else value for value in values])


def _digest(
    figure: Figure, judged: Sequence[Judged], rows: Sequence[EvidenceRow], systems: Sequence[CountedSystem]
) -> str:
    """SHA-256 over every field of every row of a snapshot but its own hash, in a fixed order and form."""
    header = {name: value for name, value in vars(figure).items() if name != "sha256"}
    content = [
        header,
        sorted((asdict(entry) for entry in judged), key=lambda entry: entry["dataset"]),
        sorted((asdict(row) for row in rows), key=lambda row: (row["dataset"], row["number"])),
        sorted((asdict(system) for system in systems), key=lambda system: system["system"]),
    ]
    text = json.dumps(content, default=_plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value or abs(value):f}"  # PostgreSQL knows no negative zero
    raise TypeError(f"a snapshot holds no {type(value).__name__}")


# -- reading ---------------------------------------------------------------------------------------------------------


def figures(connection: Connection, *, until: date | None = None, limit: int | None = None) -> list[Figure]:
    """Sealed figures, newest first; `until` leaves out those of later days."""
    with connection.cursor(row_factory=class_row(Figure)) as cursor:
        return cursor.execute(
            "SELECT * FROM governance.share WHERE as_of <= coalesce(%s, 'infinity'::date)"
            " ORDER BY snapshot_id DESC LIMIT %s",
            (until, limit),
        ).fetchall()


def latest(connection: Connection, *, until: date | None = None) -> Figure | None:
    """The newest figure, or the newest of a past day; None when there is none."""
    found = figures(connection, until=until, limit=1)
    return found[0] if found else None


def required(connection: Connection, *, until: date | None = None) -> Figure:
    """The newest figure. Raises SnapshotError when there is none."""
    found = latest(connection, until=until)
    if found is None:
        chain = figures(connection) if until else []
        if chain:
            raise SnapshotError(
                f"there is no snapshot of the share of {until} or before; the first is of {chain[-1].as_of}"
            )
        raise SnapshotError("there is no snapshot of the share yet; `./citydata governance snapshot` takes one")
    return found


def datasets(connection: Connection, snapshot_id: int) -> list[Judged]:
    """The datasets of a snapshot by id."""
    found = _rows(connection, Judged, "snapshot_dataset", snapshot_id, "dataset")
    return [Judged(**{**vars(e), "missing": tuple(e.missing), "contracts": tuple(e.contracts)}) for e in found]


def evidence(connection: Connection, snapshot_id: int, dataset: str | None = None) -> list[EvidenceRow]:
    """The evidence of a snapshot, of one dataset or of all, in order."""
    return _rows(connection, EvidenceRow, "evidence", snapshot_id, "dataset, number", dataset)


def systems(connection: Connection, snapshot_id: int) -> list[CountedSystem]:
    """The systems of a snapshot by id."""
    return _rows(connection, CountedSystem, "snapshot_system", snapshot_id, "system")


def _rows(
    connection: Connection, kind: type[Row], table: str, snapshot_id: int, order: str, dataset: str | None = None
) -> list[Row]:
    columns = ", ".join(field.name for field in fields(cast(Any, kind)))
    of, values = ("", (snapshot_id,)) if dataset is None else (" AND dataset = %s", (snapshot_id, dataset))
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(
            f"SELECT {columns} FROM governance.{table} WHERE snapshot_id = %s{of} ORDER BY {order}", values
        ).fetchall()


# -- verifying -------------------------------------------------------------------------------------------------------


def verify(connection: Connection, head: str | None = None) -> Iterator[str]:
    """What is wrong with the chain, each in a sentence; nothing when every byte is as it was sealed.

    `head` is a hash that somebody noted earlier: the chain must still hold it, so that cutting its end is found too.
    """
    try:
        chain = figures(connection)[::-1]
    except psycopg.DataError:
        yield "the snapshots cannot be read: a day or time of one was changed after it was sealed"
        return
    before = GENESIS
    for number, figure in enumerate(chain, start=1):
        of = figure.snapshot_id
        if of != number:
            yield f"snapshot {number} is missing: {of} comes in its place"
        if figure.previous_sha256 != before:
            yield f"snapshot {of} of {figure.as_of} does not follow the one before it: the chain is broken there"
        before = figure.sha256
        try:
            judged, rows, counted = datasets(connection, of), evidence(connection, of), systems(connection, of)
        except (ValueError, psycopg.DataError):
            yield f"snapshot {of} of {figure.as_of} was changed after it was sealed: a row of it cannot be read"
            continue
        if _digest(figure, judged, rows, counted) != figure.sha256:
            yield f"snapshot {of} of {figure.as_of} was changed after it was sealed: its content is not that of its hash"
        if any(getattr(figure, name) != value for name, value in _counts(judged, counted).items()):
            yield f"snapshot {of} of {figure.as_of}: its figure is not what its datasets and systems count up to"
    if head is not None and head not in {figure.sha256 for figure in chain}:
        yield f"no snapshot has the hash {head[:12]}…: snapshots were removed, or the hash is of another installation"
