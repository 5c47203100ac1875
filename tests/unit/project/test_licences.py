"""The bill of materials names every package that is pinned, and no licence is used that nobody has allowed."""

import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from citydata import licences
from citydata.cli import app
from citydata.licences import Package

PINNED = re.compile(r"^([\w.-]+)==([\w.!+-]+)", re.MULTILINE)


def test_the_bill_of_materials_is_valid_and_has_every_pinned_package(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["licences", "--directory", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    requirements = licences.REQUIREMENTS.read_text(encoding="utf-8")
    pinned = {f"pkg:pypi/{licences.normal(name)}@{version}" for name, version in PINNED.findall(requirements)}
    document = json.loads(text)
    components = {component["purl"]: component for component in document["components"]}
    assert len(pinned) > 200
    assert components.keys() == pinned
    assert sum(len(one["externalReferences"][0]["hashes"]) for one in components.values()) == requirements.count(
        "sha256:"
    )
    assert all(component["licenses"] for component in components.values())
    needed = {one for row in document["dependencies"] for one in row["dependsOn"]}
    assert needed == pinned, "each is there because something needs it"
    table = (tmp_path / "licences.md").read_text(encoding="utf-8")
    assert len(table.splitlines()) == len(pinned) + 2
    # The same requirements give the same bytes.
    assert not {"serialNumber", "timestamp"} & (document.keys() | document["metadata"].keys())
    for ordered in (list(components), *(row["dependsOn"] for row in document["dependencies"])):
        assert ordered == sorted(ordered)


@pytest.mark.parametrize(
    ("stated", "licence", "problem"),
    [
        ("MIT License", "MIT", None),
        ("BSD License; Apache Software License", "BSD-3-Clause AND Apache-2.0", None),
        ("MIT OR GPL-3.0-only", "MIT OR GPL-3.0-only", None),
        ("MIT AND GPL-3.0-only", "MIT AND GPL-3.0-only", "a licence that is not allowed: GPL-3.0-only"),
        (
            "(MIT OR Apache-2.0) AND SSPL-1.0",
            "(MIT OR Apache-2.0) AND SSPL-1.0",
            "a licence that is not allowed: SSPL-1.0",
        ),
        ("MIT; GPL-2.0-only OR AGPL-3.0-only", None, "a licence that is not allowed: AGPL-3.0-only, GPL-2.0-only"),
        ("Other/Proprietary License", "NOASSERTION", "an unknown licence: “Other/Proprietary License”"),
        ("", "NOASSERTION", "an unknown licence: “none”"),
    ],
)
def test_of_a_choice_one_licence_must_be_allowed_and_of_several_all(
    stated: str, licence: str | None, problem: str | None
) -> None:
    judged = licences.read_policy().judge("made-up", "1.0", stated)
    assert (licence is None or judged.licence == licence, judged.problem) == (True, problem)


def test_what_a_person_has_read_is_about_packages_that_are_pinned() -> None:
    policy = licences.read_policy()
    pinned = {licences.normal(name) for name, _ in PINNED.findall(licences.REQUIREMENTS.read_text(encoding="utf-8"))}
    assert policy.reviewed.keys() <= pinned
    assert all(decision["reason"].endswith(".") for decision in policy.reviewed.values())
    assert set(policy.names.values()) <= policy.allowed


def test_an_unknown_licence_fails_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Package("left-pad", "1.0", "NOASSERTION", "WTF", "an unknown licence: “WTF”")
    monkeypatch.setattr(licences, "write", lambda directory: ([], [package]))
    result = CliRunner().invoke(app, ["licences", "--directory", str(tmp_path)])
    assert result.exit_code == 1
    assert "left-pad 1.0: an unknown licence: “WTF”" in result.output
    assert "include/licences.yaml" in result.output
