"""Paimio: another town is its own files, without a line of code. And what a town.yaml must and may say."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import yaml
from typer.testing import CliRunner

from citydata import check, contract, lineage, master, schedule, settings, town, transform
from citydata.cli import app
from citydata.drafting import inventory_draft
from citydata.drafting.answers import Answers, Dataset
from citydata.governance import inventory, reasons
from citydata.governance.criteria import people
from citydata.governance.inventory import NotApplicable
from citydata.portal import pages
from citydata.service.installation import Installation
from citydata.source_change.adoption import addition_of
from simulators import finance_files, officer
from tests.towns import paimio_marts
from tests.unit.governance import cases

CACHED = (town.load, contract.load_each, lineage.warehouse, lineage.left_out, inventory.load)


@pytest.fixture
def paimio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The settings of this process are those of Paimio."""
    for name, path in paimio_marts.ENVIRONMENT.items():
        monkeypatch.setattr(settings, name.removeprefix("CITYDATA_"), Path(path))
    monkeypatch.setattr(settings, "SEEDS", paimio_marts.HERE / "seeds")
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    for cached in CACHED:
        cached.cache_clear()
    yield
    for cached in CACHED:
        cached.cache_clear()


@pytest.mark.usefixtures("paimio")
def test_its_files_are_well_and_what_it_leaves_out_is_said() -> None:
    assert check.problems() == []
    models, suites = check.left_out()
    assert "44 of 64 models are left out, the marts encounter_volume, gis_building, headcount" in models
    assert "no dataset gis.addresses, gis.buildings" in models
    assert "hr.people" in suites
    built = {name for name, node in lineage.warehouse().nodes.items() if lineage.has(name) and node.kind == "model"}
    assert {name for name in built if name.startswith("stg_")} == {
        f"stg_{e.raw_name}" for e in contract.load_all().values()
    }
    assert {"purchase", "supplier_spend"} <= built


@pytest.mark.usefixtures("paimio")
def test_dbt_is_given_no_source_model_or_exposure_of_what_is_not_there() -> None:
    project = transform.project()
    sources = yaml.safe_load((project / "contracts" / "sources.yml").read_text(encoding="utf-8"))
    assert {source["name"] for source in sources["sources"]} == {"finance"}
    switches = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
    off = {"+enabled": False}
    assert switches["models"]["citydata"]["marts"]["hr"] == {
        "+schema": "mart_hr", "+group": "hr", "headcount": off, "sick_leave": off
    }  # fmt: skip
    assert switches["exposures"]["citydata"].keys() == {
        *("building_geopackage", "personnel_report", "service_use_report", "strategic_indicators", "wellbeing_report")
    }
    assert transform.variables()["sectors"][0] == {
        "code": "hallinto", "name_fi": "Hallinto- ja talouspalvelut", "name_sv": "Hallinto- ja talouspalvelut", "until": None
    }  # fmt: skip


@pytest.mark.usefixtures("paimio")
def test_nothing_asks_for_swedish_where_it_is_no_official_language() -> None:
    entry = contract.load("finance.accounts")
    assert entry.description == "fi: Kirjanpidon tilit ja niiden nimet. | en: Accounts of the ledger and their names."
    assert all(column.description_sv is None for column in entry.columns)
    assert "Kirjanpidon tilit" in schedule.documentation(entry)
    assert "None" not in schedule.documentation(entry)
    assert all(dataset.name_sv is None for dataset in inventory.load().datasets.values())
    assert pages.languages() == ("fi", "en")


def test_swedish_is_demanded_where_it_is(tmp_path: Path) -> None:
    source = paimio_marts.HERE / "contracts" / "finance" / "accounts.yaml"
    (tmp_path / "finance").mkdir()
    path = tmp_path / "finance" / "accounts.yaml"
    path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(contract.ContractError, match="description_sv is missing; Swedish is an official language"):
        contract.read(path)
    with pytest.raises(inventory.InventoryError, match="talous: : Value error, name_sv is missing; Swedish is"):
        inventory.read(paimio_marts.HERE / "inventory", {})


@pytest.mark.usefixtures("paimio")
def test_only_what_its_contracts_read_is_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CITYDATA_DATABASE_URL", "CITYDATA_AIRFLOW_URL", "CITYDATA_SOURCE_HR"):
        monkeypatch.delenv(name, raising=False)
    installation = Installation()
    assert (installation.simulates_hr, installation.simulated_services) == (False, {})
    assert [extract.dag_id for extract in schedule.extracts()] == ["extract_finance"]
    invoices = finance_files.files(seed=1, scale=0.02, day=0, datasets=["finance.purchase_invoices"])
    for content in invoices.values():
        assert {line.split(";")[:2] == ["577", "Paimio"] for line in content.decode().splitlines()[1:]} == {True}
    [signs] = inventory.load().officers
    assert inventory.load().people[signs].signing_key == officer.PUBLIC_KEY


