"""kill -9 of a task or of PostgreSQL, at any point: run again, and every table is what it is when nothing had happened.

A synthetic town is published, built and released on day 0; what is interrupted is the work of day 1. Each stage of that
work that costs a build is kept as a database and a state directory, of which every case gets copies.
"""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pyrage
import pytest
from psycopg import sql

from citydata import audit, contract, database, deploy, pipeline, release, settings, transform
from citydata.service.postgres import Cluster, temporary_cluster
from simulators import finance_files, hr_database

RUNNER = Path(__file__).with_name("killed_task.py")
SEED, SCALE = 3, 0.02
DATASETS = {name: entry for name, entry in contract.load_all().items() if entry.system in ("finance", "hr")}
INVOICES, EMPLOYMENTS = "finance.purchase_invoices", "hr.employments"


@dataclass(frozen=True)
class Point:
    """A point: the task that passes it, and whose batch is being worked on when which victim is killed.

    The two datasets are as different as two can be: files and a table of a source's database, a snapshot without a key
    and an increment, an archive in the clear and an encrypted one.
    """

    task: str
    datasets: dict[str, str] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """What is kept of day 1 from which the point is reached soonest."""
        return {"build": "published", "release": "built"}.get(self.task, "arrived")


BOTH_KINDS = {"task": INVOICES, "server": EMPLOYMENTS}
THE_OTHER_WAY = {"task": EMPLOYMENTS, "server": INVOICES}
POINTS = {
    "before_seal": Point("extract", BOTH_KINDS),
    "archive_named": Point("extract", THE_OTHER_WAY),  # sealed on disk, and the ledger does not know it
    "after_seal": Point("extract", BOTH_KINDS),
    "in_copy": Point("extract", {"task": INVOICES, "server": INVOICES}),
    "after_landing": Point("extract", THE_OTHER_WAY),
    "after_audit": Point("audit", BOTH_KINDS),
    "in_publish": Point("publish", THE_OTHER_WAY),
    "before_event": Point("publish", BOTH_KINDS),
    "in_dbt": Point("build"),
    "after_dbt": Point("build"),
    "in_release": Point("release"),
}


class Town:
    """The synthetic town on a server that waits for the disk, with the stages of its day 1 that are kept.

    It has one name, whatever stage it is brought back to: dbt parses everything again when the address changes.
    """

    NAME = "town"

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        self.loaded: dict[str, Counter[str]] = {}
        self.published: dict[str, Counter[str]] = {}
        self.released: dict[str, Counter[str]] = {}
        (directory / self.NAME).mkdir()
        cluster.ensure_database(self.NAME)
        os.environ["CITYDATA_HOME"] = str(directory / self.NAME)
        os.environ["CITYDATA_DATABASE_URL"] = cluster.url(self.NAME)

    def keep(self, stage: str) -> None:
        """Keep what there is now as a stage."""
        self._copy(self.NAME, stage)

    def bring_back(self, stage: str) -> None:
        """Make the town what it was at a stage."""
        self._execute("DROP DATABASE {} WITH (FORCE)", self.NAME)
        shutil.rmtree(self.directory / self.NAME)
        self._copy(stage, self.NAME)

    def _copy(self, source: str, name: str) -> None:
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, source)
        # A copied sequence believes that the next numbers are in the log already, and would give them again after a crash.
        self._execute("CHECKPOINT")
        shutil.copytree(self.directory / source, self.directory / name, symlinks=True)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def arrive(self, day: int) -> None:
        """What the source systems do on a day; the keys were swept the day before."""
        finance_files.drop(settings.drop_directory(), seed=SEED, scale=SCALE, day=day)
        if day == 0:
            url = hr_database.create(
                self.cluster.url(), password=secrets.token_hex(12), seed=SEED, scale=SCALE, day=day
            )
            os.environ["CITYDATA_SOURCE_HR"] = url
        else:
            hr_database.advance(self.cluster.url(), seed=SEED, scale=SCALE, day=day)
        with database.connect_admin() as connection:
            connection.execute("UPDATE ops.batch SET observed_at = observed_at - interval '1 day' WHERE kind = 'sweep'")

    def prepare(self) -> None:
        """Day 0 to the end, and day 1 step by step without a disturbance."""
        deploy.deploy()
        self.arrive(0)
        self.keep("empty")
        pipeline.run(DATASETS)
        self.loaded = content("raw")
        self.arrive(1)
        self.keep("arrived")
        done = pipeline.audit_and_publish(DATASETS, extract())
        assert {batch.state for batches in done.values() for batch in batches} == {"published"}
        self.published = content("raw", "quarantine")
        self.keep("published")
        build = transform.build()
        assert not build.failures
        self.keep("built")
        changes = release.release(build.build_id).changes
        assert {change.schema for change in changes if change.inserted and change.updated} >= {
            "mart_finance",
            "mart_hr",
        }
        self.released = content("master", "warehouse", "mart_finance", "mart_hr")


