"""The register: the inventory as it was known at any moment, bitemporal and append-only, in `governance.register`.

`valid_*` is when something was so in the town, `recorded_at` to `superseded_at` when the register said so. What vanishes from
the inventory's files without a logged decision stays in the register: it goes on counting.
"""

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from citydata import database
from citydata.connector_options import Strict
from citydata.governance import share
from citydata.governance.inventory import KINDS, Inventory

Connection = psycopg.Connection[Any]

REGISTER_LOCK = 6380004
COUNTED = ("datasets", "systems")
"""Kinds that count: they end by a decision only."""
ENDING = ("removed", "merged", "split")
FOUND = "found"
"""Kind of the entries that reconciliation makes."""


@dataclass(frozen=True)
class Find:
    """Something that reconciliation has seen and no system of the inventory accounts for."""

    found: str
    first_seen: datetime


@dataclass(frozen=True)
class Register:
    """What the register knows at a moment: the inventory with what vanished from it, and what was found.

    `vanished` are datasets and systems that left the files without a decision; `unlogged` are datasets that came later than
    the first inventory without one.
    """

    inventory: Inventory
    vanished: frozenset[str] = frozenset()
    unlogged: frozenset[str] = frozenset()
    found: tuple[Find, ...] = ()


def bring(connection: Connection, inventory: Inventory, today: date) -> list[str]:
    """Record what is new, changed or ended in the inventory; returns what was, in words. Again, it records nothing."""
    changes: list[str] = []
    with connection.transaction():
        moment = _lock(connection)
        current = _current(connection, "inventory", today)
        planned, gone = _planned(connection, today), _gone(connection, today)
        for kind in KINDS:
            entries = _entries(inventory, kind)
            for name, entry in entries.items():
                key, body = (kind, name), _body(entry)
                if body == current.get(key, planned.get(key)):
                    continue
                since: date | None = today
                if key in planned and key not in current:
                    _record(connection, kind, name, "inventory", moment, body=None, since=today)
                if key not in current:
                    since = _first_day(inventory, entry, name, today, gone.get(key), first=not current)
                _record(connection, kind, name, "inventory", moment, body=body, since=since)
                changes.append(f"{kind} {name}: {'changed' if key in current else 'new'}")
            for name in [name for of, name in current if of == kind and name not in entries]:
                if kind not in COUNTED or _ended(inventory, kind, name, current[kind, name], today):
                    _record(connection, kind, name, "inventory", moment, body=None, since=today)
                    changes.append(f"{kind} {name}: ended")
            for name in [name for of, name in planned.keys() - current.keys() if of == kind and name not in entries]:
                # It never was: nobody needs to decide that it ends.
                _record(connection, kind, name, "inventory", moment, body=None, since=today)
                changes.append(f"{kind} {name}: no longer planned")
    return changes


def note_finds(connection: Connection, seen: Mapping[str, datetime], accounted: Set[str], today: date) -> None:
    """Record new finds, and end those that a system or a dismissal accounts for.

    `seen` are all finds of now that nothing accounts for; `accounted` those of before that something does account for. What
    was accounted for and no longer is keeps the moment when it was first seen.
    """
    with connection.transaction():
        moment = _lock(connection)
        current = _current(connection, "reconciliation", today)
        ever: dict[str, datetime] = dict(
            connection.execute(
                "SELECT id, min((body ->> 'first_seen')::timestamptz) FROM governance.register WHERE kind = %s GROUP BY id",
                (FOUND,),
            ).fetchall()
        )
        for name, seen_at in seen.items():
            if (FOUND, name) not in current:
                body = {"first_seen": ever.get(name, seen_at).isoformat()}
                _record(connection, FOUND, name, "reconciliation", moment, body=body, since=today)
        for _, name in current:
            if name in accounted:
                _record(connection, FOUND, name, "reconciliation", moment, body=None, since=today)


def finds(connection: Connection, today: date, known_at: datetime | None = None) -> tuple[Find, ...]:
    """What reconciliation has found and nothing accounts for yet, as it was known at a moment (now)."""
    return tuple(
        Find(name, datetime.fromisoformat(body["first_seen"]))
        for (_, name), body in sorted(_current(connection, "reconciliation", today, known_at).items())
    )


def read(connection: Connection, today: date, known_at: datetime | None = None) -> Register:
    """The register for a day, as it was known at a moment (now)."""
    rows = _current(connection, "inventory", today, known_at)
    by_kind: dict[str, dict[str, Strict]] = {kind: {} for kind in KINDS}
    for (kind, name), body in sorted(rows.items()):
        by_kind[kind][name] = KINDS[kind].model_validate(body)
    mappings = {
        field.name for field in fields(Inventory) if field.name in KINDS and "id" in KINDS[field.name].model_fields
    }
    whole: dict[str, Any] = {
        kind: entries if kind in mappings else tuple(entries.values()) for kind, entries in by_kind.items()
    }
    inventory = Inventory(**whole)
    found = finds(connection, today, known_at)
    return Register(inventory, unlogged=_unlogged(connection, inventory, today), found=found)


def compared(register: Register, inventory: Inventory) -> Register:
    """The register with what of it the files no longer hold marked as vanished."""
    vanished = {
        name for kind in COUNTED for name in getattr(register.inventory, kind) if name not in getattr(inventory, kind)
    }
    whole = replace(register.inventory, reconciliation=inventory.reconciliation)
    return replace(register, inventory=whole, vanished=frozenset(vanished))


def _ended(inventory: Inventory, kind: str, name: str, body: dict[str, Any], today: date) -> bool:
    """Whether an officer has decided that a dataset or system ends, since it last came. Its owner decides nothing about it."""
    came = _came(inventory, name, today)
    endings = tuple(
        change for change in inventory.changes if name not in change.after and (came is None or came <= change.on)
    )
    known: dict[str, Any] = {kind: {**getattr(inventory, kind), name: KINDS[kind].model_validate(body)}}
    return share.decided(replace(inventory, changes=endings, **known), name, today, kinds=ENDING)