@pytest.mark.usefixtures("paimio")
def test_without_a_register_of_employments_nobody_is_known_to_be_employed() -> None:
    case = cases.case()
    rows = people.judge(cases.dataset(), case)
    assert [(row.result, row.reason) for row in rows] == [("unknown", "C3.no_register")] * 2
    assert "palvelussuhderekisteriä (town.yaml: employment_register)" in reasons.text(rows[0], "fi")
    # An officer may have looked elsewhere, and says so for a time.
    assert [(entry.dataset, entry.criterion) for entry in inventory.load().not_applicable] == [
        ("ostolaskut", "C3"),
        ("kantakartta", "C3"),
    ]
    assert all(isinstance(entry, NotApplicable) for entry in inventory.load().not_applicable)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("languages: [fi]", "languages: [fi, sv]", "the town and its sectors need name_sv"),
        ("languages: [fi]", "languages: [fi, en]", "languages.1: Input should be 'fi' or 'sv'"),
        ('"577"', "577", "municipality_code: Input should be a valid string"),
        ("name_fi: Paimio", "name: Paimio", "name_fi: Field required"),
        ("time_zone:", "timezone:", "time_zone: Field required"),
        ("languages: [fi]", "languages: [fi", "not YAML"),
    ],
)
def test_a_wrong_town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, problem: str) -> None:
    text = (paimio_marts.HERE / "town.yaml").read_text(encoding="utf-8")
    (tmp_path / "town.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(settings, "TOWN", tmp_path / "town.yaml")
    town.load.cache_clear()
    try:
        with pytest.raises(town.TownError) as caught:
            town.load()
    finally:
        town.load.cache_clear()
    assert str(caught.value).startswith(f"{tmp_path / 'town.yaml'}: ")
    assert problem in str(caught.value)


def test_check_without_a_town_says_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TOWN", tmp_path / "none.yaml")
    town.load.cache_clear()
    contract.load_each.cache_clear()
    try:
        ran = CliRunner().invoke(app, ["check"])
    finally:
        contract.load_each.cache_clear()
    assert ran.exit_code == 1
    assert ran.output.startswith(f"{tmp_path}/none.yaml: No such file or directory; CITYDATA_TOWN names another file")


@pytest.mark.usefixtures("paimio")
def test_drafts_and_new_columns_do_not_ask_for_swedish() -> None:
    assert addition_of("Viite=reference; type=string; classification=public; fi=Viite.; en=Reference.").sv is None
    said = Answers(name_fi="Varaukset", description_fi="Tilojen varaukset.", information_system="verkkolevy", sector="tekninen",
                   kind="event", criticality="ordinary")  # fmt: skip
    drafted = inventory_draft.entries(
        Dataset("bookings", "rooms", 10, True, said), inventory.load(), personal=True, today=date(2026, 6, 15)
    )
    assert "_sv" not in "".join(drafted.values())
    assert drafted["datasets"].splitlines()[1] == '- id: "bookings_rooms"'  # complete, so it is no comment


@pytest.mark.usefixtures("paimio")
def test_the_manifest_has_neither_tests_of_what_is_left_out_nor_groups_without_tables() -> None:
    """As dbt writes it: a test of a disabled model stays among the nodes, and so does a group without one."""
    path = settings.home() / "dbt" / "target" / "manifest.json"
    path.parent.mkdir(parents=True)
    seed = {
        "resource_type": "seed", "checksum": {"checksum": "1"}, "config": {"enabled": True, "group": "finance"},
        "depends_on": {"nodes": []}, "description": "", "columns": {},
    }  # fmt: skip
    left = {"resource_type": "test", "config": {"enabled": False}, "depends_on": {"nodes": []}}
    document = {
        "nodes": {"seed.citydata.one": seed, "test.citydata.left": left},
        "groups": {"group.citydata.finance": {"name": "finance"}, "group.citydata.hr": {"name": "hr"}},
        "macros": {}, "sources": {},
    }  # fmt: skip
    path.write_text(json.dumps(document), encoding="utf-8")
    transform._keep_manifest("code")
    kept = transform.kept_manifest("code")
    assert kept is not None
    assert kept["nodes"].keys() == {"seed.citydata.one"}
    assert transform.groups(kept) == ["finance"]


@pytest.mark.usefixtures("paimio")
def test_entities_without_their_datasets_are_not_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    matched = {
        name: SimpleNamespace(STAGING=entity.STAGING, match=lambda _: 1) for name, entity in master._entities().items()
    }
    assert matched.keys() == {"supplier", "district", "building"}
    monkeypatch.setattr(master, "_entities", lambda: matched)
    assert master.match(MagicMock()) == {"supplier": 1}
