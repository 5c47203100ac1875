"""What Airflow's processes, and so all tasks, are given."""

from pathlib import Path

import pytest

from citydata.service.airflow import Airflow

SERVER = "postgresql://postgres:hush@127.0.0.1:5999/citydata"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("FERNET_KEY", "SECRET_KEY", "JWT_SECRET", "ADMIN_PASSWORD", "DATABASE_PASSWORD"):
        monkeypatch.setenv(f"CITYDATA_AIRFLOW_{name}", f"generated-{name}")
    monkeypatch.setenv("CITYDATA_DATABASE_URL", SERVER)
    monkeypatch.setenv("CITYDATA_PASSWORD_LOADER", "loader")
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", "kept")
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    return Airflow(tmp_path, SERVER).environment()


def test_tasks_know_where_the_database_is_and_not_its_administrator(environment: dict[str, str]) -> None:
    assert environment["CITYDATA_DATABASE_URL"] == "postgresql://127.0.0.1:5999/citydata"
    assert environment["CITYDATA_PASSWORD_LOADER"] == "loader"
    assert not [name for name, value in environment.items() if "hush" in value]
    assert not [name for name, value in environment.items() if "generated-ADMIN_PASSWORD" in value]


def test_metadata_has_a_database_and_a_login_of_its_own(environment: dict[str, str]) -> None:
    expected = "airflow:generated-DATABASE_PASSWORD@127.0.0.1:5999/airflow"
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"postgresql+psycopg2://{expected}"


def test_only_the_platforms_settings_count(environment: dict[str, str]) -> None:
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")
    assert environment["AIRFLOW_CONN_ARCHIVE"] == "kept"
