"""A tree of a test's own to draft into: contracts, inventory and suites, with the town's inventory in it."""

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from citydata import contract, settings
from citydata.drafting import draft, sources
from citydata.drafting.answers import Answers
from citydata.drafting.draft import Draft
from citydata.governance import inventory

TODAY = date(2026, 11, 27)
_LINES = (
    f"T-{i};Paikka numero {i};{'abc'[i % 3] * 4};{i} 000,5;{'kyllä' if i % 2 else 'ei'};{i + 9}.3.2026"
    for i in range(1, 19)
)
ROWS = "\n".join(["Tunnus;Nimi;Laji;Pinta-ala;Kunnossa;Tarkastettu", *_LINES, ""])
"""Eighteen places: a key, two texts, a number, a truth, a day."""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The root of the tree. It has the town's contracts and inventory, and nothing drafted."""
    shutil.copytree(settings.CONTRACTS, tmp_path / "include" / "contracts")
    shutil.copytree(settings.INVENTORY, tmp_path / "include" / "inventory")
    (tmp_path / "dbt_project" / "models" / "staging").mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "CONTRACTS", tmp_path / "include" / "contracts")
    monkeypatch.setattr(settings, "INVENTORY", tmp_path / "include" / "inventory")
    monkeypatch.setattr(settings, "EXPECTATIONS", tmp_path / "expectations")
    for cached in (contract.load_each, inventory.load):
        cached.cache_clear()
    yield tmp_path
    for cached in (contract.load_each, inventory.load):
        cached.cache_clear()


@pytest.fixture
def drafted(tree: Path) -> Callable[..., Draft]:
    """A function that drafts `parks.places` from a text, with answers, and writes it."""

    def make(text: str | bytes = ROWS, name: str = "paikat-2026.csv", **answers: str) -> Draft:
        file = tree / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        found = sources.read(sources.Source(file=file), "parks", lambda said: None)
        file.unlink()
        made = draft.make(draft.places("parks.places"), found, Answers(**answers), TODAY)
        draft.write(made)
        return made

    return make
