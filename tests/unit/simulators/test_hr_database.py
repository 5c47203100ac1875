from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from citydata.service.postgres import Cluster
from simulators import hr_database
from simulators.workforce import workforce_of

TOWN = {"seed": 7, "scale": 0.02}


@pytest.fixture
def admin_url(cluster: Cluster) -> Iterator[str]:
    """A server without an HR database."""
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS hr_source WITH (FORCE)")
        yield cluster.url()
        connection.execute("DROP DATABASE IF EXISTS hr_source WITH (FORCE)")


def tables(url: str) -> dict[str, dict[str, tuple[object, ...]]]:
    with psycopg.connect(url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        return {
            name: {row[0]: row for row in connection.execute(f"SELECT * FROM hr.{name}")}
            for name in ("person", "employment", "absence")
        }


def simulated(day: int) -> dict[str, dict[str, tuple[object, ...]]]:
    made = workforce_of(TOWN["seed"], TOWN["scale"], day)
    return {"person": made.people, "employment": made.employments, "absence": made.absences}


def physical(url: str) -> list[tuple[object, ...]]:
    """Row versions: they move when a row is written, even with the same values."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT ctid, xmin::text, person_number FROM hr.person ORDER BY ctid").fetchall()


def test_the_source_holds_the_simulated_day_and_advances(admin_url: str) -> None:
    reader = hr_database.create(admin_url, password="a password's / äö", day=0, **TOWN)
    assert tables(reader) == simulated(0)
    assert hr_database.advance(admin_url, day=3, **TOWN)
    assert tables(reader) == simulated(3)
    assert hr_database.advance(make_conninfo(admin_url, dbname="hr_source"), day=4, **TOWN)
    assert tables(reader) == simulated(4)


def test_a_second_call_changes_nothing_and_time_does_not_run_back(admin_url: str) -> None:
    reader = hr_database.create(admin_url, password="secret", day=2, **TOWN)
    rows = physical(make_conninfo(admin_url, dbname="hr_source"))
    assert hr_database.create(admin_url, password="secret", day=2, **TOWN) == reader
    assert not hr_database.advance(admin_url, day=2, **TOWN)
    assert not hr_database.advance(admin_url, day=1, **TOWN)
    assert physical(make_conninfo(admin_url, dbname="hr_source")) == rows
    assert tables(reader) == simulated(2)


def test_another_town_is_refused(admin_url: str) -> None:
    hr_database.create(admin_url, password="secret", day=0, **TOWN)
    with pytest.raises(ValueError, match="holds another town"):
        hr_database.advance(admin_url, seed=8, scale=0.02, day=1)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM hr.absence",
        "UPDATE hr.person SET email = NULL",
        "CREATE TABLE hr.x (y int)",
        "SELECT * FROM simulator.state",
    ],
)
def test_the_reader_reads_three_tables_and_nothing_else(admin_url: str, statement: str) -> None:
    reader = hr_database.create(admin_url, password="secret", day=0, **TOWN)
    with psycopg.connect(reader, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
