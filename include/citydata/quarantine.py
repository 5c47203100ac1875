"""Rows that were refused: what there is, trying them again, and waiving them with a reason.

A row is open → resolved (a later valid version came) | reprocessed (a retry, as a new batch) | waived (person, reason).
"""

from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from citydata import contract as contracts
from citydata import database, ops, pipeline
from citydata.ops import Connection


def systems() -> list[str]:
    """Systems that have a quarantine table."""
    return sorted({entry.system for entry in contracts.load_all().values()})


def counts() -> list[dict[str, Any]]:
    """Rows by dataset, reason and state; no values."""
    found: list[dict[str, Any]] = []
    with database.connect("loader", autocommit=True) as connection, connection.cursor(row_factory=dict_row) as cursor:
        for system in systems():
            found += cursor.execute(
                sql.SQL(
                    "SELECT dataset, reason, state, count(*) AS rows, min(created_at) AS since, max(batch_id) AS last_batch"
                    " FROM {}, unnest(reasons) AS reason GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
                ).format(sql.Identifier("quarantine", system))
            ).fetchall()
    return found


def show(dataset: str, *, state: str | None = "open", limit: int = 20) -> list[dict[str, Any]]:
    """Refused rows of a dataset. The content of a row is only given for systems without personal data."""
    contract = contracts.load(dataset)
    fields = "quarantine_id, batch_id, row_number, reasons, state, created_at, resolved_by_batch, decided_reason"
    personal = any(entry.personal for entry in contracts.load_all().values() if entry.system == contract.system)
    with database.connect("loader", autocommit=True) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            sql.SQL(
                f"SELECT {fields}{'' if personal else ', row'} FROM {{}} WHERE dataset = %(dataset)s"
                " AND (%(state)s::text IS NULL OR state = %(state)s) ORDER BY quarantine_id DESC LIMIT %(limit)s"
            ).format(sql.Identifier("quarantine", contract.system)),
            {"dataset": dataset, "state": state, "limit": limit},
        ).fetchall()


def retry(dataset: str) -> dict[str, int]:
    """Read the batches that hold open rows of a dataset again, as new batches under today's contract.

    Returns rows that were open, that are reprocessed, and that were refused once more.
    """
    contract = contracts.load(dataset)
    table = sql.Identifier("quarantine", contract.system)
    result = {"open": 0, "reprocessed": 0, "refused_again": 0}
    with database.connect("loader", autocommit=True) as connection:
        for batch_id in _batches_with_open_rows(connection, contract.dataset, table):
            rows = _count(connection, table, batch_id, "open")
            again = pipeline.replay(batch_id)
            if again.state != "published":
                continue
            result["open"] += rows
            # Whether the new batch resolved them or refused them again: it is the new batch that answers for them now.
            connection.execute(
                sql.SQL(
                    "UPDATE {} SET state = 'reprocessed', resolved_by_batch = %s WHERE batch_id = %s AND state IN ('open', 'resolved')"
                ).format(table),
                (again.batch_id, batch_id),
            )
            refused = _count(connection, table, again.batch_id, "open")
            result["refused_again"] += refused
            result["reprocessed"] += rows - refused
    return result


def waive(dataset: str, ids: list[int], *, person: str, reason: str) -> int:
    """Decide that open rows need nothing more; returns how many there were. A person and a reason are needed."""
    if not person.strip() or not reason.strip():
        raise ops.BatchError(f"{dataset}: waiving quarantined rows needs a person and a reason")
    contract = contracts.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        return connection.execute(
            sql.SQL(
                "UPDATE {} SET state = 'waived', decided_by = %s, decided_reason = %s, decided_at = clock_timestamp()"
                " WHERE dataset = %s AND state = 'open' AND (cardinality(%s::bigint[]) = 0 OR quarantine_id = ANY(%s))"
            ).format(sql.Identifier("quarantine", contract.system)),
            (person, reason, dataset, ids, ids),
        ).rowcount


def _batches_with_open_rows(connection: Connection, dataset: str, table: sql.Identifier) -> list[int]:
    rows = connection.execute(
        sql.SQL(
            "SELECT DISTINCT batch_id FROM {} q JOIN ops.batch b USING (batch_id)"
            " WHERE q.dataset = %s AND q.state = 'open' AND b.state = 'published' ORDER BY batch_id"
        ).format(table),
        (dataset,),
    )
    return [row[0] for row in rows]


def _count(connection: Connection, table: sql.Identifier, batch_id: int, state: str) -> int:
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE batch_id = %s AND state = %s").format(table), (batch_id, state)
    ).fetchone()
    return int(row[0]) if row else 0
