"""Airflow as a library: the DAG files are parsed, nothing runs and there is no database."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from citydata import contract, settings

ROOT = settings.ROOT
# Before Airflow is imported for the first time, which reads its settings.
_HOME = tempfile.mkdtemp(prefix="citydata-dags-")
os.environ |= {
    "AIRFLOW_HOME": _HOME,
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
}
sys.path.append(str(ROOT / "plugins"))


@pytest.fixture(scope="session", autouse=True)
def _airflow_home() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Parse the DAG files, with the contracts of another folder when one is given; returns Airflow's DagBag."""

    def parse(contracts: Path = settings.CONTRACTS) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        monkeypatch.setattr(settings, "CONTRACTS", contracts)
        contract.load_each.cache_clear()
        return DagBag(str(ROOT / "dags"), collect_dags=True)

    yield parse
    contract.load_each.cache_clear()


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    """A copy of the contracts, to break."""
    return Path(shutil.copytree(settings.CONTRACTS, tmp_path / "contracts"))
