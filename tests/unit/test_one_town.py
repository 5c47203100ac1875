"""Which town it is stands in town.yaml, in contracts, simulators and documentation, and nowhere else."""

import re

from citydata import settings, town

PLACES = ("include/citydata", "include/migrations", "dags", "plugins", "dbt_project", "expectations")
TEXTS = {".py", ".sql", ".yml", ".yaml", ".json", ".csv"}


def test_code_models_and_suites_know_no_town() -> None:
    here = town.load()
    names = re.compile(rf"{here.name_fi}|{here.name_sv}|\b{here.municipality_code}\b|{here.business_id}")
    texts = {
        path: path.read_text(encoding="utf-8")
        for place in PLACES
        for path in (settings.ROOT / place).rglob("*")
        # What dbt is told of the contracts is written from them.
        if path.suffix in TEXTS and "target" not in path.parts and path.name != "_sources.generated.yml"
    }
    assert len(texts) > 200
    assert [str(path) for path, text in texts.items() if names.search(text)] == []
