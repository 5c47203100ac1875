"""What Airflow's processes, and so all tasks, are given."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from citydata.service.airflow import Airflow

SERVER = "postgresql://postgres:hush@127.0.0.1:5999/citydata"


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Airflow]:
    for name in ("FERNET_KEY", "SECRET_KEY", "JWT_SECRET", "ADMIN_PASSWORD", "DATABASE_PASSWORD"):
        monkeypatch.setenv(f"CITYDATA_AIRFLOW_{name}", f"generated-{name}")
    monkeypatch.setenv("CITYDATA_DATABASE_URL", SERVER)
    monkeypatch.setenv("CITYDATA_PASSWORD_LOADER", "loader")
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", "kept")
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    for name in ("CITYDATA_BROKER_URL", "CITYDATA_WORKERS", "CITYDATA_WORKER_LOG_PORT", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    return lambda: Airflow(tmp_path, SERVER)


@pytest.fixture
def environment(airflow: Callable[[], Airflow]) -> dict[str, str]:
    return airflow().environment()


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


BROKER = "redis://:hushed@127.0.0.1:5998/0"


def test_without_a_broker_the_scheduler_runs_the_tasks(
    environment: dict[str, str], airflow: Callable[[], Airflow]
) -> None:
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not [name for name in environment if name.startswith("AIRFLOW__CELERY")]
    assert not [name for name in airflow().running() if "worker" in name]


def test_with_a_broker_workers_run_them(airflow: Callable[[], Airflow], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", BROKER)
    monkeypatch.setenv("CITYDATA_WORKERS", "2")
    environment = airflow().environment()
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert environment["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{environment['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN']}"
    assert int(environment["AIRFLOW__CELERY__WORKER_CONCURRENCY"]) >= 2
    # The longest task ends before the broker would give it to a second worker.
    assert float(environment["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) >= 24 * 3600
    workers = [name for name in airflow().running() if "worker" in name]
    assert workers == ["airflow-worker-1", "airflow-worker-2"]
    monkeypatch.setenv("CITYDATA_WORKERS", "0")
    assert not [name for name in airflow().running() if "worker" in name]


WORKER = """
import sys
from airflow.providers.celery.executors.celery_executor import app
app.loader.import_default_modules()
print("LOADED", *(name for name in ("great_expectations", "pyarrow", "citydata", "orchestration") if name in sys.modules))
print("PREFETCH", app.conf.worker_prefetch_multiplier, "LATE", app.conf.task_acks_late)
"""


def test_a_worker_imports_libraries_before_it_forks_and_nothing_of_ours(
    airflow: Callable[[], Airflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", BROKER)
    environment = airflow().environment()
    done = subprocess.run([sys.executable, "-c", WORKER], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "LOADED great_expectations pyarrow\nPREFETCH 1 LATE True\n" in done.stdout


def test_workers_of_one_machine_have_names_of_their_own_and_no_secret_among_their_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", BROKER)
    monkeypatch.setenv("HOSTNAME", "machine")
    monkeypatch.setenv("CITYDATA_WORKER_LOG_PORT", "8793")
    commands = [Airflow.command(name)[2:] for name in ("worker-1", "worker-2", "worker")]
    assert [command[-1] for command in commands] == ["machine-1", "machine-2", "machine"]
    # On one machine the logs are on one disk; elsewhere the worker serves them.
    assert ["--skip-serve-logs" in command for command in commands] == [True, True, False]
    assert "hushed" not in json.dumps(commands)


def test_a_broker_with_a_certificate_is_verified(
    airflow: Callable[[], Airflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", BROKER.replace("redis:", "rediss:"))
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/town.pem")
    environment = airflow().environment()
    names = ("SSL_ACTIVE", "SSL_MUTUAL_TLS", "SSL_CACERT")
    assert [environment[f"AIRFLOW__CELERY__{name}"] for name in names] == ["True", "False", "/etc/town.pem"]
