"""Ten days of a synthetic town under a reader: totals agree in every transaction, views survive, increments lose nothing."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from citydata import contract, database, pipeline, release, settings, transform
from citydata.service.postgres import Cluster
from simulators import finance_files, hr_database

SEED, SCALE, DAYS = 5, 0.02, 10
DATASETS = [name for name, entry in contract.load_all().items() if entry.system in ("finance", "hr")]
# An additive change may make a reader wait so long, and nothing else may make it wait at all.
LONGEST_WAIT = "2s"

# Every build makes them anew, and on another date they may differ.
DATE_DEPENDENT = {"mart_hr.headcount", "mart_hr.sick_leave"}

# Pairs of columns that must agree: cents and lines of all invoices and of all suppliers; cells and people of the HR marts.
TOTALS = """
SELECT (SELECT sum(amount_net) FROM mart_finance.purchase),
    (SELECT sum(amount_net) FROM mart_finance.supplier_spend),
    (SELECT count(*) FROM mart_finance.purchase),
    (SELECT sum(line_count) FROM mart_finance.supplier_spend),
    (SELECT count(DISTINCT (month_start, sector_code, is_complete_month)) FROM mart_hr.headcount),
    (SELECT count(*) FROM mart_hr.sick_leave WHERE NOT is_total),
    (SELECT sum(employees) FROM mart_hr.sick_leave WHERE is_total),
    (SELECT sum(employees) FROM mart_hr.sick_leave WHERE NOT is_total)
"""
# What tells one release from another, over all marts at once.
FINGERPRINT = """
SELECT (SELECT sum(amount_net) FROM mart_finance.purchase),
    (SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM mart_finance.supplier_spend AS t),
    (SELECT sum(person_years) FROM mart_hr.headcount),
    (SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM mart_hr.sick_leave AS t)
"""
VIEW = """
CREATE VIEW team_finance.largest_suppliers AS
SELECT spend.supplier_name, sum(spend.amount_net) AS spent, count(DISTINCT purchase.voucher_number) AS vouchers
FROM mart_finance.supplier_spend AS spend JOIN mart_finance.purchase USING (supplier_id, fiscal_year, account)
GROUP BY spend.supplier_name
"""

Row = tuple[Any, ...]


class Reader:
    """Reads all marts in one transaction after the other, as a BI tool does, until it is told to stop."""

    def __init__(self) -> None:
        self.reads = 0
        self.longest = 0.0
        self.disagreements: list[Row] = []
        self.seen: set[Row] = set()
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read in the background for as long as the context lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _work(self) -> None:
        try:
            with database.connect("bi", autocommit=True) as connection:
                # A wait that is too long is an error of the reader, however slow the machine is.
                connection.execute(sql.SQL("SET lock_timeout = {}").format(LONGEST_WAIT))
                while not self._stop.wait(0.05):
                    self._read(connection)
        except Exception as error:
            self.errors.append(repr(error))

    def _read(self, connection: psycopg.Connection[Row]) -> None:
        started = time.monotonic()
        with connection.transaction():
            rows = [connection.execute(statement).fetchone() for statement in (TOTALS, FINGERPRINT, TOTALS)]
        totals, seen, again = (row or () for row in rows)
        self.reads += 1
        self.longest = max(self.longest, time.monotonic() - started)
        self.seen.add(seen)
        if totals[0::2] != totals[1::2] or totals != again or None in totals:
            self.disagreements.append(totals + again)


@pytest.fixture
def hr_source(platform: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The HR system on day 0, gone after the test."""
    url = hr_database.create(cluster.url(), password=secrets.token_hex(12), seed=SEED, scale=SCALE, day=0)
    monkeypatch.setenv("CITYDATA_SOURCE_HR", url)
    yield
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(hr_database.DATABASE)))


def one_day(day: int, cluster: Cluster) -> None:
    """What the sources do on a day, and the platform after them."""
    finance_files.drop(settings.drop_directory(), seed=SEED, scale=SCALE, day=day)
    hr_database.advance(cluster.url(), seed=SEED, scale=SCALE, day=day)
    with database.connect_admin() as connection:  # the keys were swept the day before
        connection.execute("UPDATE ops.batch SET observed_at = observed_at - interval '1 day' WHERE kind = 'sweep'")
    published = pipeline.run(DATASETS)
    assert {batch.state for batches in published.values() for batch in batches} == {"published"}


def written() -> dict[str, Row]:
    """Rows inserted, updated and deleted by the last release in each table, which was a release of every group."""
    with database.connect("engineer") as connection:
        [(release_id,)] = connection.execute("SELECT max(release_id) FROM ops.release").fetchall()
        groups = connection.execute(
            "SELECT DISTINCT state FROM ops.release_group WHERE release_id = %s", (release_id,)
        ).fetchall()
        assert groups == [("released",)]
        changes = connection.execute(
            "SELECT schema_name || '.' || table_name, inserted, updated, deleted FROM ops.release_change"
            " WHERE release_id = %s AND inserted + updated + deleted > 0",
            (release_id,),
        )
        return {name: tuple(counts) for name, *counts in changes}


def one_row(role: str, statement: str) -> Row:
    with database.connect(role) as connection:
        [row] = connection.execute(statement).fetchall()
        return row


def incremental_builds() -> int:
    """Builds that made only what was out of date, with the fact table of purchases among it."""
    [count] = one_row(
        "engineer",
        "SELECT count(*) FROM ops.build WHERE state = 'built' AND ' ' || selection || ' ' LIKE '% fct_purchase %'",
    )
    return int(count)


def test_ten_days(platform: Path, hr_source: None, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    reader, seconds, released, spent = Reader(), [], set(), set()

    def live(day: int) -> None:
        started = time.monotonic()
        one_day(day, cluster)
        seconds.append(time.monotonic() - started)
        assert {"mart_finance.purchase", "mart_hr.headcount"} <= written().keys()
        released.add(one_row("bi", FINGERPRINT))

    live(0)
    with database.connect("reporting_finance") as team:
        team.execute(VIEW)
    with reader.reading():
        for day in range(1, DAYS):
            live(day)
            spent.add(one_row("reporting_finance", "SELECT sum(spent) FROM team_finance.largest_suppliers"))
        assert incremental_builds() == DAYS - 1
        # What nine increments made is what one build of everything makes.
        assert release.release(transform.build(full=True).build_id).stale == {}
        assert written().keys() <= DATE_DEPENDENT
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{DAYS} days of {', '.join(f'{one:.1f}' for one in seconds)} s; {reader.reads} reads under them,"
            f" the longest transaction {reader.longest:.2f} s, {len(reader.seen)} releases seen"
        )
    assert reader.errors == []
    assert reader.disagreements == []
    assert reader.reads > DAYS
    assert len(released) == DAYS
    assert reader.seen <= released
    assert len(spent) == DAYS - 1
