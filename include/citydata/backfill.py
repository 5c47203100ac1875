"""Backfills: a period of a dataset is read again, window by window, and reaches its readers as a whole or not at all.

A backfill is an entry of the ledger. While it is open, builds see the dataset as of the batch before it (`ops.open_backfill`).
With its last window done it ends, and one build takes all of it in; or what that build would change is compared first and waits
for a person. What is refused or given up is taken back: its batches are rejected and the dataset is rebuilt without them.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from citydata import contract as contracts
from citydata import database, deliveries, ops, pipeline, release, schedule, transform
from citydata.connector_options import FhirConnector, SqlConnector
from citydata.contract import Contract
from citydata.extract import Asked, ContentError, SourceError, connector
from citydata.ops import Connection

log = logging.getLogger(__name__)

# Class of advisory locks beside those of `ops`: whoever works on a dataset's backfill.
BACKFILL = 638003
COMMAND_LINE, AIRFLOW = "command line", "airflow"
ENDED = ("done", "rejected", "cancelled")
_COUNTED = {"source": "counted in the source", "delivery": "counted in the delivery", "estimate": "estimate from raw"}
_RECENT_RUNS = 100


class BackfillError(RuntimeError):
    """A backfill that cannot be made or decided. The text names dataset, backfill, reason and what to do."""


class NotPossible(BackfillError):
    """A dataset of which no period can be asked for."""


@dataclass(frozen=True)
class Window:
    """A window of a backfill. `expected` rows were counted in the `source` or a `delivery`, or are an `estimate` from what
    stands there now, which are `standing` rows."""

    number: int
    begins_at: datetime
    ends_at: datetime
    part: list[Any] | None = None
    expected: int | None = None
    counted: str | None = None
    standing: int | None = None
    state: str = "pending"
    failure: str | None = None
    run_id: str | None = None

    @property
    def title(self) -> str:
        """How people call it."""
        if self.part:
            return ", ".join(map(str, self.part))
        return f"{self.begins_at:%Y-%m-%d %H:%M} … {self.ends_at:%Y-%m-%d %H:%M} UTC"

    @property
    def origin(self) -> str:
        """Where the expected rows were counted, in words."""
        return _COUNTED.get(self.counted or "", "no delivery has it: nothing is read or closed")

    @property
    def expectation(self) -> str:
        """What is expected of it, in words."""
        return f"{self.title}: {self.expected} rows expected ({self.origin}), {self.standing} stand there"

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.state in ("done", "empty")


@dataclass(frozen=True)
class Preview:
    """What a backfill would read. Nothing outside the windows is closed; inside, at most what stands there."""

    dataset: str
    begins_at: datetime
    ends_at: datetime
    windows: tuple[Window, ...]
    closes: str


@dataclass(frozen=True)
class Backfill:
    """A backfill as the ledger has it. `changes` are of the difference that waits for approval, or waited for it."""

    backfill_id: int
    dataset: str
    begins_at: datetime
    ends_at: datetime
    origin: str
    reason: str
    requested_by: str
    requested_at: datetime
    state: str
    approval: bool
    horizon: int
    compared_build: int | None
    compared_stale: dict[str, str]
    decided_by: str | None
    decided_reason: str | None
    decided_at: datetime | None
    ended_at: datetime | None
    windows: tuple[Window, ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    batches: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """How errors call it."""
        return f"{self.dataset} backfill {self.backfill_id}"

    @property
    def altered(self) -> bool:
        """Whether the dataset reads differently because of it."""
        return any(batch["inserted"] or batch["changed"] or batch["closed"] for batch in self.batches)

    @property
    def stopped_by(self) -> Window | None:
        """The window that a person must look at."""
        return next((window for window in self.windows if window.state in ("held", "failed")), None)


# -- windows ---------------------------------------------------------------------------------------------------------


def plan(entry: Contract, start: datetime, end: datetime, every: str | None = None) -> list[Window]:
    """The windows of a backfill from `start` up to `end`.

    A dataset that is read by time of change is cut where its schedule ticks, or where each day, week or month begins. One whose
    parts are years is read year by year, each whole. Raises NotPossible for all others.
    """
    if _by_time(entry):
        cron = schedule.CALENDAR[every] if every else entry.schedule
        spans = schedule.windows(cron, start, end)
        return [Window(number, *span) for number, span in enumerate(spans, start=1)]
    if entry.scope.period:
        if every:
            raise BackfillError(f"{entry.dataset} is read year by year; leave --every out")
        years = schedule.years(start, end)
        return [Window(number, *span, part=[year]) for number, (year, span) in enumerate(years.items(), start=1)]
    raise NotPossible(
        f"{entry.dataset} cannot be backfilled: its source is not asked by time of change, and its contract says of no part which period"
        f" it is (scope.period). Its newest delivery again: `./citydata batch replay BATCH`; the whole table again from its"
        f" archives: `./citydata batch rebuild {entry.dataset}`"
    )


def _by_time(entry: Contract) -> bool:
    """Whether the source can be asked for what it changed in a window; a file that is dropped says its own."""
    return bool(entry.watermark) and isinstance(entry.platform.connector, SqlConnector | FhirConnector)


def preview(dataset: str, start: datetime, end: datetime, every: str | None = None) -> Preview:
    """The windows with the rows that are expected and those that stand there now.

    Raises NotPossible when the dataset cannot be backfilled, SourceError or ContentError when its source cannot be counted.
    """
    entry = contracts.load(dataset)
    return _preview(entry, start, end, plan(entry, start, end, every))


def _preview(entry: Contract, start: datetime, end: datetime, planned: Sequence[Window]) -> Preview:
    with database.connect("loader", autocommit=True) as connection:
        windows = _count(connection, entry, planned)
    return Preview(entry.dataset, start, end, tuple(windows), _closes(entry, windows))


def _count(connection: Connection, entry: Contract, planned: Sequence[Window]) -> list[Window]:
    """The windows with what is expected and what stands there. Raises SourceError or ContentError when it cannot be counted."""
    if not planned:
        return []
    if _by_time(entry):
        standing = _changed_in(connection, entry, planned)
        if counting := getattr(connector(entry), "count", None):
            expected = counting(entry, [(window.begins_at, window.ends_at) for window in planned])
            counted: list[str | None] = ["source"] * len(planned)
        else:
            expected, counted = standing, ["estimate"] * len(planned)
    else:
        parts = [tuple(window.part or ()) for window in planned]
        found = deliveries.newest(connection, entry, parts)
        standing = [_standing(connection, entry, part) for part in parts]
        expected = [found[part].rows[part] if part in found else 0 for part in parts]
        counted = ["delivery" if part in found else None for part in parts]
    return [
        replace(window, expected=expected[i], counted=counted[i], standing=standing[i])
        for i, window in enumerate(planned)
    ]


def _closes(entry: Contract, windows: Sequence[Window]) -> str:
    """What of a dataset its windows can close."""
    if not _by_time(entry):
        return (
            f"rows of these years that the newest delivery no longer has, at most {sum(one.standing or 0 for one in windows)};"
            f" a year that would lose more than {entry.max_closed_share:.0%} of its rows is held"
        )
    deleted = ", and those that the source says it deleted in the windows" if entry.deletes == "tombstone" else ""
    return f"no row but the earlier version of one that comes again{deleted}"


def _changed_in(connection: Connection, entry: Contract, windows: Sequence[Window]) -> list[int]:
    """Current rows by the window in which the source changed them."""
    assert entry.watermark
    counts: dict[int, int] = dict(
        connection.execute(
            sql.SQL(
                "SELECT width_bucket({mark}, %s::timestamptz[]), count(*) FROM {raw}"
                " WHERE _closed_by IS NULL AND {mark} >= %s AND {mark} < %s GROUP BY 1"
            ).format(mark=sql.Identifier(entry.watermark.column), raw=sql.Identifier("raw", entry.raw_name)),
            ([window.begins_at for window in windows], windows[0].begins_at, windows[-1].ends_at),
        ).fetchall()
    )
    return [counts.get(number, 0) for number in range(1, len(windows) + 1)]


def _standing(connection: Connection, entry: Contract, part: tuple[Any, ...]) -> int:
    """Current rows of a part."""
    same = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in entry.scope.columns)
    statement = sql.SQL("SELECT count(*) FROM {} WHERE _closed_by IS NULL AND {}")
    [(count,)] = connection.execute(
        statement.format(sql.Identifier("raw", entry.raw_name), same), list(part)
    ).fetchall()
    return int(count)


# -- the ledger ------------------------------------------------------------------------------------------------------

_FIELDS = (
    "backfill_id, dataset, begins_at, ends_at, origin, reason, requested_by, requested_at, state, approval, horizon, compared_build,"
    " compared_stale, decided_by, decided_reason, decided_at, ended_at"
)


def get(connection: psycopg.Connection[Any], backfill_id: int) -> Backfill:
    """A backfill with its windows, batches and difference. Raises BackfillError when there is none."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(f"SELECT {_FIELDS} FROM ops.backfill WHERE backfill_id = %s", (backfill_id,)).fetchone()
        if row is None:
            raise BackfillError(f"there is no backfill {backfill_id}; `./citydata backfill list` shows what there is")
        windows = cursor.execute(
            "SELECT number, begins_at, ends_at, part, expected, counted, standing, state, failure, run_id FROM ops.backfill_window"
            " WHERE backfill_id = %s ORDER BY begins_at",
            (backfill_id,),
        ).fetchall()
        changes = cursor.execute(
            "SELECT group_name, schema_name, table_name, inserted, updated, deleted FROM ops.backfill_difference"
            " WHERE backfill_id = %s ORDER BY group_name, schema_name, table_name",
            (backfill_id,),
        ).fetchall()
        batches = cursor.execute(
            "SELECT batch_id, kind, (source ->> 'backfill_window')::int AS window, state, extracted, inserted, changed, unchanged,"
            " closed, quarantined, held_reason, published_at FROM ops.batch WHERE source ? 'backfill' AND source ->> 'backfill' = %s"
            " ORDER BY batch_id",
            (str(backfill_id),),
        ).fetchall()
    return Backfill(
        **row, windows=tuple(Window(**one) for one in windows), changes=tuple(changes), batches=tuple(batches)
    )


