"""Which town it is stands in the town's own files, in simulators and documentation, and nowhere else."""

import re

import yaml

from citydata import settings
from tests.towns import paimio_marts

PLACES = ("include/citydata", "include/migrations", "dags", "plugins", "dbt_project", "expectations")
TEXTS = {".py", ".sql", ".yml", ".yaml", ".json", ".csv", ".html", ".css"}


def test_code_models_seeds_and_suites_know_no_town() -> None:
    names = []
    for file in (settings.TOWN, paimio_marts.HERE / "town.yaml"):
        here = yaml.safe_load(file.read_text(encoding="utf-8"))
        names += [here["name_fi"], *([here["name_sv"]] if "name_sv" in here else []), here["business_id"]]
        names.append(rf"\b{here['municipality_code']}\b")
    known = re.compile("|".join(names))
    texts = {
        path: path.read_text(encoding="utf-8")
        for place in PLACES
        for path in (settings.ROOT / place).rglob("*")
        if path.suffix in TEXTS and "target" not in path.parts
    }
    assert len(texts) > 200
    assert {path.suffix for path in texts} == TEXTS
    assert [str(path) for path, text in texts.items() if known.search(text)] == []


def test_lists_of_a_town_are_no_seeds_of_the_platform() -> None:
    """What another town would have to replace stands beside town.yaml; seeds of the project are national classifications."""
    lists = {path.stem for path in settings.SEEDS.glob("*.csv")}
    assert lists == {"account_name", "organisation_unit_name", "strategic_indicator_definition"}
    assert {path.stem for path in (settings.ROOT / "dbt_project").rglob("*.csv")} == {"building_use", "encounter_class"}
