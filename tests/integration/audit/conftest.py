"""Landed batches without a source: rows of a suite's sample with changes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from citydata import contract, database, settings

OBSERVED = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)


def sample(dataset: str) -> list[dict[str, Any]]:
    """The clean rows of a dataset's suite."""
    import csv

    path = settings.EXPECTATIONS.joinpath(*dataset.split(".")).with_suffix(".sample.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture
def land_rows(platform) -> Callable[..., int]:
    """A function that lands rows as a batch of a dataset and returns its id; keywords set columns of ops.batch."""

    def landed(dataset: str, rows: list[dict[str, Any]], **ledger: Any) -> int:
        entry = contract.load(dataset)
        values = {
            "dataset": dataset,
            "mode": entry.mode,
            "state": "landed",
            "contract_version": entry.version,
            "contract_hash": entry.hash,
            "observed_at": OBSERVED,
            "extracted": len(rows),
            "landed": len(rows),
            **ledger,
        }
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
        columns = {"_row": "bigint", **entry.table_columns}
        with database.connect("loader") as connection:
            statement = sql.SQL("INSERT INTO ops.batch ({}) VALUES ({}) RETURNING batch_id").format(
                sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join([sql.Placeholder()] * len(values))
            )
            (batch_id,) = connection.execute(statement, list(values.values())).fetchone()
            table = sql.Identifier("landing", f"b{batch_id}")
            definition = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns.items()
            )
            connection.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(table, definition))
            with connection.cursor() as cursor:
                cursor.executemany(
                    sql.SQL("INSERT INTO {} VALUES ({})").format(
                        table, sql.SQL(", ").join([sql.Placeholder()] * len(columns))
                    ),
                    [
                        [number, *(row[name] for name in entry.table_columns)]
                        for number, row in enumerate(rows, start=1)
                    ],
                )
        return batch_id

    return landed


@pytest.fixture
def query(platform) -> Callable[..., list[tuple]]:
    """A function that runs a query as the administrator."""

    def fetch(statement: str, *parameters: Any) -> list[tuple]:
        with database.connect_admin() as connection:
            return connection.execute(statement, parameters).fetchall()

    return fetch