def listing(connection: psycopg.Connection[Any], dataset: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    """Newest backfills with how many of their windows are done."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            f"SELECT {_FIELDS}, (SELECT count(*) FROM ops.backfill_window w WHERE w.backfill_id = b.backfill_id) AS windows,"
            " (SELECT count(*) FROM ops.backfill_window w WHERE w.backfill_id = b.backfill_id AND state IN ('done', 'empty')) AS done"
            " FROM ops.backfill b WHERE %(dataset)s::text IS NULL OR dataset = %(dataset)s ORDER BY backfill_id DESC LIMIT %(limit)s",
            {"dataset": dataset, "limit": limit},
        ).fetchall()


def open_of(connection: psycopg.Connection[Any], dataset: str) -> Backfill | None:
    """The backfill of a dataset that has not ended."""
    row = connection.execute("SELECT backfill_id FROM ops.open_backfill WHERE dataset = %s", (dataset,)).fetchone()
    return get(connection, row[0]) if row else None


def what_to_do(found: Backfill) -> list[str]:
    """The commands that bring an open backfill to its end."""
    number, quoted = found.backfill_id, "--reason '…'"
    give_up = f"./citydata backfill cancel {number} {quoted}"
    held = [f"./citydata batch show {one['batch_id']}" for one in reversed(found.batches) if one["state"] == "held"]
    if found.state == "stopped" and held:
        return [held[0], f"./citydata backfill resume {number}", give_up]
    if found.state == "waiting":
        return [f"./citydata backfill {verb} {number} {quoted}" for verb in ("approve", "reject")]
    if found.state == "comparing":
        return ["./citydata run warehouse", give_up]
    if found.state == "undoing":  # by whichever of the two was begun
        refuse = [f"./citydata backfill reject {number} {quoted}"] if found.compared_build else []
        return [give_up, *refuse]
    return [] if found.state in ENDED else [f"./citydata backfill resume {number}", give_up]


def begin(seen: Preview, *, reason: str, person: str, approval: bool, origin: str = COMMAND_LINE) -> int:
    """Enter a backfill into the ledger, from where builds see the dataset as it is now; returns its id.

    Raises BackfillError when another of the dataset is open, or when person or reason is missing.
    """
    if not reason.strip() or not person.strip():
        raise BackfillError(f"{seen.dataset}: a backfill needs a person and a reason")
    with database.connect("loader", autocommit=True) as connection:
        if other := open_of(connection, seen.dataset):
            raise _is_open(other)
        try:
            with connection.transaction():
                return _enter(connection, seen, reason, person, approval, origin)
        except psycopg.errors.UniqueViolation:
            other = open_of(connection, seen.dataset)
            raise (_is_open(other) if other else BackfillError(f"{seen.dataset}: ask again")) from None


def _is_open(other: Backfill) -> BackfillError:
    return BackfillError(
        f"{other.title} is {other.state}, and a dataset has one at a time: {' or '.join(map('`{}`'.format, what_to_do(other)))}"
    )


def _enter(connection: Connection, seen: Preview, reason: str, person: str, approval: bool, origin: str) -> int:
    [(backfill_id,)] = connection.execute(
        "INSERT INTO ops.backfill (dataset, begins_at, ends_at, origin, reason, requested_by, approval, horizon)"
        " SELECT %(dataset)s, %(from)s, %(to)s, %(origin)s, %(reason)s, %(person)s, %(approval)s,"
        " (SELECT coalesce(max(batch_id), 0) FROM ops.batch WHERE dataset = %(dataset)s AND state = 'published') RETURNING backfill_id",
        {
            **{"dataset": seen.dataset, "from": seen.begins_at, "to": seen.ends_at, "origin": origin},
            **{"reason": reason, "person": person, "approval": approval},
        },
    ).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.backfill_window (backfill_id, number, begins_at, ends_at, part, expected, counted, standing)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    *(backfill_id, window.number, window.begins_at, window.ends_at),
                    *(window.part and Jsonb(window.part), window.expected, window.counted, window.standing),
                )
                for window in seen.windows
            ],
        )
    return int(backfill_id)


def _move(connection: Connection, found: Backfill, state: str, *before: str, **values: Any) -> bool:
    """Bring a backfill from one of the states `before` into another; returns whether it was in one."""
    ended = sql.SQL(", ended_at = clock_timestamp()") if state in ENDED else sql.SQL("")
    more = sql.SQL("").join(sql.SQL(", {} = {}").format(sql.Identifier(k), sql.Literal(v)) for k, v in values.items())
    statement = sql.SQL("UPDATE ops.backfill SET state = %s{}{} WHERE backfill_id = %s AND state = ANY(%s)")
    moved = connection.execute(statement.format(more, ended), (state, found.backfill_id, list(before)))
    return moved.rowcount == 1


def _note(connection: Connection, backfill_id: int, number: int, state: str, failure: str | None = None) -> None:
    connection.execute(
        "UPDATE ops.backfill_window SET state = %s, failure = %s WHERE backfill_id = %s AND number = %s",
        (state, failure, backfill_id, number),
    )


def _expect(connection: Connection, backfill_id: int, window: Window) -> None:
    connection.execute(
        "UPDATE ops.backfill_window SET expected = %s, counted = %s, standing = %s WHERE backfill_id = %s AND number = %s",
        (window.expected, window.counted, window.standing, backfill_id, window.number),
    )


@contextlib.contextmanager
def _alone(found: Backfill) -> Iterator[Connection]:
    """Be the only process that works on a backfill; a killed one has let go of it."""
    with database.connect("loader", autocommit=True) as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (BACKFILL, found.dataset)).fetchone()
        if row is None or not row[0]:
            raise BackfillError(f"{found.title} is being worked on by another process; `./citydata backfill show`")
        yield connection


# -- window by window ------------------------------------------------------------------------------------------------


def proceed(backfill_id: int, report: Callable[[Window, Backfill], None] = lambda window, found: None) -> Backfill:
    """Read, audit and publish the windows that are left, one after the other, and end the backfill.

    A window that is held or fails stops the rest; `report` is told of each. What ends the backfill is `ended`.
    """
    with database.connect("loader", autocommit=True) as connection:
        found = get(connection, backfill_id)
    if found.state in ("comparing", "waiting"):
        return found
    if found.state not in ("running", "stopped"):
        raise BackfillError(f"{found.title} is {found.state}; there is nothing to go on with")
    with _alone(found) as connection:
        _move(connection, found, "running", "stopped")
        for window in found.windows:
            if window.finished:
                continue
            _note(connection, backfill_id, window.number, "running")
            try:
                extract(found, window, run_id=f"backfill {backfill_id}")
                pipeline.audit_and_publish([found.dataset], pipeline.waiting(found.dataset))
            except (SourceError, ContentError) as error:
                _note(connection, backfill_id, window.number, "failed", str(error))
            else:
                _settle(connection, found, window)
            now = get(connection, backfill_id)
            done = next(one for one in now.windows if one.number == window.number)
            report(done, now)
            if not done.finished:
                _move(connection, found, "stopped", "running")
                return get(connection, backfill_id)
        end(connection, found)
        return get(connection, backfill_id)


def extract(found: Backfill, window: Window, run_id: str) -> list[int]:
    """Read what a window asks for, unless it was read already; returns the batches of the dataset that wait for the audit."""
    mark = {"backfill": found.backfill_id, "backfill_window": window.number}
    asked = Asked((window.begins_at, window.ends_at), mark, window.part)
    return pipeline.extract_and_land(found.dataset, asked=asked, run_id=run_id)


def _settle(connection: Connection, found: Backfill, window: Window) -> None:
    """What became of a window, from its batches: those that were refused, replaced or never complete do not count."""
    batches = [
        batch
        for batch in get(connection, found.backfill_id).batches
        if batch["window"] == window.number and batch["state"] not in ("failed", "rejected", "superseded", "extracting")
    ]
    held = next((batch for batch in batches if batch["state"] == "held"), None)
    if held:
        _note(connection, found.backfill_id, window.number, "held", f"batch {held['batch_id']}: {held['held_reason']}")
    elif not batches:
        _note(connection, found.backfill_id, window.number, "empty")
    elif all(batch["state"] == "published" for batch in batches):
        _note(connection, found.backfill_id, window.number, "done")
    else:
        waits = (
            f"batch {batches[0]['batch_id']} waits behind a held one: `./citydata batch list --dataset {found.dataset}`"
        )
        _note(connection, found.backfill_id, window.number, "held", waits)


def end(connection: Connection, found: Backfill) -> bool:
    """End a backfill whose windows are done, so that the next build takes it in, or compares it; returns whether that was now.

    One of which a window is held or failed is stopped.
    """
    now = get(connection, found.backfill_id)
    if not all(window.finished for window in now.windows):
        _move(connection, now, "stopped", "running")
        return False
    return _move(connection, now, "comparing" if now.approval and now.altered else "done", "running", "stopped")


# -- runs of a scheduler ---------------------------------------------------------------------------------------------


def _of_run(entry: Contract, start: datetime, tick: datetime) -> list[Window]:
    """The windows of the run for a tick: the interval that ends with it, or the years that the interval touches."""
    return [Window(1, start, tick)] if _by_time(entry) else plan(entry, start, tick)


def preview_run(dataset: str, tick: datetime) -> Preview:
    """What a scheduler's run for the tick would read; nothing is entered. Raises as `preview` does."""
    entry = contracts.load(dataset)
    start = schedule.tick_before(entry.schedule, tick)
    return _preview(entry, start, tick, _of_run(entry, start, tick))


def join(
    dataset: str, tick: datetime, *, reason: str, person: str, approval: bool, run_id: str
) -> tuple[Backfill, list[Window]]:
    """Enter what a scheduler's run for the tick is to read, into the backfill that its other runs are in.

    Returns the backfill and the windows that this run reads; none when another run reads them: a year is read once.
    Raises NotPossible when the dataset cannot be backfilled, BackfillError when another backfill of it is open.
    """
    entry = contracts.load(dataset)
    start = schedule.tick_before(entry.schedule, tick)
    wanted = _of_run(entry, start, tick)
    with database.connect("loader", autocommit=True) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, -hashtext(%s))", (BACKFILL, dataset))
        found = open_of(connection, dataset)
        if found is None:
            seen = Preview(dataset, start, tick, (), "")
            found = get(connection, _enter(connection, seen, reason, person, approval, AIRFLOW))
        if found.origin != AIRFLOW or found.state not in ("running", "stopped"):
            raise _is_open(found)
        connection.execute(
            "UPDATE ops.backfill SET begins_at = least(begins_at, %s), ends_at = greatest(ends_at, %s), state = 'running',"
            " approval = approval OR %s WHERE backfill_id = %s",
            (start, tick, approval, found.backfill_id),
        )
        for window in wanted:
            connection.execute(
                "INSERT INTO ops.backfill_window (backfill_id, number, begins_at, ends_at, part, run_id)"
                " SELECT %(id)s, coalesce(max(number), 0) + 1, %(from)s, %(to)s, %(part)s, %(run)s"
                " FROM ops.backfill_window WHERE backfill_id = %(id)s ON CONFLICT (backfill_id, begins_at, ends_at) DO NOTHING",
                {
                    **{"id": found.backfill_id, "from": window.begins_at, "to": window.ends_at, "run": run_id},
                    "part": window.part and Jsonb(window.part),
                },
            )
        found = get(connection, found.backfill_id)
        return found, [window for window in found.windows if window.run_id == run_id]


