"""What is said about the project beside its code agrees with the code: publiccode.yml, the changelog, how to contribute."""

import json
import re
import tomllib
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from citydata import deploy, suite
from citydata.settings import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PUBLICCODE: dict[str, Any] = yaml.safe_load((ROOT / "publiccode.yml").read_text(encoding="utf-8"))
SCHEMA = json.loads(Path(__file__).with_name("publiccode.schema.json").read_text(encoding="utf-8"))
PAPERS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def _paper(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_publiccode_follows_the_standard() -> None:
    jsonschema.validate(PUBLICCODE, SCHEMA)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("name",), None),
        (("description", "fi", "shortDescription"), "x" * 151),
        (("description", "sv", "longDescription"), "för kort"),
        (("categories",), ["data-lakes"]),
        (("maintenance", "contacts"), None),
        (("publiccodeYmlVersion",), 0.4),
        (("licence",), "EUPL-1.2"),
    ],
)
def test_what_the_standard_does_not_allow_is_found(place: tuple[str, ...], value: Any) -> None:
    broken = deepcopy(PUBLICCODE)
    inside = broken
    for key in place[:-1]:
        inside = inside[key]
    if value is None:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_version_licence_and_languages_are_those_of_the_project() -> None:
    assert PUBLICCODE["softwareVersion"] == PROJECT["version"]
    assert PUBLICCODE["legal"]["license"] == PROJECT["license"] == "EUPL-1.2"
    assert _paper("LICENSE").startswith("EUROPEAN UNION PUBLIC LICENCE v. 1.2")
    assert set(PUBLICCODE["localisation"]["availableLanguages"]) == {"en", "fi", "sv"} == set(PUBLICCODE["description"])
    needs = {one["name"]: one for one in PUBLICCODE["dependsOn"]["open"]}
    python = needs["Python"]
    last = python["versionMax"].split(".")
    assert PROJECT["requires-python"] == f">={python['versionMin']},<{last[0]}.{int(last[1]) + 1}"
    older = re.search(r"server_version < (\d+)0000", Path(deploy.__file__).read_text(encoding="utf-8"))
    assert older
    assert needs["PostgreSQL"]["versionMin"] == older[1]


def test_the_changelog_has_the_version_of_the_project_and_releases_in_order() -> None:
    text = _paper("CHANGELOG.md")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in headings[1:]]
    assert all(releases)
    order = [(*map(int, one.groups()[:3]), date.fromisoformat(one[4])) for one in releases if one]
    assert order == sorted(order, reverse=True)
    assert ".".join(map(str, order[0][:3])) == PROJECT["version"]
    assert str(order[0][3]) == PUBLICCODE["releaseDate"]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds
    assert {heading[1:].split("]")[0] for heading in headings} == set(
        re.findall(r"^\[(.+)\]: https", text, re.MULTILINE)
    )


def test_links_of_the_papers_lead_somewhere() -> None:
    for name in PAPERS:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", _paper(name))
        assert [link for link in links if not (ROOT / link).exists()] == [], name


def test_thresholds_come_in_the_steps_that_are_told() -> None:
    told = re.search(r"`mostly` of a check: ([\d., or]+)\.", _paper("CONTRIBUTING.md"))
    assert told
    steps = {float(step) for step in re.findall(r"\d(?:\.\d+)?", told[1])}
    used = {
        expectation["kwargs"].get("mostly", 1)
        for path in (ROOT / "expectations").glob("*/*.json")
        for expectation in json.loads(path.read_text(encoding="utf-8"))["expectations"]
    }
    assert len(used) > 3
    assert used <= steps
    assert min(steps) == suite.MOSTLY_FLOOR
