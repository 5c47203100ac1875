"""Secrets are made once, kept private, and never replaced."""

import os
from pathlib import Path

import pytest

from citydata.service import state
from citydata.service.installation import Installation, InstallationError
from citydata.settings import ROOT


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = state.make_secrets(tmp_path)
    assert state.make_secrets(tmp_path) == first
    assert state.read_secrets(tmp_path) == first
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_a_new_version_wants_is_added_and_the_others_stay(tmp_path: Path) -> None:
    made = state.make_secrets(tmp_path)
    kept = {name: value for name, value in made.items() if name != "CITYDATA_PASSWORD_BI"}
    (tmp_path / "secrets.env").write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    again = state.make_secrets(tmp_path)
    assert again.keys() == made.keys()
    assert {name: again[name] for name in kept} == kept


def test_secrets_differ_between_installations(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = state.make_secrets(tmp_path / "a"), state.make_secrets(tmp_path / "b")
    assert not set(one.values()) & set(other.values())


def test_what_the_environment_holds_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = state.make_secrets(tmp_path)
    for name in (*made, "CITYDATA_HOME"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that what `enter` sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("CITYDATA_PASSWORD_BI", "from the vault")
    state.enter(tmp_path)
    assert os.environ["CITYDATA_PASSWORD_BI"] == "from the vault"
    assert os.environ["CITYDATA_PASSWORD_LOADER"] == made["CITYDATA_PASSWORD_LOADER"]


def test_archives_and_logs_are_nobody_elses_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    state.enter(tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("archive", "drop", "logs", "run")} == {0o700}


@pytest.mark.parametrize("inside", [ROOT, ROOT / "state"])
def test_state_inside_the_checkout_is_refused(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_HOME", str(inside))
    with pytest.raises(InstallationError, match="inside the checkout"):
        Installation()


def test_a_second_call_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path / "home"))
    with Installation().locked(), pytest.raises(InstallationError, match="Another"), Installation().locked():
        pass
