"""A deployed database that the tests of a file share: what governance recorded in it is forgotten after each test."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from citydata import contract, database, deploy
from citydata.service.postgres import Cluster

Connection = psycopg.Connection[Any]
RECORDED = ("register", "snapshot", "snapshot_dataset", "evidence", "snapshot_system")


def forget() -> None:
    """Empty what is append-only, as only a superuser can who switches triggers off."""
    with database.connect_admin(autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(f"TRUNCATE {', '.join(f'governance.{name}' for name in RECORDED)}")


def as_role(role: str | None) -> Connection:
    """A connection as the login of a role; the administrator for None."""
    return database.connect(role, autocommit=True) if role else database.connect_admin(autocommit=True)


def at_once(connection: Connection, lock: int, *actions: Callable[[Connection], None]) -> None:
    """Run each action on a connection of its own; none goes on before all wait for the lock."""
    failed: list[BaseException] = []

    def run(action: Callable[[Connection], None]) -> None:
        try:
            with database.connect("measurer", autocommit=True) as own:
                action(own)
        except BaseException as error:  # shown by the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while True:
            waiting = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                (lock,),
            ).fetchone()
            if waiting == (len(actions),) or failed:
                break
            assert time.monotonic() < deadline, f"{waiting} wait for the lock"
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert not failed, failed


@pytest.fixture(scope="module")
def _shared(cluster: Cluster, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_template))
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CITYDATA_HOME", str(tmp_path_factory.mktemp("governance")))
            patch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
            contract.load_each.cache_clear()
            with database.connect_admin() as copied:
                deploy.admit(copied)
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def measurer(cluster: Cluster, _shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection as the measurer to a database in which nothing is recorded yet."""
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    monkeypatch.delenv("CITYDATA_DROP", raising=False)
    monkeypatch.setenv("CITYDATA_DATABASE_URL", cluster.url(_shared))
    with database.connect("measurer", autocommit=True) as connection:
        yield connection
    forget()
