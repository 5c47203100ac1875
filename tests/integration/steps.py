"""What a test does with a source: drop a file, load it, and ask whether every row of it is accounted for."""

import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from citydata import contract, database, pipeline
from citydata.publish import PublishedBatch

FATES = ("inserted", "changed", "unchanged", "repeated", "superseded", "stale", "quarantined")


class Steps:
    """The steps of the platform on one installation, whose state directory is `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def drop(
        self,
        name: str,
        content: bytes | str,
        *,
        directory: str = "trial",
        at: datetime | None = None,
        done: bool = True,
    ) -> Path:
        """Drop a file, complete unless `done` is false, last written `at`."""
        path = self.home / "drop" / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if at:
            os.utime(path, (at.timestamp(), at.timestamp()))
        if done:
            path.with_name(name + ".done").touch()
        return path

    def load(self, dataset: str) -> list[PublishedBatch]:
        """Extract, land, audit and publish one dataset."""
        done: list[PublishedBatch] = pipeline.audit_and_publish([dataset], pipeline.extract_and_land(dataset))[dataset]
        return done

    def query(self, statement: str | sql.Composable, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query as the administrator."""
        with database.connect_admin() as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement as the administrator."""
        with database.connect_admin(autocommit=True) as connection:
            connection.execute(statement, parameters or None)

    def batches(self, dataset: str) -> list[dict[str, Any]]:
        """Every batch of a dataset, oldest first."""
        with database.connect_admin(row_factory=dict_row) as connection:
            return connection.execute(
                "SELECT * FROM ops.batch WHERE dataset = %s ORDER BY batch_id", (dataset,)
            ).fetchall()

    def batch(self, dataset: str) -> dict[str, Any]:
        """The newest batch of a dataset."""
        return self.batches(dataset)[-1]

    def states(self, dataset: str) -> list[str]:
        """States of every batch of a dataset, oldest first."""
        return [batch["state"] for batch in self.batches(dataset)]

    def quarantine(self, dataset: str) -> list[dict[str, Any]]:
        """Refused rows of a dataset in the order of batches and rows."""
        with database.connect_admin(row_factory=dict_row) as connection:
            table = sql.Identifier("quarantine", dataset.split(".", maxsplit=1)[0])
            return connection.execute(
                sql.SQL("SELECT * FROM {} WHERE dataset = %s ORDER BY batch_id, row_number").format(table), (dataset,)
            ).fetchall()

    def reasons(self, dataset: str) -> dict[int, list[str]]:
        """Rules that the rows refused of a dataset's newest batch broke, without the dataset's name, by row number."""
        newest = self.batch(dataset)["batch_id"]
        return {
            row["row_number"]: [reason.removeprefix(f"{dataset}.") for reason in row["reasons"]]
            for row in self.quarantine(dataset)
            if row["batch_id"] == newest
        }

    def current(self, dataset: str, horizon: int | None = None) -> list[tuple[Any, ...]]:
        """Rows of a dataset as of a batch (default: now), with the contract's columns in its order."""
        entry = contract.load(dataset)
        names = sql.SQL(", ").join(map(sql.Identifier, entry.table_columns))
        at = (
            "_closed_by IS NULL"
            if horizon is None
            else f"_opened_by <= {horizon} AND (_closed_by IS NULL OR _closed_by > {horizon})"
        )
        statement = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
            names, sql.Identifier("raw", entry.raw_name), sql.SQL(at), names
        )
        return self.query(statement)

    def versions(self, dataset: str) -> Counter[tuple[Any, ...]]:
        """Every version of every row with all columns, to compare whole tables."""
        table = sql.Identifier("raw", contract.load(dataset).raw_name)
        return Counter(self.query(sql.SQL("SELECT * FROM {}").format(table)))

    def assert_accounted(
        self, dataset: str, *, current: list[tuple[Any, ...]] | None = None, extracted: int | None = None
    ) -> None:
        """Every extracted row of every batch is where the ledger says, and nowhere else.

        `current` are the rows that the dataset must have now, `extracted` those that the newest batch was read from.
        """
        entry = contract.load(dataset)
        raw = sql.Identifier("raw", entry.raw_name)
        opened = dict(self.query(sql.SQL("SELECT _opened_by, count(*) FROM {} GROUP BY 1").format(raw)))
        closed = dict(self.query(sql.SQL("SELECT _closed_by, count(*) FROM {} GROUP BY 1").format(raw)))
        refused = Counter(row["batch_id"] for row in self.quarantine(dataset))
        for batch in self.batches(dataset):
            title = f"{dataset} batch {batch['batch_id']} ({batch['state']})"
            number = batch["batch_id"]
            if batch["state"] == "published":
                assert batch["extracted"] == sum(batch[fate] for fate in FATES), title
                # Of deletions, the changed rows are those that were closed: nothing is opened in their place.
                reopened = 0 if batch["kind"] == "deletions" else batch["changed"]
                assert opened.get(number, 0) == batch["inserted"] + reopened, title
                assert closed.get(number, 0) == batch["closed"] + reopened, title
            else:
                assert batch["extracted"] == batch["landed"] + batch["quarantined"], title
                assert batch["held"] == (
                    batch["landed"] if batch["state"] in ("held", "rejected", "superseded") else 0
                ), title
                assert number not in opened, title
                assert number not in closed, title
            assert refused[number] == batch["quarantined"], title
            self._assert_results(title, number, batch)
        if extracted is not None:
            assert self.batch(dataset)["extracted"] == extracted
        if current is not None:
            assert self.current(dataset) == sorted(current, key=_null_last)

    def _assert_results(self, title: str, number: int, batch: dict[str, Any]) -> None:
        """Structural rules have judged every extracted row, and every row in quarantine broke one of them or of the suite."""
        structural = self.query(
            "SELECT evaluated, unexpected FROM quality.check_result WHERE batch_id = %s AND source = 'structure'",
            number,
        )
        assert {row[0] for row in structural} <= {batch["extracted"]}, title
        assert bool(structural) == bool(batch["extracted"]), title


def _null_last(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    """Order as PostgreSQL's: nulls last."""
    return [(value is None, value) for value in row]
