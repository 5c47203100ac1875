"""Installations to load into, with the repository's contracts or the trial ones; a warehouse that was built and released once."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyrage
import pytest
from psycopg import sql

from citydata import audit, contract, database, deploy, release, settings, transform
from citydata.service.postgres import Cluster
from tests.integration import sources as synthetic
from tests.integration.sources import Sources
from tests.integration.steps import Steps
from tests.integration.transform import geographic_rows, raw_rows, statistical_rows

TRIAL_CONTRACTS = Path(__file__).parents[1] / "contracts"


def _copy(cluster: Cluster, source: str, name: str) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(source)))


@pytest.fixture(scope="session")
def released(cluster: Cluster, _template: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Name of a database in which the synthetic rows of `raw_rows` were built and released, and its state directory."""
    home = tmp_path_factory.mktemp("warehouse")
    _copy(cluster, _template, "template_released")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_HOME", str(home))
        patch.setenv("CITYDATA_DATABASE_URL", cluster.url("template_released"))
        contract.load_each.cache_clear()
        deploy.deploy()
        raw_rows.publish_all(raw_rows.finance() | raw_rows.hr() | raw_rows.care() | raw_rows.indicators())
        raw_rows.publish_all(geographic_rows.gis() | statistical_rows.statistics())
        build = transform.build()
        assert build.failures == {}
        assert release.release(build.build_id).stale == {}
    return "template_released", home


@pytest.fixture
def warehouse(cluster: Cluster, released: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the released warehouse for one test; its state directory is returned."""
    source, home = released
    name = "test_warehouse"  # always the same: dbt parses everything again when the address changes
    _copy(cluster, source, name)
    monkeypatch.setenv("CITYDATA_HOME", str(home))
    monkeypatch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k1:{secrets.token_hex(32)}")
    contract.load_each.cache_clear()
    with database.connect_admin() as copied:
        deploy.admit(copied)
    yield home
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def _server() -> Iterator[Sources]:
    with synthetic.running() as sources:
        yield sources


@pytest.fixture
def sources(_server: Sources, monkeypatch: pytest.MonkeyPatch) -> Sources:
    """The synthetic services over HTTP, on their first day and without faults; a test moves the day and sets the faults."""
    _server.reset(scale=0.05)
    for name, path in {"SOTKANET": "sotkanet/rest/1.1", "FHIR": "fhir", "WFS": "wfs", "OGCAPI": "ogcapi"}.items():
        monkeypatch.setenv(f"CITYDATA_SOURCE_{name}", f"{_server.address}/{path}")
    return _server


@pytest.fixture
def steps(platform: Path) -> Steps:
    """The steps on an installation with the contracts and suites of the repository."""
    return Steps(platform)


@pytest.fixture(scope="session")
def _trial_template(cluster: Cluster, _template: str) -> str:
    """A deployed database of the contracts in tests/contracts."""
    _copy(cluster, _template, "template_trial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "CONTRACTS", TRIAL_CONTRACTS)
        patch.setenv("CITYDATA_DATABASE_URL", cluster.url("template_trial"))
        contract.load_each.cache_clear()
        deploy.deploy()
    contract.load_each.cache_clear()
    return "template_trial"


@pytest.fixture
def trial(cluster: Cluster, _trial_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    """The steps on an installation with the contracts in tests/contracts.

    They have no suites: the audit only decides whether too much is in quarantine.
    """
    name = "test_trial"
    _copy(cluster, _trial_template, name)
    for variable in ("CITYDATA_DROP", "CITYDATA_ARCHIVE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(settings, "CONTRACTS", TRIAL_CONTRACTS)
    monkeypatch.setattr(audit, "_has_rows_to_judge", lambda batch: False)
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    monkeypatch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
    monkeypatch.setenv("CITYDATA_PSEUDONYM_KEY", f"k1:{secrets.token_hex(32)}")
    monkeypatch.setenv("CITYDATA_ARCHIVE_KEY", str(pyrage.x25519.Identity.generate()))
    contract.load_each.cache_clear()
    yield Steps(tmp_path)
    contract.load_each.cache_clear()
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
