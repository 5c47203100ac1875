"""The ledger of batches: what was read, where every row of it is, and what a person decided about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import TupleRow, class_row, dict_row
from psycopg.types.json import Jsonb

from citydata.contract import Contract
from citydata.extract import Candidate, Columns, Position
from citydata.extract.archive import Sealed

Connection = psycopg.Connection[TupleRow]

# Classes of advisory locks; the second number is the hash of the dataset.
EXTRACTION, PUBLICATION = 638001, 638002


class BatchError(RuntimeError):
    """A batch cannot be handled; the text names dataset, batch, reason and what to do."""


class Rejected(BatchError):
    """A batch was rejected while it was being worked on; there is nothing left to do with it."""


@dataclass(frozen=True)
class Batch:
    """A row of ops.batch."""

    batch_id: int
    dataset: str
    kind: str
    mode: str
    scope: dict[str, Any]
    state: str
    contract_hash: str
    observed_at: datetime | None
    archive_path: str | None
    archive_sha256: str | None
    source: dict[str, Any]
    extracted: int
    landed: int
    quarantined: int
    watermark_to: str | None
    held_reason: str | None
    decided_at: datetime | None
    run_id: str | None

    @property
    def landing_table(self) -> str:
        """Name of the batch's table in schema landing."""
        return f"b{self.batch_id}"

    @property
    def title(self) -> str:
        """How errors and logs name the batch."""
        return f"{self.dataset} batch {self.batch_id}"

    @property
    def columns_differ(self) -> bool:
        """Whether its columns were seen to be others than the contract's."""
        return any((self.source.get("columns") or {}).values())


FIELDS = ", ".join(Batch.__dataclass_fields__)


def lock(connection: Connection, kind: int, dataset: str, *, transaction: bool = False) -> None:
    """Wait for the advisory lock of a dataset, held until the session's (or the transaction's) end."""
    function = "pg_advisory_xact_lock" if transaction else "pg_advisory_lock"
    connection.execute(f"SELECT {function}(%s, hashtext(%s))", (kind, dataset))


def open_batch(connection: Connection, contract: Contract, candidate: Candidate, run_id: str | None) -> int:
    """Start a batch; returns its id."""
    row = connection.execute(
        "INSERT INTO ops.batch (dataset, kind, mode, contract_version, contract_hash, observed_at, content_sha256,"
        " watermark_from, source, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING batch_id",
        (
            contract.dataset,
            candidate.kind,
            contract.mode,
            contract.version,
            contract.hash,
            candidate.observed_at,
            candidate.content_sha256,
            candidate.watermark_from,
            Jsonb(candidate.source),
            run_id,
        ),
    ).fetchone()
    assert row
    return int(row[0])


def get(connection: Connection, batch_id: int) -> Batch:
    """Read a batch. Raises BatchError when there is none."""
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        batch = cursor.execute(f"SELECT {FIELDS} FROM ops.batch WHERE batch_id = %s", (batch_id,)).fetchone()
    if batch is None:
        raise BatchError(f"there is no batch {batch_id}; `./citydata batch list` shows what there is")
    return batch


def archived_under(connection: Connection, batch: Batch) -> str:
    """The version of the contract under which a batch's archive was made: of a replay, that of the first batch with it."""
    row = connection.execute(
        "SELECT contract_version FROM ops.batch WHERE archive_path = %s OR batch_id = %s ORDER BY batch_id LIMIT 1",
        (batch.archive_path, batch.batch_id),
    ).fetchone()
    assert row  # the batch itself has it
    return str(row[0])


def in_states(connection: Connection, dataset: str, *states: str) -> list[Batch]:
    """Batches of a dataset in any of the states, oldest first."""
    with connection.cursor(row_factory=class_row(Batch)) as cursor:
        return cursor.execute(
            f"SELECT {FIELDS} FROM ops.batch WHERE dataset = %s AND state = ANY(%s) ORDER BY batch_id",
            (dataset, list(states)),
        ).fetchall()


def not_whole(connection: Connection, dataset: str | None = None) -> dict[str, list[int]]:
    """Batches that were published and are not, by dataset: a rebuild was killed or held them, so the table lacks their rows."""
    return dict(
        connection.execute(
            "SELECT dataset, array_agg(batch_id ORDER BY batch_id) FROM ops.batch WHERE published_at IS NOT NULL"
            " AND state IN ('sealed', 'landed', 'audited', 'held') AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)"
            " GROUP BY dataset",
            {"dataset": dataset},
        ).fetchall()
    )


