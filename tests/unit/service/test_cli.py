"""The command line: exit codes, questions before deletion, and help."""

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from citydata.cli import app
from citydata.governance import attestation
from citydata.service import state

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv("CITYDATA_DATABASE_URL", raising=False)
    monkeypatch.setenv("CITYDATA_HOME", str(home))
    return home


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "test"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_status_without_an_installation_says_how_to_make_one(home: Path) -> None:
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 1
    assert "./citydata up" in result.output


def test_status_for_machines(home: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--json"])
    assert json.loads(result.stdout)["exit_code"] == result.exit_code == 1


def test_wrong_usage_is_2(home: Path) -> None:
    assert CliRunner().invoke(app, ["up", "--scale", "big"]).exit_code == 2


def test_a_wrong_manifest_stops_before_anything_is_made(home: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "inputs.yaml"
    manifest.write_text("inputs: {finance.acounts: {file: x}}")
    result = CliRunner().invoke(app, ["up", "--input", str(manifest)])
    assert result.exit_code == 1
    assert "finance.acounts is not a dataset" in result.output
    assert not list(home.iterdir())


def test_reset_asks_and_no_means_no(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.make_secrets(home)
    for name in state.read_secrets(home):
        monkeypatch.setenv(name, "")
    result = CliRunner().invoke(app, ["reset"], input="n\n")
    assert result.exit_code == 1
    assert (home / "secrets.env").exists()
    assert CliRunner().invoke(app, ["reset", "--yes"]).exit_code == 0
    assert not home.exists()


def test_down_with_nothing_running_is_well(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in state.make_secrets(home):
        monkeypatch.setenv(name, "")
    result = CliRunner().invoke(app, ["down"])
    assert result.exit_code == 0
    assert "nothing was running" in result.output


def test_a_private_key_is_told_once_and_logged_nowhere(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = (CliRunner().invoke(app, ["governance", "key"]) for _ in range(2))
    assert first.exit_code == 0
    (line,) = first.stdout.splitlines()
    name, _, private = line.partition("=")
    assert name == "CITYDATA_SIGNING_KEY"
    assert first.stderr.splitlines()[-1] == f"signing_key: {attestation.public_key(private)}"
    assert private not in first.stderr + caplog.text
    assert private not in second.stdout
    assert not list(home.iterdir())