def read_for_run(found: Backfill, windows: Sequence[Window], run_id: str) -> list[int]:
    """Count what the windows of a scheduler's run will bring, then read them; returns the batches that wait for the audit."""
    entry = contracts.load(found.dataset)
    waiting: list[int] = []
    with database.connect("loader", autocommit=True) as connection:
        for window in windows:
            _note(connection, found.backfill_id, window.number, "running")
            try:
                [seen] = _count(connection, entry, [window])
                _expect(connection, found.backfill_id, seen)
                log.info("%s: %s. Closed: %s", found.title, seen.expectation, _closes(entry, [seen]))
                waiting = extract(found, window, run_id)
            except BaseException as error:
                _note(connection, found.backfill_id, window.number, "failed", database.cleaned(error))
                raise
    return waiting


def settle_run(
    dataset: str, run_id: str, still_active: Callable[[list[str] | None], int]
) -> tuple[Backfill, bool] | None:
    """Note that a run has published what it had to; returns the scheduler's open backfill and whether it ended with this run.

    `still_active` counts the runs that are queued or running: all, or those of the ids. The backfill has ended when all that
    are have done what they had to. A run that is no part of it ends it too: the last of its own may have failed. A run that is
    tried again after it ended one, and was killed before it could say so, is told once more until a build has seen it.
    """
    with database.connect("loader", autocommit=True) as connection:
        found = open_of(connection, dataset)
        if found is None or found.origin != AIRFLOW or found.state not in ("running", "stopped"):
            return _ended_unbuilt(connection, dataset, run_id)
        for window in found.windows:
            if window.run_id == run_id:
                _settle(connection, found, window)
        connection.execute(
            "INSERT INTO ops.backfill_run (backfill_id, run_id) VALUES (%s, %s) ON CONFLICT (backfill_id, run_id)"
            " DO UPDATE SET done_at = excluded.done_at",
            (found.backfill_id, run_id),
        )
        done = [
            name
            for (name,) in connection.execute(
                "SELECT run_id FROM ops.backfill_run WHERE backfill_id = %s ORDER BY done_at DESC LIMIT %s",
                (found.backfill_id, _RECENT_RUNS),
            )
        ]
        ended = still_active(None) <= still_active(done) and end(connection, found)
        return get(connection, found.backfill_id), ended