def listing(
    connection: Connection, dataset: str | None = None, state: str | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Newest batches as dictionaries, for people and machines."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT * FROM ops.batch WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)"
            " AND (%(state)s::text IS NULL OR state = %(state)s) ORDER BY batch_id DESC LIMIT %(limit)s",
            {"dataset": dataset, "state": state, "limit": limit},
        ).fetchall()


def sealed(
    connection: Connection,
    batch_id: int,
    archive: Sealed,
    observed_at: datetime,
    source: dict[str, Any],
    watermark: str | None,
) -> None:
    """The archive is on disk: from here on nothing of the batch is lost."""
    connection.execute(
        "UPDATE ops.batch SET state = 'sealed', archive_path = %s, archive_sha256 = %s, observed_at = %s, source = %s,"
        " watermark_to = %s, sealed_at = clock_timestamp() WHERE batch_id = %s",
        (
            archive.path,
            archive.sha256,
            observed_at,
            Jsonb(source | {"archive_bytes": archive.bytes}),
            watermark,
            batch_id,
        ),
    )


def landed(connection: Connection, batch_id: int, extracted: int, landed_rows: int, scope: dict[str, Any]) -> None:
    """Rows are in the landing table or in quarantine. Raises Rejected when somebody has rejected the batch meanwhile."""
    done = connection.execute(
        "UPDATE ops.batch SET state = 'landed', extracted = %s, landed = %s, quarantined = %s, scope = %s, held = 0,"
        " held_reason = NULL, landed_at = clock_timestamp() WHERE batch_id = %s AND state <> 'rejected'",
        (extracted, landed_rows, extracted - landed_rows, Jsonb(scope), batch_id),
    )
    if not done.rowcount:
        raise Rejected(f"{get(connection, batch_id).title} was rejected while it was read again; it stays rejected")


def hold(connection: Connection, batch_id: int, reason: str) -> None:
    """Keep a batch from being published until a person decides; the last good data stays. One that is rejected stays so."""
    connection.execute(
        "UPDATE ops.batch SET state = 'held', held = landed, held_reason = %s WHERE batch_id = %s AND state <> 'rejected'",
        (reason, batch_id),
    )


def fail(connection: Connection, batch_id: int, reason: str, columns: Columns | None = None) -> None:
    """A batch that never became complete; the source is read again. `columns` are how its columns differed, where that was seen."""
    connection.execute("UPDATE ops.batch SET state = 'failed', failure = %s WHERE batch_id = %s", (reason, batch_id))
    if columns:
        note_columns(connection, batch_id, columns)


def note_columns(connection: Connection, batch_id: int, columns: Columns) -> None:
    """Keep how the source's columns differ from the contract's: names only."""
    connection.execute(
        "UPDATE ops.batch SET source = source || %s WHERE batch_id = %s", (Jsonb({"columns": columns}), batch_id)
    )


def decide(connection: Connection, batch_id: int, state: str, person: str, reason: str) -> None:
    """A person's decision about a held batch. Raises BatchError when the batch is not held or no reason is given."""
    batch = get(connection, batch_id)
    if batch.state != "held":
        raise BatchError(f"{batch.title} is {batch.state}, not held; only held batches are released or rejected")
    if not reason.strip() or not person.strip():
        raise BatchError(f"{batch.title}: a decision needs a person and a reason")
    connection.execute(
        "UPDATE ops.batch SET state = %s, decided_by = %s, decided_reason = %s, decided_at = clock_timestamp() WHERE batch_id = %s",
        (state, person, reason, batch_id),
    )


def position(connection: Connection, dataset: str, window: tuple[datetime, datetime] | None = None) -> Position:
    """How far a dataset is published, and when all its keys were last read."""
    row = connection.execute(
        "SELECT (SELECT value FROM ops.watermark WHERE dataset = %(dataset)s), (SELECT max(observed_at) FROM ops.batch"
        " WHERE dataset = %(dataset)s AND kind = 'sweep' AND state = 'published')",
        {"dataset": dataset},
    ).fetchone()
    assert row  # a select without a table has one row
    return Position(row[0], row[1], window)
