"""The offline checks: clean on the repository, and each finds what it is for."""

from pathlib import Path

import pytest

from citydata import check, settings

STAGING = Path("staging") / "finance" / "stg_finance__accounts.sql"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models with one staging model, to be written by the test."""
    monkeypatch.setattr(check, "MODELS", tmp_path)
    (tmp_path / STAGING).parent.mkdir(parents=True)
    return tmp_path


def test_the_repository_has_no_problems() -> None:
    assert check.problems() == []


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("account,\n    title", "reads the column title, which the contract of finance.accounts does not have"),
        ("account,\n    {{ trimmed('title') }} as name", "reads the column title"),
        ("account", "leaves out the column name of the contract of finance.accounts"),
    ],
)
def test_a_staging_model_that_drifted_from_its_contract(models: Path, columns: str, problem: str) -> None:
    (models / STAGING).write_text(f"select\n    {columns}\nfrom raw")
    assert any(problem in found for found in check._drift())


def test_a_reference_to_no_model(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (models / "dbt_project").mkdir()
    monkeypatch.setattr(settings, "ROOT", models)
    monkeypatch.setattr(check, "MODELS", models / "dbt_project")
    (models / "dbt_project" / "purchase.sql").write_text("select * from {{ ref('nowhere') }}")
    assert any("ref('nowhere') names no model" in found for found in check._lineage())


def test_the_towns_name_in_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "extract.py").write_text('CODE = "638"\n')
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    assert list(check._town()) == ["dags/extract.py:1: names the town; take it from include/town.yaml"]