def _ended_unbuilt(connection: Connection, dataset: str, run_id: str) -> tuple[Backfill, bool] | None:
    """The newest backfill that ended while the run was in it, and of which no build knows yet."""
    row = connection.execute(
        "SELECT backfill_id FROM ops.backfill f JOIN ops.backfill_run r USING (backfill_id)"
        " WHERE f.dataset = %s AND f.origin = %s AND r.run_id = %s AND (f.state = 'comparing' OR f.state = 'done' AND f.ended_at >"
        " (SELECT coalesce(max(started_at), '-infinity') FROM ops.build WHERE state = 'built')) ORDER BY backfill_id DESC LIMIT 1",
        (dataset, AIRFLOW, run_id),
    ).fetchone()
    return (get(connection, row[0]), True) if row else None


# -- approval --------------------------------------------------------------------------------------------------------


def compare(run_id: str | None = None) -> list[Backfill]:
    """Compute what the backfills that ask for approval would change; returns those that wait for a person from now on.

    Nothing that people read changes: the build sees the backfill's batches, its release is rolled back.
    """
    with database.connect("loader", autocommit=True) as connection:
        found = [
            get(connection, backfill_id)
            for (backfill_id,) in connection.execute(
                "SELECT backfill_id FROM ops.open_backfill WHERE state = 'comparing' ORDER BY backfill_id"
            ).fetchall()
        ]
        for one in found:
            built = transform.build(run_id=run_id, compares=one.backfill_id)
            changes, stale = release.difference(built.build_id)
            with connection.transaction():
                connection.execute("DELETE FROM ops.backfill_difference WHERE backfill_id = %s", (one.backfill_id,))
                with connection.cursor() as cursor:
                    cursor.executemany(
                        "INSERT INTO ops.backfill_difference (backfill_id, group_name, schema_name, table_name, inserted, updated,"
                        " deleted) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                        [
                            (one.backfill_id, group, each.schema, each.table, each.inserted, each.updated, each.deleted)
                            for group, entries in changes.items()
                            for each in entries
                        ],
                    )
                _move(
                    connection, one, "waiting", "comparing", compared_build=built.build_id, compared_stale=Jsonb(stale)
                )
        return [get(connection, one.backfill_id) for one in found]


