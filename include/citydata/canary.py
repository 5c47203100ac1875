"""Proof that every check can fail: a clean sample passes the suite, and each check's canary makes that check fail.

The samples are synthetic and lie beside the suites. Everything happens in temporary tables of one connection.
"""

import csv
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from citydata import contract
from citydata.suite import Check, Runner, Suite, Verdict, load

TABLE = "canary"


@dataclass(frozen=True)
class CanaryResult:
    """Whether a check passed on the clean sample and failed on its canary. `unexpected` counts the rows it caught."""

    dataset: str
    check_id: str
    clean: str
    caught: str
    unexpected: int

    @property
    def proven(self) -> bool:
        """The check can pass and can fail."""
        return self.clean == "pass" and self.caught == "fail"


def run(dataset: str) -> list[CanaryResult]:
    """Try the suite of `dataset` on its sample, then each check on its canary.

    Raises SuiteError when the suite or its sample cannot be used.
    """
    suite = load(dataset)
    with Runner() as runner:
        clean = {verdict.check.id: verdict for verdict in try_sample(runner, suite, suite.checks, {})}
        results = []
        for check in suite.checks:
            caught = try_sample(runner, suite, (check,), check.canary)[0]
            results.append(CanaryResult(dataset, check.id, clean[check.id].outcome, caught.outcome, caught.unexpected))
    return results


def try_sample(runner: Runner, suite: Suite, checks: tuple[Check, ...], canary: dict[str, Any]) -> list[Verdict]:
    """Judge the sample of a suite after the changes that `canary` names: `row` and `set`, `keep_rows`, `parameters`."""
    rows = _sample(suite.dataset, suite)
    for number, values in enumerate(rows, start=1):
        if canary.get("row", 1) in (number, "all"):
            values.update(canary.get("set", {}))
    rows = rows[: canary.get("keep_rows", len(rows))]
    connection = runner.connection
    with connection.transaction():
        _fill(connection, TABLE, suite.dataset, rows)
        for reference in suite.references:
            others = rows if reference == suite.dataset else _sample(reference, load(reference))
            _fill(connection, f"current_{reference.replace('.', '__')}", reference, others)
    return runner.run(checks, TABLE, suite.sample_parameters | canary.get("parameters", {}))


def _sample(dataset: str, suite: Suite) -> list[dict[str, str | None]]:
    with suite.sample.open(encoding="utf-8", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def _fill(connection: psycopg.Connection[Any], table: str, dataset: str, rows: list[dict[str, str | None]]) -> None:
    """Make the temporary table with the dataset's physical columns and these rows."""
    columns = contract.load(dataset).table_columns
    name = sql.Identifier("pg_temp", table)
    definition = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind)) for column, kind in columns.items()
    )
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
    connection.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(sql.Identifier(table), definition))
    insert = sql.SQL("INSERT INTO {} VALUES ({})").format(name, sql.SQL(", ").join([sql.Placeholder()] * len(columns)))
    with connection.cursor() as cursor:
        cursor.executemany(insert, [[row[column] for column in columns] for row in rows])
