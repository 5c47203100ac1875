"""Pages of one kind have one shape, and pages about the code say what the code does."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from citydata import database, deploy, schedule
from citydata.documentation import alerts, roles
from citydata.settings import ROOT

RUNBOOKS = sorted(path for path in (ROOT / "docs" / "runbooks").glob("*.md") if path.stem != "README")
DECISIONS = sorted((ROOT / "docs" / "explanation" / "decisions").glob("*.md"))
CODE = ("include", "dags", "plugins", "expectations")
CONFIGURED = ("dbt_project/profiles.yml", "docker-compose.yml", "Dockerfile", "citydata")
"""Files that are no Python and read settings too."""
NAME = re.compile(r"CITYDATA_[A-Z0-9_]*[A-Z0-9]")
GLOSSARY = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| English", "| in English"))
]
"""Rows of its tables: English, Finnish, Swedish, meaning."""


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_says_how_it_is_seen_what_it_means_what_to_do_and_when_it_is_over(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parts = ["# ", "**Seen as** ", "**It means** ", "1. ", "**It is over when** "]
    places = [re.search(rf"^{re.escape(part)}", text, re.MULTILINE) for part in parts]
    assert all(places), [part for part, place in zip(parts, places, strict=True) if not place]
    assert sorted(place.start() for place in places if place) == [place.start() for place in places if place]
    assert page.name in (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8")


def test_every_alert_leads_to_a_runbook_and_every_runbook_is_led_to() -> None:
    assert alerts.leading() == {page.stem for page in RUNBOOKS}


def test_runbooks_of_alerts_are_files_or_pages_of_the_site(monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    monkeypatch.delenv("CITYDATA_DOCS_URL", raising=False)
    for name in alerts.leading():
        assert (ROOT / schedule.runbook(name)).exists()
    monkeypatch.setenv("CITYDATA_DOCS_URL", "https://docs.town.example/data/")
    for name in alerts.leading():
        address = schedule.runbook(name)
        assert (built / address.removeprefix("https://docs.town.example/data/")).is_file(), address


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_context_consequences_and_what_was_tried(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parts = ["Context", "Decision", "Consequences", "Tried and measured"]
    assert [part for part in re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) if part in parts] == parts
    assert len(text.splitlines()) < 30
    assert f"decisions/{page.name}" in (ROOT / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")


def test_settings_are_exactly_those_that_the_code_reads() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(CITYDATA_[A-Z0-9_<>]+)`", page))
    read = set(_read_by_code())
    shapes = [re.compile(re.sub("<[A-Z]+>", "[A-Z0-9_]+", name)) for name in told]
    assert {name for name in read if not any(shape.fullmatch(name) for shape in shapes)} == set(), (
        "nobody is told of them"
    )
    unread = {name for name, shape in zip(told, shapes, strict=True) if not any(map(shape.fullmatch, read))}
    assert unread == set(), "nothing reads them"


def _read_by_code() -> Iterator[str]:
    """Names of environment variables in the code, with X for the part that is put in when it runs."""
    for place in CONFIGURED:
        yield from re.findall(r"(?:\$\{|env_var\(')(CITYDATA_\w+)", (ROOT / place).read_text(encoding="utf-8"))
    for place in CODE:
        for path in sorted((ROOT / place).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if "CITYDATA_" in text else ():
                if isinstance(node, ast.JoinedStr):
                    name = "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    name = node.value
                else:
                    continue
                if NAME.fullmatch(name):
                    yield name


def test_every_role_of_a_step_is_explained() -> None:
    assert set(roles.PURPOSES) == set(database.STEP_ROLES) <= set(deploy.login_roles())


def test_every_term_of_the_glossary_is_in_three_languages_with_a_meaning() -> None:
    assert len(GLOSSARY) > 100
    assert {len(row) for row in GLOSSARY} == {4}
    assert [row for row in GLOSSARY if not all(row)] == []
    # A dash is a word that English has not; the others always have one.
    assert [row for row in GLOSSARY if "–" in row[1:]] == []


def test_no_term_is_in_the_glossary_twice() -> None:
    # A cell may hold several terms; what a bracket adds tells two meanings of a word apart.
    terms = [term for english, finnish, *_ in GLOSSARY for term in (finnish if english == "–" else english).split(", ")]
    assert [term for term, times in Counter(map(str.casefold, terms)).items() if times > 1] == []
