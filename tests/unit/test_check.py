"""The offline checks: clean on the repository, and each finds what it is for."""

import shutil
from pathlib import Path

import pytest

from citydata import check, contract, settings

GOOD = Path(__file__).parents[1] / "contracts" / "trial" / "cost_centres.yaml"
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
    ("old", "new", "problem"),
    [
        ("status: active\n", "status: active\ndescriptions: x\n", "unknown key"),
        ('format: "d.M.yyyy"', 'format: "ww.yyyy"', "column valid_from: “w” in the format “ww.yyyy” is not supported"),
        ("id: trial.cost_centres", "id: trial.centres", "must be the folder and the file name"),
    ],
)
def test_a_wrong_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, problem: str) -> None:
    (tmp_path / "trial").mkdir()
    text = GOOD.read_text(encoding="utf-8")
    (tmp_path / "trial" / GOOD.name).write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(settings, "CONTRACTS", tmp_path)
    contract.load_each.cache_clear()
    try:
        [found] = check._contracts()
    finally:
        contract.load_each.cache_clear()
    assert problem in found


def test_a_wrong_inventory_and_a_file_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(settings.INVENTORY, tmp_path, dirs_exist_ok=True)
    (tmp_path / "systems" / "more.yaml").write_text("- {id: fax, kind: machine}\n")
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "more.yaml").write_text("[]")
    (tmp_path / "people" / "more.yml").write_text("[]")
    monkeypatch.setattr(settings, "INVENTORY", tmp_path)
    found = list(check._inventory())
    assert found == [
        f"{tmp_path}/systems/more.yaml: fax: name_fi: Field required",
        f"{tmp_path}/people/more.yml: nobody reads this file; the inventory is <kind>.yaml or <kind>/<sector>.yaml",
        f"{tmp_path}/system/more.yaml: nobody reads this file; the inventory is <kind>.yaml or <kind>/<sector>.yaml",
    ]


def test_a_dataset_without_a_suite_and_a_suite_that_this_town_does_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "finance").mkdir()
    (tmp_path / "finance" / "nothing.json").write_text("{}")
    monkeypatch.setattr(settings, "EXPECTATIONS", tmp_path)
    found = list(check._suites())
    for dataset in contract.load_all():
        assert any(f"no suite for {dataset};" in problem for problem in found)
    assert check.left_out() == ["suites of no dataset of this town: finance.nothing"]


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


def test_a_dataset_without_a_staging_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(check, "MODELS", tmp_path / "dbt_project" / "models")
    found = list(check._lineage())
    for dataset in contract.load_all():
        assert any(problem.startswith(f"{dataset}: no staging model") for problem in found)


def test_the_towns_name_in_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "extract.py").write_text('CODE = "638"\n')
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    assert list(check._town()) == ["dags/extract.py:1: names the town; take it from include/town.yaml"]