def waiting_since(connection: psycopg.Connection[Any], run_id: str) -> list[Backfill]:
    """The backfills that wait for approval since a scheduler's run compared them."""
    rows = connection.execute(
        "SELECT backfill_id FROM ops.backfill f JOIN ops.build b ON b.build_id = f.compared_build"
        " WHERE f.state = 'waiting' AND b.run_id = %s ORDER BY backfill_id",
        (run_id,),
    ).fetchall()
    return [get(connection, backfill_id) for (backfill_id,) in rows]


def approve(backfill_id: int, *, person: str, reason: str) -> Backfill:
    """Let the next build take a backfill in. Raises BackfillError when it does not wait, when a batch of it was published
    since it was compared (then it is compared again), or when no reason is given."""
    with database.connect("loader", autocommit=True) as connection:
        found = get(connection, backfill_id)
        decision = _decision(connection, found, person, reason)
        row = connection.execute(
            "SELECT coalesce(max(batch_id), 0) FROM ops.build_horizon WHERE build_id = %s AND dataset = %s",
            (found.compared_build, found.dataset),
        ).fetchone()
        compared = row[0] if row else 0
        later = [one["batch_id"] for one in found.batches if one["state"] == "published" and one["batch_id"] > compared]
        if later and _move(connection, found, "comparing", "waiting"):
            raise BackfillError(
                f"{found.title} is not what was compared: batch {later[-1]} was published since. Compare it again,"
                f" `./citydata run warehouse`, then `./citydata backfill show {backfill_id}`"
            )
        if not _move(connection, found, "done", "waiting", **decision):
            raise BackfillError(f"{found.title} is {found.state}; only one that waits is approved or rejected")
        return get(connection, backfill_id)


