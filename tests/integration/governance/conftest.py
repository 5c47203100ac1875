"""A deployed database that the tests of a file share: what governance recorded in it is forgotten after each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from citydata import contract, database, deploy
from citydata.service.postgres import Cluster

RECORDED = ("register", "snapshot", "snapshot_dataset", "evidence", "snapshot_system")


def forget() -> None:
    """Empty what is append-only, as only a superuser can who switches triggers off."""
    with database.connect_admin(autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(f"TRUNCATE {', '.join(f'governance.{name}' for name in RECORDED)}")


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
            deploy.deploy()  # grants on the database itself are not copied with it
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def measurer(
    cluster: Cluster, _shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the measurer to a database in which nothing is recorded yet."""
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    monkeypatch.delenv("CITYDATA_DROP", raising=False)
    monkeypatch.setenv("CITYDATA_DATABASE_URL", cluster.url(_shared))
    with database.connect("measurer", autocommit=True) as connection:
        yield connection
    forget()
