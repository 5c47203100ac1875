"""What Airflow's processes, and so all tasks, are given."""

import sys
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


def test_on_a_laptop_everything_is_on_the_loopback(environment: dict[str, str]) -> None:
    assert environment["AIRFLOW__API__BASE_URL"].startswith("http://127.0.0.1:")
    assert (
        environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"{environment['AIRFLOW__API__BASE_URL']}/execution/"
    )
    assert environment["AIRFLOW__API__SSL_CERT"] == ""


def test_on_a_server_people_and_tasks_have_addresses_of_their_own(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Path("/certificates")
    for name, value in {
        "LISTEN": "0.0.0.0",  # noqa: S104
        "NAME": "data.town.example",
        "PORT": "8443",
        "URL": "https://data.town.example/",
        "SSL_CERT": str(certificates / "airflow.crt"),
        "SSL_KEY": str(certificates / "airflow.key"),
    }.items():
        monkeypatch.setenv(f"CITYDATA_AIRFLOW_{name}", value)
    served = Airflow(tmp_path, SERVER).environment()
    assert {
        name: served[name] for name in served if name.startswith("AIRFLOW") and environment[name] != served[name]
    } == {
        "AIRFLOW__API__HOST": "0.0.0.0",  # noqa: S104
        "AIRFLOW__API__PORT": "8443",
        "AIRFLOW__API__BASE_URL": "https://data.town.example",
        "AIRFLOW__API__SSL_CERT": "/certificates/airflow.crt",
        "AIRFLOW__API__SSL_KEY": "/certificates/airflow.key",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "https://data.town.example:8443/execution/",
    }


def test_a_worker_bears_the_name_of_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "worker-2")
    assert Airflow.command("worker")[-2:] == ["--celery-hostname", "worker-2"]
    assert Airflow.command("dag-processor") == [sys.executable, "-m", "airflow", "dag-processor"]