def reject(backfill_id: int, *, person: str, reason: str) -> Backfill:
    """Take a backfill back that waits for approval: the dataset reads as before. Raises BackfillError as `approve` does."""
    return _take_back(backfill_id, "rejected", ("waiting", "undoing"), person, reason)


def cancel(backfill_id: int, *, person: str, reason: str) -> Backfill:
    """Give up a backfill that has not ended and take back what it published. Raises BackfillError when it has ended."""
    return _take_back(
        backfill_id, "cancelled", ("running", "stopped", "comparing", "waiting", "undoing"), person, reason
    )


def _decision(connection: Connection, found: Backfill, person: str, reason: str) -> dict[str, Any]:
    if not reason.strip() or not person.strip():
        raise BackfillError(f"{found.title}: a decision needs a person and a reason")
    return {"decided_by": person, "decided_reason": reason, "decided_at": database.now(connection)}


def _take_back(backfill_id: int, state: str, before: tuple[str, ...], person: str, reason: str) -> Backfill:
    """Reject a backfill's batches and rebuild the dataset without them.

    Its versions cannot be closed or reopened one by one: later batches were compared with them. No release has seen them, so
    nobody misses them; the archives stay. Killed in between, or when the rebuild holds a batch, the backfill is `undoing`, and
    the same command goes on.
    """
    with database.connect("loader", autocommit=True) as connection:
        found = get(connection, backfill_id)
        decision = _decision(connection, found, person, reason)
    with _alone(found) as connection:
        if not _move(connection, found, "undoing", *before, **decision):
            wanted = "only one that waits is approved or rejected" if state == "rejected" else "it has ended"
            raise BackfillError(f"{found.title} is {found.state}; {wanted}")
        if pipeline.leave_out(connection, found.dataset) or found.state == "undoing":
            try:
                pipeline.rebuild(found.dataset)
            except ops.BatchError as error:
                verb = "reject" if state == "rejected" else "cancel"
                raise BackfillError(
                    f"{found.title} is undoing: {error}, then `./citydata backfill {verb} {backfill_id} --reason '…'` again"
                ) from None
        _move(connection, found, state, "undoing")
        return get(connection, backfill_id)
