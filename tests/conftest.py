"""One PostgreSQL a session; a freshly deployed database for each test that asks for one."""

import os
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyrage
import pytest
from psycopg import sql

from citydata import contract, database, deploy
from citydata.service.postgres import Cluster, temporary_cluster

REAL_DATA = Path(os.environ.get("CITYDATA_REAL_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of this session."""
    with temporary_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def _template(cluster: Cluster) -> Iterator[str]:
    """A deployed database to copy: deploying costs a second, copying a tenth of one."""
    with pytest.MonkeyPatch.context() as patch:
        for role in deploy.login_roles():
            patch.setenv(f"CITYDATA_PASSWORD_{role.upper()}", secrets.token_hex(12))
        patch.setenv("CITYDATA_DATABASE_URL", cluster.ensure_database("template_citydata"))
        deploy.deploy()
        yield "template_citydata"


@pytest.fixture
def platform(cluster: Cluster, _template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation of its own: a deployed database, keys and a state directory, whose path is returned."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_template))
        )
        monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
        monkeypatch.delenv("CITYDATA_DROP", raising=False)
        monkeypatch.delenv("CITYDATA_ARCHIVE", raising=False)
        monkeypatch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
        monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k1:{secrets.token_hex(32)}")
        monkeypatch.setenv("CITYDATA_ARCHIVE_KEY", str(pyrage.x25519.Identity.generate()))
        contract.load_each.cache_clear()
        with database.connect_admin() as copied:
            deploy.admit(copied)
        yield tmp_path
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real and recorded inputs (CITYDATA_REAL_DATA); tests that need it are skipped where it does not exist."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real input: CITYDATA_REAL_DATA ({REAL_DATA}) does not exist")
    return REAL_DATA
