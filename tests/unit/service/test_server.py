"""A server's secrets, what its services refuse to start without, and what `./citydata` leaves to whoever started them."""

import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from citydata import settings
from citydata.cli import app
from citydata.service import server, state
from citydata.service.installation import Installation, InstallationError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("CITYDATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path / "home"))


def test_secrets_are_all_there_and_new_each_time() -> None:
    first, second = (dict(line.split("=", 1) for line in _secrets()) for _ in range(2))
    assert set(first) == set(state.server_generators())
    assert set(first) - set(state.generators()) == {"CITYDATA_POSTGRES_PASSWORD", "CITYDATA_REDIS_PASSWORD"}
    assert set(state.generators()) - set(first) == set(state.SYNTHETIC)
    assert all(value and value != second[name] for name, value in first.items())
    assert not Path(os.environ["CITYDATA_HOME"]).exists()


def test_secrets_can_be_given_to_a_container_as_they_are() -> None:
    """Neither compose nor a shell's `set -a; . FILE` may find a sign in a value that it replaces."""
    for line in _secrets():
        assert not set(line.split("=", 1)[1]) & set("$`\"'#"), line.partition("=")[0]


def _secrets() -> list[str]:
    return [line for line in server.secrets().splitlines() if not line.startswith("#")]


def test_secrets_are_not_written_into_the_checkout_and_a_public_file_is_told(tmp_path: Path) -> None:
    def redirected(file: Path) -> tuple[int, str]:
        with file.open("w") as target:
            done = subprocess.run(
                [settings.ROOT / "citydata", "server", "secrets"],
                stdout=target,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        return done.returncode, done.stderr

    inside = settings.ROOT / "tests" / "never.env"
    try:
        code, said = redirected(inside)
        assert (code, inside.read_text()) == (1, "")
        assert "inside the checkout" in said
    finally:
        inside.unlink()
    public = tmp_path / "town.env"
    public.touch(0o644)
    code, said = redirected(public)
    assert code == 0
    assert f"chmod 600 {public}" in said
    assert "CITYDATA_ARCHIVE_KEY=AGE-SECRET-KEY-" in public.read_text()


@pytest.mark.parametrize("service", server.SERVICES)
def test_a_service_without_its_secrets_says_what_it_lacks(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CITYDATA_ARCHIVE", "s3://town/archive")
    done = CliRunner().invoke(app, ["server", service])
    assert done.exit_code == 1
    assert "CITYDATA_AIRFLOW_FERNET_KEY is not set" in done.output


def test_a_worker_without_a_broker_or_a_common_archive_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["server", "worker"])
    assert done.exit_code == 1
    assert "COMPOSE_PROFILES=scale-out" in done.output
    monkeypatch.setenv("CITYDATA_BROKER_URL", "redis://127.0.0.1:1/0")
    done = CliRunner().invoke(app, ["server", "worker"])
    assert done.exit_code == 1
    assert "CITYDATA_ARCHIVE is not set" in done.output


def test_nobody_answers_and_the_service_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_DATABASE_URL", "postgresql://127.0.0.1:1/citydata")
    monkeypatch.setenv("CITYDATA_AIRFLOW_PORT", "1")
    done = CliRunner().invoke(app, ["server", "health", "scheduler"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "does not say that scheduler is well" in done.stderr
    assert CliRunner().invoke(app, ["server", "health", "postgres"]).exit_code == 2


def test_on_a_server_nothing_is_synthetic_and_nothing_is_started_by_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_DATABASE_URL", "postgresql://127.0.0.1:1/citydata")
    monkeypatch.setenv("CITYDATA_AIRFLOW_URL", "https://data.town.example")
    served = Installation()
    assert (served.needs_cluster, served.simulates_hr, served.simulated_services) == (False, False, {})
    with pytest.raises(InstallationError, match="docker compose up"), served.locked():
        pass
    for command in (["up"], ["down"], ["reset", "--yes"], ["simulate"]):
        done = CliRunner().invoke(app, command)
        assert (done.exit_code, "this is a server" in done.output) == (1, True), command