def extract() -> list[int]:
    """Extract and land the datasets; returns the batches that wait for the audit."""
    return [batch_id for dataset in DATASETS for batch_id in pipeline.extract_and_land(dataset)]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with pytest.MonkeyPatch.context() as patch, temporary_cluster(durable=True) as cluster:
        for name in ("CITYDATA_DROP", "CITYDATA_ARCHIVE"):
            patch.delenv(name, raising=False)
        for role in deploy.login_roles():
            patch.setenv(f"CITYDATA_PASSWORD_{role.upper()}", secrets.token_hex(12))
        for name in ("CITYDATA_HOME", "CITYDATA_DATABASE_URL", "CITYDATA_SOURCE_HR"):
            patch.setenv(name, "")
        patch.setenv("CITYDATA_PSEUDONYM_KEY", f"k1:{secrets.token_hex(32)}")
        patch.setenv("CITYDATA_ARCHIVE_KEY", str(pyrage.x25519.Identity.generate()))
        contract.load_each.cache_clear()
        prepared = Town(cluster, tmp_path_factory.mktemp("town"))
        prepared.prepare()
        yield prepared


# -- what must be the same -------------------------------------------------------------------------------------------

BATCHES = {"_opened_by", "_closed_by", "batch_id", "resolved_by_batch", "opened_by_batch"}
# Identities and times of the platform's own clock. That _observed_at is the time of the batch is checked by `ledger`.
VOLATILE = {"_observed_at", "quarantine_id", "created_at", "as_of", "released_at", "expected_at"}


def content(*schemas: str) -> dict[str, Counter[str]]:
    """Rows of all tables of the schemas by table and dataset, with the ids of batches replaced by their order."""
    found: dict[str, Counter[str]] = {}
    with database.connect_admin() as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s)", (list(schemas),)
        ).fetchall()
        for schema, table in names:
            rows = [
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(t) - %s::text[] FROM {} AS t").format(sql.Identifier(schema, table)),
                    (list(VOLATILE),),
                )
            ]
            for dataset in {row.get("dataset") for row in rows} | ({None} if not rows else set()):
                mine = [row for row in rows if row.get("dataset") == dataset]
                found[f"{schema}.{table} {dataset or ''}".strip()] = Counter(map(str, _by_order(mine)))
    return found


