"""Publish audited batches into the versioned tables, in sequence, one transaction a batch.

The difference is computed by comparing columns, NULL equal to NULL. What changed is closed and opened anew, what vanished
from the batch's scope is closed, and the batch's ledger is completed in the same transaction.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from citydata import contract as contracts
from citydata import database, land, ops, quality
from citydata.contract import Contract
from citydata.ops import Batch, Connection

EVERYTHING = "*"


@dataclass(frozen=True)
class PublishedBatch:
    """What publishing did with a batch."""

    batch_id: int
    state: str
    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    closed: int = 0

    @property
    def altered(self) -> bool:
        """Whether the dataset reads differently now."""
        return bool(self.inserted or self.changed or self.closed)


class Held(Exception):
    """Publishing would do what only a person may decide; carries the reason."""


def publish(dataset: str) -> list[PublishedBatch]:
    """Publish everything of a dataset that can be, oldest first.

    An increment behind a held one waits. A batch whose landing table was lost is landed again and left for the audit.
    """
    contract = contracts.load(dataset)
    done: list[PublishedBatch] = []
    with database.connect("loader", autocommit=True) as connection:
        ops.lock(connection, ops.PUBLICATION, dataset)
        for batch in ops.in_states(connection, dataset, "sealed", "landed", "audited", "held"):
            if batch.state == "held" and contract.mode == "snapshot":
                continue  # the next snapshot of its scope supersedes it
            if batch.state != "audited" or land.ensure(connection, batch):
                break  # what came later waits
            try:
                done.append(_Publication(connection, contract, batch).run())
            except Held as held:
                ops.hold(connection, batch.batch_id, str(held))
                done.append(PublishedBatch(batch.batch_id, "held"))
                if contract.mode != "snapshot":
                    break
            land.drop(connection, batch.batch_id)
    return done


class _Publication:
    """One batch being published."""

    def __init__(self, connection: Connection, contract: Contract, batch: Batch) -> None:
        self.connection, self.contract, self.batch = connection, contract, batch
        self.key = contract.key
        self.columns = list(contract.table_columns)
        self.landing = sql.Identifier("landing", batch.landing_table)
        self.raw = sql.Identifier("raw", contract.raw_name)
        self.quarantine = sql.Identifier("quarantine", contract.system)
        self.counts = dict.fromkeys(
            ("inserted", "changed", "unchanged", "repeated", "superseded", "stale", "closed"), 0
        )
        self.quarantined = batch.quarantined
        self.landed = batch.landed
        self.parts = self._parts()
        self.fresh = self.parts

    def run(self) -> PublishedBatch:
        """Publish in one transaction. Raises Held, with nothing changed, when a threshold is passed."""
        with self.connection.transaction():
            if self.batch.kind == "sweep":
                self._sweep()
            elif self.batch.kind == "deletions":
                self._deletions()
            else:
                if self.contract.mode == "snapshot":
                    self._set_stale_parts_aside()
                if self.key:
                    self._keyed()
                else:
                    self._keyless()
            self._resolve_quarantine()
            self._close_ledger()
        return PublishedBatch(
            self.batch.batch_id,
            "published",
            **{name: self.counts[name] for name in ("inserted", "changed", "unchanged", "closed")},
        )

    # -- statements ------------------------------------------------------------------------------------------------

    def _run(self, statement: str, **names: sql.Composable) -> psycopg.Cursor[Any]:
        """Run a statement in which names stand in braces and the batch's values as parameters."""
        composed = sql.SQL(statement).format(landing=self.landing, raw=self.raw, quarantine=self.quarantine, **names)
        values = {
            "batch": self.batch.batch_id,
            "dataset": self.batch.dataset,
            "observed": self.batch.observed_at,
            "parts": self.parts,
            "fresh": self.fresh,
        }
        return self.connection.execute(composed, values)

    def _value(self, statement: str, **names: sql.Composable) -> int:
        row = self._run(statement, **names).fetchone()
        return int(row[0] or 0) if row else 0

    def _names(self, names: Sequence[str], prefix: str = "") -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(name) for name in names)

    def _same_key(self) -> sql.Composed:
        return sql.SQL(" AND ").join(sql.SQL("l.{0} = r.{0}").format(sql.Identifier(name)) for name in self.key)

    def _differs(self) -> sql.Composed:
        names = [name for name in self.contract.compared_columns if name not in self.key]
        if not names:
            return sql.SQL("false").format()
        return sql.SQL("ROW({}) IS DISTINCT FROM ROW({})").format(self._names(names, "l."), self._names(names, "r."))

    def _key_text(self, alias: str) -> sql.Composed:
        """The key of a row as quarantine writes it."""
        pairs = sql.SQL(", ").join(
            sql.SQL("{}, {}.{}").format(sql.Literal(name), sql.SQL(alias), sql.Identifier(name)) for name in self.key
        )
        return sql.SQL("jsonb_build_object({})::text").format(pairs)

    # -- scope -----------------------------------------------------------------------------------------------------

    def _parts(self) -> list[str]:
        """The parts of the dataset that this batch covers, as ops.coverage names them."""
        scope = self.batch.scope
        if scope["type"] == "everything":
            return [EVERYTHING]
        return [json.dumps(value, ensure_ascii=False) for value in scope["values"]]

    def _in(self, alias: str, parts: str) -> sql.Composed:
        """Whether a row of `alias` lies in the parts that the parameter `parts` lists."""
        if self.batch.scope["type"] == "everything":
            return sql.SQL("%({})s::text[] <> '{{}}'").format(sql.SQL(parts))
        columns = self._names(self.batch.scope["columns"], f"{alias}.")
        return sql.SQL("jsonb_build_array({})::text = ANY(%({})s)").format(columns, sql.SQL(parts))

    def _set_stale_parts_aside(self) -> None:
        """Rows of a part of which a newer observation is published already are never a reversal: they count as stale."""
        newer = self._run(
            "SELECT part FROM ops.coverage WHERE dataset = %(dataset)s AND part = ANY(%(parts)s) AND observed_at > %(observed)s"
        ).fetchall()
        stale = {row[0] for row in newer}
        if not stale:
            return
        self.fresh = [part for part in self.parts if part not in stale]
        gone = self._run("DELETE FROM {landing} l WHERE NOT {fresh}", fresh=self._in("l", "fresh")).rowcount
        self.counts["stale"] += gone
        self.landed -= gone

    # -- rows with a key -------------------------------------------------------------------------------------------

    def _keyed(self) -> None:
        if self._value("SELECT count(*) FROM (SELECT FROM {raw} LIMIT 1) AS first") == 0:
            self._first_load()
            return
        if self.contract.mode == "increment":
            self._resolve_repeated_keys()
        self._compute_difference()
        if self.contract.mode == "snapshot" and self._has_repeated_keys():
            self._run("DROP TABLE difference")
            self._resolve_repeated_keys()
            self._compute_difference()
        self._note_key_rule()
        if self.contract.watermark:
            self._set_stale_rows_aside()
        if self.contract.deletes != "none":
            self._set_deleted_rows_aside()
        vanished = self._vanished_keys() if self.contract.mode == "snapshot" else 0
        changed = self._value("SELECT count(*) FROM difference WHERE landed IS NOT NULL AND current IS NOT NULL")
        self._run(
            "UPDATE {raw} r SET _closed_by = %(batch)s FROM difference d WHERE r.ctid = d.current AND r._closed_by IS NULL"
        )
        inserted = self._run(
            "INSERT INTO {raw} ({columns}, _opened_by, _observed_at) SELECT {values}, %(batch)s, %(observed)s"
            " FROM {landing} l JOIN difference d ON l.ctid = d.landed",
            columns=self._names(self.columns),
            values=self._names(self.columns, "l."),
        ).rowcount
        self.counts["changed"] = changed
        self.counts["inserted"] = inserted - changed
        self.counts["closed"] = vanished
        self.counts["unchanged"] = self.landed - inserted

    def _first_load(self) -> None:
        """Into an empty table: nothing to compare, and the index is built once at the end, which finds repeated keys too."""
        name = self.contract.raw_name
        try:
            with self.connection.transaction():
                self._insert_all(name)
        except psycopg.errors.UniqueViolation:
            self._resolve_repeated_keys()
            self._insert_all(name)
        self._note_key_rule()

    def _insert_all(self, name: str) -> None:
        self.connection.execute("SELECT ops.begin_first_load(%s)", (name,))
        self.counts["inserted"] = self._run(
            "INSERT INTO {raw} ({columns}, _opened_by, _observed_at) SELECT {columns}, %(batch)s, %(observed)s FROM {landing}",
            columns=self._names(self.columns),
        ).rowcount
        self.connection.execute("SELECT ops.end_first_load(%s)", (name,))

    def _compute_difference(self) -> None:
        """Pairs of row addresses: landed without current is new, current without landed vanished, both is changed."""
        # A new landing table has no statistics, and without them PostgreSQL sorts both sides on disk where hashing is twice as fast.
        self._run("SET LOCAL enable_mergejoin = off")
        self._run(
            "CREATE TEMPORARY TABLE difference ON COMMIT DROP AS"
            " SELECT l.ctid AS landed, r.ctid AS current FROM {landing} l {join}"
            " (SELECT ctid, * FROM {raw} r WHERE _closed_by IS NULL AND {scope}) r ON {same}"
            " WHERE l.{key} IS NULL OR r.{key} IS NULL OR {differs}",
            join=sql.SQL("FULL JOIN" if self.contract.mode == "snapshot" else "LEFT JOIN"),
            scope=self._in("r", "fresh"),
            same=self._same_key(),
            key=sql.Identifier(self.key[0]),
            differs=self._differs(),
        )

    @functools.cached_property
    def _current(self) -> int:
        """Number of current rows in the batch's scope before it is published."""
        return self._value(
            "SELECT count(*) FROM {raw} r WHERE _closed_by IS NULL AND {scope}", scope=self._in("r", "fresh")
        )

    def _has_repeated_keys(self) -> bool:
        """Whether a key occurs twice in the landed rows, from counts that the difference already knows.

        Every current row that did not vanish was matched; were the keys unique, as many landed rows were matched.
        """
        new = self._value("SELECT count(*) FROM difference WHERE current IS NULL")
        vanished = self._value("SELECT count(*) FROM difference WHERE landed IS NULL")
        if self.landed - new != self._current - vanished:
            return True
        return bool(
            self._value(
                "SELECT count(*) FROM (SELECT FROM {landing} l JOIN difference d ON l.ctid = d.landed"
                " WHERE d.current IS NULL GROUP BY {key} HAVING count(*) > 1) AS repeated",
                key=self._names(self.key, "l."),
            )
        )

    def _resolve_repeated_keys(self) -> None:
        """A key twice: equal rows are one, and of an increment's versions the newest counts.

        Else nobody can tell which is right, and all of them wait in quarantine.
        """
        self.counts["repeated"] += self._run(
            "DELETE FROM {landing} WHERE ctid IN (SELECT ctid FROM ("
            "SELECT ctid, row_number() OVER (PARTITION BY {columns} ORDER BY _row) AS n FROM {landing}) AS numbered WHERE n > 1)",
            columns=self._names(self.columns),
        ).rowcount
        if self.contract.watermark:
            self.counts["superseded"] += self._run(
                "DELETE FROM {landing} l USING (SELECT {key}, max({mark}) AS newest FROM {landing} GROUP BY {key} HAVING count(*) > 1) AS r"
                " WHERE {same} AND l.{mark} < r.newest",
                key=self._names(self.key),
                mark=sql.Identifier(self.contract.watermark.column),
                same=self._same_key(),
            ).rowcount
        ambiguous = self._run(
            "WITH repeated AS (SELECT {key} FROM {landing} GROUP BY {key} HAVING count(*) > 1),"
            " gone AS (DELETE FROM {landing} l USING repeated r WHERE {same} RETURNING l.*)"
            " INSERT INTO {quarantine} (dataset, batch_id, row_number, key, reasons, row)"
            " SELECT %(dataset)s, %(batch)s, _row, {text}, ARRAY[%(dataset)s || '.key.unique'], to_jsonb(gone) - '_row' FROM gone",
            key=self._names(self.key),
            same=self._same_key(),
            text=self._key_text("gone"),
        ).rowcount
        self.quarantined += ambiguous
        self.landed = self._value("SELECT count(*) FROM {landing}")
        too_many = self.contract.too_many_quarantined(self.quarantined, self.batch.extracted)
        if too_many and self.batch.decided_at is None:
            raise Held(f"{too_many}; {ambiguous} of them have a key that occurs with different content")

    def _note_key_rule(self) -> None:
        unexpected = self.quarantined - self.batch.quarantined
        if not self.batch.extracted:
            return
        quality.record(
            self.connection,
            [
                quality.CheckResult(
                    source="structure",
                    check_id=f"{self.batch.dataset}.key.unique",
                    dimension="uniqueness",
                    severity="quarantine",
                    description=f"A key ({', '.join(self.key)}) does not occur twice with different content.",
                    outcome="fail" if unexpected else "pass",
                    dataset=self.batch.dataset,
                    batch_id=self.batch.batch_id,
                    evaluated=self.batch.extracted,
                    unexpected=unexpected,
                    owner=self.contract.owner,
                )
            ],
        )

    def _set_stale_rows_aside(self) -> None:
        """A row that the source changed before the current version was changed is stale, whenever it arrives."""
        assert self.contract.watermark
        gone = self._run(
            "DELETE FROM difference d USING {landing} l, {raw} r"
            " WHERE l.ctid = d.landed AND r.ctid = d.current AND l.{mark} < r.{mark}",
            mark=sql.Identifier(self.contract.watermark.column),
        ).rowcount
        self.counts["stale"] += gone
        self.landed -= gone

    def _set_deleted_rows_aside(self) -> None:
        """A row that an older reading brings, and that the source has deleted since, does not come back to life."""
        gone = self._run(
            "DELETE FROM difference d USING {landing} l WHERE l.ctid = d.landed AND d.current IS NULL AND EXISTS ("
            "SELECT FROM {raw} r JOIN ops.batch b ON b.batch_id = r._closed_by"
            " WHERE {same} AND b.kind <> 'load' AND b.observed_at > %(observed)s)",
            same=self._same_key(),
        ).rowcount
        self.counts["stale"] += gone
        self.landed -= gone

    def _vanished_keys(self) -> int:
        """Take out of the difference what must not be closed, check the threshold, and count what is left."""
        self._run(
            "DELETE FROM difference d USING {raw} r WHERE d.landed IS NULL AND r.ctid = d.current AND"
            " (EXISTS (SELECT FROM {quarantine} WHERE batch_id = %(batch)s AND key IS NULL)"
            " OR {text} IN (SELECT key FROM {quarantine} WHERE batch_id = %(batch)s))",
            text=self._key_text("r"),
        )
        vanished = self._value("SELECT count(*) FROM difference WHERE landed IS NULL")
        self._check_closed(vanished)
        return vanished

    def _check_closed(self, vanished: int) -> None:
        current = self._current
        if vanished and vanished / current > self.contract.max_closed_share and self.batch.decided_at is None:
            raise Held(
                f"{vanished} of {current} current rows are not in the batch and would be closed"
                f" ({vanished / current:.1%}, allowed {self.contract.max_closed_share:.1%})"
            )

    # -- rows without a key ----------------------------------------------------------------------------------------

    def _keyless(self) -> None:
        """Rows are the same when their content is; n equal rows now and m before are compared by number."""
        columns = self._names(self.columns)
        self._run(
            "CREATE TEMPORARY TABLE difference ON COMMIT DROP AS SELECT {columns}, hashtextextended(ROW({columns})::text, 0) AS _hash,"
            " count(*) FILTER (WHERE _landed) AS _now, count(*) FILTER (WHERE NOT _landed) AS _before FROM ("
            "SELECT {columns}, true AS _landed FROM {landing} UNION ALL"
            " SELECT {columns}, false FROM {raw} r WHERE _closed_by IS NULL AND {scope}) AS both_sides"
            " GROUP BY {columns} HAVING count(*) FILTER (WHERE _landed) <> count(*) FILTER (WHERE NOT _landed)",
            columns=columns,
            scope=self._in("r", "fresh"),
        )
        # The hash only makes the join fast; what decides is the comparison of all columns. The last occurrences go first.
        self._run(
            "CREATE TEMPORARY TABLE vanished ON COMMIT DROP AS SELECT address FROM ("
            "SELECT r.ctid AS address, d._before - d._now AS excess,"
            " row_number() OVER (PARTITION BY {content} ORDER BY r._occurrence DESC) AS n"
            " FROM {raw} r JOIN difference d ON d._hash = hashtextextended(ROW({content})::text, 0)"
            " AND ROW({content}) IS NOT DISTINCT FROM ROW({wanted})"
            " WHERE d._before > d._now AND r._closed_by IS NULL AND {scope}"
            ") AS candidates WHERE n <= excess",
            content=self._names(self.columns, "r."),
            wanted=self._names(self.columns, "d."),
            scope=self._in("r", "fresh"),
        )
        # A refused row may be a broken form of a current one: what agrees with all of it that could be read stays open.
        self._run(
            "DELETE FROM vanished v USING {raw} r WHERE r.ctid = v.address AND EXISTS (SELECT FROM {quarantine} q"
            " WHERE q.batch_id = %(batch)s AND (q.key IS NULL OR to_jsonb(r) @> q.key::jsonb))"
        )
        vanished = self._value("SELECT count(*) FROM vanished")
        self._check_closed(vanished)
        self._run(
            "UPDATE {raw} r SET _closed_by = %(batch)s FROM vanished v WHERE r.ctid = v.address AND r._closed_by IS NULL"
        )
        inserted = self._run(
            "INSERT INTO {raw} ({columns}, _occurrence, _opened_by, _observed_at)"
            " SELECT {columns}, _before + n, %(batch)s, %(observed)s FROM difference, generate_series(1, _now - _before) AS n",
            columns=columns,
        ).rowcount
        self.counts["inserted"] = inserted
        self.counts["unchanged"] = self.landed - inserted
        self.counts["closed"] = vanished

    # -- keys of all rows ------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Close what the source no longer has. Versions observed after the sweep was read are not judged by it."""
        if self.batch.quarantined:
            raise Held(
                f"{self.batch.quarantined} keys could not be read, so nothing can be said about what was deleted"
            )
        self._run(
            "CREATE TEMPORARY TABLE difference ON COMMIT DROP AS SELECT r.ctid AS current FROM {raw} r"
            " WHERE r._closed_by IS NULL AND r._observed_at <= %(observed)s AND NOT EXISTS (SELECT FROM {landing} l WHERE {same})",
            same=self._same_key(),
        )
        vanished = self._value("SELECT count(*) FROM difference")
        self._check_closed(vanished)
        self._run(
            "UPDATE {raw} r SET _closed_by = %(batch)s FROM difference d WHERE r.ctid = d.current AND r._closed_by IS NULL"
        )
        distinct = self._value(
            "SELECT count(*) FROM (SELECT DISTINCT {key} FROM {landing}) AS keys", key=self._names(self.key)
        )
        known = self._value(
            "SELECT count(*) FROM {raw} r WHERE r._closed_by IS NULL AND EXISTS (SELECT FROM {landing} l WHERE {same})",
            same=self._same_key(),
        )
        self.counts["closed"] = vanished
        self.counts["repeated"] = self.landed - distinct
        self.counts["unchanged"] = known
        self.counts["superseded"] = distinct - known  # a later load brings these rows

    # -- keys that the source deleted ------------------------------------------------------------------------------

    def _deletions(self) -> None:
        """Close what the source says it deleted. `changed` counts the keys that had a version to close.

        A version observed after the deletions were read is a later creation of the same key and stays.
        """
        self.counts["repeated"] = self._run(
            "DELETE FROM {landing} WHERE ctid IN (SELECT ctid FROM ("
            "SELECT ctid, row_number() OVER (PARTITION BY {key} ORDER BY _row) AS n FROM {landing}) AS numbered WHERE n > 1)",
            key=self._names(self.key),
        ).rowcount
        self.landed -= self.counts["repeated"]
        self._run(
            "CREATE TEMPORARY TABLE difference ON COMMIT DROP AS SELECT r.ctid AS current FROM {raw} r JOIN {landing} l ON {same}"
            " WHERE r._closed_by IS NULL AND r._observed_at <= %(observed)s",
            same=self._same_key(),
        )
        deleted = self._value("SELECT count(*) FROM difference")
        self._check_closed(deleted)
        self._run(
            "UPDATE {raw} r SET _closed_by = %(batch)s FROM difference d WHERE r.ctid = d.current AND r._closed_by IS NULL"
        )
        self.counts["changed"] = self.counts["closed"] = deleted
        self.counts["unchanged"] = self.landed - deleted

    # -- the ledger ------------------------------------------------------------------------------------------------

    def _resolve_quarantine(self) -> None:
        """Refused rows of older batches of which a newer version came: restated by a snapshot, or valid under the same key."""
        if self.batch.kind != "load":
            return
        if self.contract.mode == "snapshot":
            newer = sql.SQL(
                "EXISTS (SELECT FROM ops.batch b WHERE b.batch_id = q.batch_id AND b.scope ->> 'type' = {} AND"
                " (b.scope ->> 'type' = 'everything' OR NOT EXISTS"
                " (SELECT FROM jsonb_array_elements(b.scope -> 'values') AS part WHERE part::text <> ALL(%(fresh)s))))"
            ).format(sql.Literal(self.batch.scope["type"]))
        else:
            newer = sql.SQL("q.key IN (SELECT {} FROM {} l)").format(self._key_text("l"), self.landing)
            # The overlap reads a refused row again; refused once more, it is this batch's row that waits.
            self._run(
                "UPDATE {quarantine} q SET state = 'reprocessed', resolved_by_batch = %(batch)s"
                " WHERE q.dataset = %(dataset)s AND q.state = 'open' AND q.batch_id < %(batch)s"
                " AND q.key IN (SELECT key FROM {quarantine} WHERE batch_id = %(batch)s)"
            )
        self._run(
            "UPDATE {quarantine} q SET state = 'resolved', resolved_by_batch = %(batch)s"
            " WHERE q.dataset = %(dataset)s AND q.state = 'open' AND q.batch_id < %(batch)s AND {newer}",
            newer=newer,
        )

    def _close_ledger(self) -> None:
        counts = self.counts | {"quarantined": self.quarantined}
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(count)) for name, count in counts.items()
        )
        self._run(
            "UPDATE ops.batch SET state = 'published', published_at = clock_timestamp(), {assignments} WHERE batch_id = %(batch)s",
            assignments=assignments,
        )
        if self.batch.kind == "load" and self.contract.mode == "snapshot":
            self._run(
                "INSERT INTO ops.coverage SELECT %(dataset)s, part, %(observed)s, %(batch)s FROM unnest(%(fresh)s::text[]) AS part"
                " ON CONFLICT (dataset, part) DO UPDATE SET observed_at = excluded.observed_at, batch_id = excluded.batch_id"
            )
            self._supersede_held()
        if self.batch.kind == "load" and self.batch.watermark_to:
            self.connection.execute(
                "INSERT INTO ops.watermark (dataset, value, batch_id) VALUES (%s, %s, %s) ON CONFLICT (dataset) DO UPDATE"
                " SET value = excluded.value, batch_id = excluded.batch_id, advanced_at = clock_timestamp()"
                " WHERE excluded.value::timestamptz > watermark.value::timestamptz",
                (self.batch.dataset, self.batch.watermark_to, self.batch.batch_id),
            )

    def _supersede_held(self) -> None:
        """A held snapshot whose whole scope is restated by this one needs no decision any more."""
        for held in ops.in_states(self.connection, self.batch.dataset, "held"):
            everything = held.scope["type"] == "everything"
            parts = (
                [EVERYTHING]
                if everything
                else [json.dumps(value, ensure_ascii=False) for value in held.scope["values"]]
            )
            if held.batch_id < self.batch.batch_id and set(parts) <= set(self.fresh):
                self.connection.execute(
                    "UPDATE ops.batch SET state = 'superseded' WHERE batch_id = %s", (held.batch_id,)
                )
