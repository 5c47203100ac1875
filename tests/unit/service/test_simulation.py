"""The synthetic town: day by day, once, and without the files that real ones replace."""

from dataclasses import replace
from pathlib import Path

import pytest

from citydata.service.installation import InstallationError
from citydata.service.simulation import Simulation, Town

SMALL = Town(scale=0.02)


def _bring(home: Path, town: Town, files: tuple[str, ...] = ("finance.accounts", "finance.suppliers")) -> list[str]:
    return Simulation(home).bring(town, drop=home / "drop", files=files, hr=None)


def test_the_same_day_again_is_no_news(tmp_path: Path) -> None:
    assert _bring(tmp_path, SMALL)
    assert Simulation(tmp_path).town == SMALL
    assert _bring(tmp_path, SMALL) == []


def test_skipped_days_are_brought_too(tmp_path: Path) -> None:
    _bring(tmp_path, SMALL)
    before = {path.name for path in (tmp_path / "drop" / "finance").glob("toimittajat*.csv")}
    _bring(tmp_path, replace(SMALL, day=3))
    after = {path.name for path in (tmp_path / "drop" / "finance").glob("toimittajat*.csv")}
    assert len(before) == 1
    assert len(after) == 4


def test_only_the_asked_datasets_get_files(tmp_path: Path) -> None:
    _bring(tmp_path, replace(SMALL, replaced=("finance.suppliers",)), files=("finance.accounts",))
    assert {path.name.partition("_")[0] for path in (tmp_path / "drop" / "finance").glob("*.csv")} == {"tilit"}
    assert Simulation(tmp_path).choose(None).replaced == ("finance.suppliers",)


def test_a_town_of_another_scale_is_not_stretched(tmp_path: Path) -> None:
    _bring(tmp_path, SMALL)
    assert Simulation(tmp_path).choose(0.02) == SMALL
    with pytest.raises(InstallationError, match=r"scale 0\.02, not 2.*reset"):
        Simulation(tmp_path).choose(2)