def _by_order(rows: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    ids = sorted({row[name] for row in rows for name in BATCHES & row.keys() if row[name] is not None})
    order = {batch_id: place for place, batch_id in enumerate(ids)}
    return [
        sorted((name, order.get(value) if name in BATCHES else value) for name, value in row.items()) for row in rows
    ]


def differences(found: dict[str, Counter[str]], expected: dict[str, Counter[str]]) -> dict[str, tuple[int, int, str]]:
    """For each table that differs: rows too many, rows missing, and one of them."""
    different = {}
    for table in found.keys() | expected.keys():
        more = found.get(table, Counter()) - expected.get(table, Counter())
        less = expected.get(table, Counter()) - found.get(table, Counter())
        if more or less:
            different[table] = (more.total(), less.total(), next(iter(more or less)))
    return different


def ledger() -> list[str]:
    """What does not add up: of the batches, between them and the versions, and what they left behind."""
    wrong = []
    with database.connect_admin() as connection:
        wrong += [
            f"batch {batch_id} of {dataset} is {state}"
            for batch_id, dataset, state in connection.execute(
                "SELECT batch_id, dataset, state FROM ops.batch WHERE state NOT IN ('published', 'failed') OR (state = 'published'"
                " AND extracted <> inserted + changed + unchanged + repeated + superseded + stale + quarantined)"
            )
        ]
        for dataset, entry in DATASETS.items():
            raw = sql.Identifier("raw", entry.raw_name)
            [(versions, current, untimely, opened, closed)] = connection.execute(
                sql.SQL(
                    "SELECT count(*), count(*) FILTER (WHERE _closed_by IS NULL), count(*) FILTER (WHERE _observed_at <> b.observed_at),"
                    " (SELECT sum(inserted + changed) FROM ops.batch WHERE dataset = %(dataset)s AND state = 'published'),"
                    " (SELECT sum(changed + closed) FROM ops.batch WHERE dataset = %(dataset)s AND state = 'published')"
                    " FROM {} r LEFT JOIN ops.batch b ON b.batch_id = r._opened_by AND b.dataset = %(dataset)s AND b.state = 'published'"
                ).format(raw),
                {"dataset": dataset},
            ).fetchall()
            if (versions, current, untimely) != (opened, opened - closed, 0):
                wrong.append(
                    f"{dataset}: {versions} versions, {current} current; the ledger: {opened} opened, {closed} closed"
                )
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'landing'").fetchall()
    wrong += [f"landing.{name} is left" for (name,) in tables]
    wrong += [f"{path.name} is left" for path in (settings.home() / "archive").rglob("*.part")]
    return wrong


# -- the cases -------------------------------------------------------------------------------------------------------


def killed(town: Town, task: str, point: str, victim: str, dataset: str = "") -> None:
    """Run the task that passes the point, and let it or the server be killed there."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (settings.ROOT / "include", settings.ROOT)))}
    arguments = [task, point, victim, dataset, str(town.cluster.directory)]
    done = subprocess.run(
        [sys.executable, str(RUNNER), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "struck\n", f"the point was not reached: {done.stdout} {done.stderr[-2000:]}"
    if victim == "task":
        assert done.returncode == -9
    else:
        assert not town.cluster.is_running()
        town.cluster.start()


def no_dbt_is_left() -> bool:
    """Whether the dbt of this installation has ended, which it may take a moment to do."""
    home = os.environ["CITYDATA_HOME"]
    for _ in range(50):
        if not any(
            f"{home}/dbt/target" in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
        ):
            return True
        time.sleep(0.1)
    return False


def run_again(stage: str) -> None:
    """What the scheduler does next: the task again, and those after it."""
    if stage not in ("published", "built"):
        pipeline.audit_and_publish(DATASETS, extract())
        return
    if stage == "published":
        assert not transform.build().failures
    with database.connect("engineer") as connection:
        [(build_id,)] = connection.execute("SELECT max(build_id) FROM ops.build WHERE state = 'built'").fetchall()
    assert not release.release(build_id).stale


@pytest.fixture
def case(town: Town, request: pytest.FixtureRequest) -> Iterator[str]:
    """The town at the stage in which the point is; the name of the stage is returned."""
    stage = POINTS[request.node.callspec.params["point"]].stage
    town.bring_back(stage)
    yield stage
    town.cluster.start()


@pytest.mark.parametrize("victim", ["task", "server"])
@pytest.mark.parametrize("point", list(POINTS))
def test_killed_and_run_again(point: str, victim: str, town: Town, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = POINTS[point].task
    if task in ("audit", "publish"):
        batches = extract()
    if task == "publish":
        assert set(audit.audit(batches).values()) == {"audited"}
    killed(town, task, point, victim, POINTS[point].datasets.get(victim, ""))
    if task == "build":
        assert no_dbt_is_left()
    run_again(case)
    assert differences(content("raw", "quarantine"), town.published) == {}
    assert ledger() == []
    if case in ("published", "built"):
        assert differences(content("master", "warehouse", "mart_finance", "mart_hr"), town.released) == {}
    if point == "before_event":
        # The event was never sent. What is out of date is asked from the ledger, so the dataset is noticed all the same.
        monkeypatch.setattr(transform, "_run", lambda *_: {})
        assert {"purchase", "headcount"} <= set(transform.build().selected)


def test_a_first_load_outlives_the_server(town: Town) -> None:
    """What was committed is there after a crash, though a first load may go past the server's log."""
    suppliers = "finance.suppliers"
    town.bring_back("empty")
    audit.audit(pipeline.extract_and_land(suppliers))
    killed(town, "publish", "before_event", "server", suppliers)
    assert content("raw")["raw.finance__suppliers"] == town.loaded["raw.finance__suppliers"]