def _came(inventory: Inventory, name: str, today: date) -> date | None:
    """The day of the last logged change by which a dataset or system came."""
    return max((change.on for change in inventory.changes if name in change.after and change.on <= today), default=None)


def _unlogged(connection: Connection, inventory: Inventory, today: date) -> frozenset[str]:
    """Datasets that were first recorded after the first inventory, or came back, and whose coming nobody decided."""
    rows = connection.execute(
        "SELECT id, min(recorded_at) > (SELECT min(recorded_at) FROM governance.register WHERE origin = 'inventory'),"
        " max(valid_from) FILTER (WHERE superseded_at = 'infinity' AND ended < valid_from)"
        " FROM (SELECT id, recorded_at, superseded_at, valid_from,"
        " lag(valid_to) OVER (PARTITION BY id, superseded_at = 'infinity' ORDER BY valid_from) AS ended"
        " FROM governance.register WHERE kind = 'datasets' AND valid_from <= %s) AS version GROUP BY id",
        (today,),
    ).fetchall()
    return frozenset(
        name
        for name, later, back in rows
        if (later or back) and name in inventory.datasets
        and not share.decided(_arrivals(inventory, name, back), name, today, kinds=("added", "split", "merged"))
    )  # fmt: skip


def _arrivals(inventory: Inventory, name: str, back: date | None) -> Inventory:
    """The inventory with the changes only by which a dataset came, or came back on a day."""
    changes = [change for change in inventory.changes if name in change.after and (back is None or back <= change.on)]
    return replace(inventory, changes=tuple(changes))


def _current(
    connection: Connection, origin: str, today: date, known_at: datetime | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT kind, id, body FROM governance.register WHERE origin = %(origin)s"
            " AND valid_from <= %(today)s AND %(today)s < valid_to"
            " AND recorded_at <= coalesce(%(known)s, clock_timestamp())"
            " AND coalesce(%(known)s, clock_timestamp()) < superseded_at",
            {"origin": origin, "today": today, "known": known_at},
        ).fetchall()
    return {(row["kind"], row["id"]): row["body"] for row in rows}


def _lock(connection: Connection) -> datetime:
    """Be the only one who records until the transaction ends; returns the moment that all of it is recorded at.

    With one moment the register is whole at every moment: what replaces a version is known when that one no longer is.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (REGISTER_LOCK,))
    return database.now(connection)


def _planned(connection: Connection, today: date) -> dict[tuple[str, str], dict[str, Any]]:
    """Entries that say themselves that they begin on a later day."""
    rows = connection.execute(
        "SELECT kind, id, body FROM governance.register"
        " WHERE origin = 'inventory' AND superseded_at = 'infinity' AND valid_from > %s",
        (today,),
    ).fetchall()
    return {(kind, name): body for kind, name, body in rows}


def _gone(connection: Connection, today: date) -> dict[tuple[str, str], date]:
    """The day from which the last version that is over no longer held."""
    rows = connection.execute(
        "SELECT kind, id, max(valid_to) FROM governance.register"
        " WHERE origin = 'inventory' AND superseded_at = 'infinity' AND valid_to <= %s GROUP BY kind, id",
        (today,),
    ).fetchall()
    return {(kind, name): end for kind, name, end in rows}


def _record(
    connection: Connection,
    kind: str,
    name: str,
    origin: str,
    moment: datetime,
    *,
    body: dict[str, Any] | None,
    since: date | None,
) -> None:
    """From a day on the entry is `body`, or ends. What was so before that day stays so; what was said of later is superseded."""
    start = since or "-infinity"
    with connection.cursor(row_factory=dict_row) as cursor:
        superseded = cursor.execute(
            "UPDATE governance.register SET superseded_at = %s"
            " WHERE kind = %s AND id = %s AND superseded_at = 'infinity' AND valid_to > %s::date"
            " RETURNING body, valid_from::text, valid_from < %s::date AS earlier",
            (moment, kind, name, start, start),
        ).fetchall()
    statement = (
        "INSERT INTO governance.register (kind, id, body, origin, valid_from, valid_to, recorded_at)"
        " VALUES (%s, %s, %s, %s, %s::date, %s::date, %s)"
    )
    for row in superseded:
        if row["earlier"]:
            connection.execute(statement, (kind, name, Jsonb(row["body"]), origin, row["valid_from"], start, moment))
    if body is not None:
        connection.execute(statement, (kind, name, Jsonb(body), origin, start, "infinity", moment))


def _first_day(
    inventory: Inventory, entry: Strict, name: str, today: date, gone: date | None, *, first: bool
) -> date | None:
    """From when a new entry holds: what it says itself, the day of its logged change, else today; None is always.

    What the first inventory lists was there before it. What was `gone` since a day and comes back was not there meanwhile.
    """
    stated = getattr(entry, "valid_from", None) or _came(inventory, name, today)
    if gone is not None and (stated is None or stated <= gone):
        return today
    return stated or (None if first else today)


def _entries(inventory: Inventory, kind: str) -> dict[str, Strict]:
    found = getattr(inventory, kind)
    return dict(found) if isinstance(found, Mapping) else {_digest(entry): entry for entry in found}


def _body(entry: Strict) -> dict[str, Any]:
    body: dict[str, Any] = entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return body


def _digest(entry: Strict) -> str:
    """Decisions have no id of their own: they are what they say."""
    return hashlib.sha256(json.dumps(_body(entry), sort_keys=True).encode()).hexdigest()[:16]
