"""A contract's file is edited where it changes and nowhere else."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citydata import contract
from citydata import settings as installation
from citydata.contract import Contract
from citydata.source_change.contract_file import ContractFile, NewColumn, bumped

TRIAL = Path(__file__).parents[2] / "contracts" / "trial"
# Elements of FHIR are the standard's, and nobody renames them; a draft is not adopted.
FILES = [
    path
    for path in sorted([*installation.CONTRACTS.glob("*/*.yaml"), *TRIAL.glob("*.yaml")])
    if not re.search("fhir|^status: draft", path.read_text(encoding="utf-8"), re.MULTILINE)
]
NOTE = NewColumn("Lisätieto: #1", "note_of_ours", "date", "internal", "Päivä.", "Dag.", "Day.", "yyyy-MM-dd", "birth")


def read(text: str, directory: Path, like: Path) -> Contract:
    path = directory / like.parent.name / like.name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(text.encode())
    return contract.read(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_every_contract_survives_every_edit(path: Path, tmp_path: Path) -> None:
    """What is read back is the contract with the edits, the lines that are not edited are as they were, and it is valid."""
    entry = contract.read(path)
    text = path.read_bytes().decode()
    file = ContractFile(text)
    file.set_version("7.1.0")
    for column in entry.columns:
        file.rename(column, f"{column.source_name} “uusi” \\ x")
    optional = [column for column in entry.columns if not column.required]
    for column in optional:
        file.remove(column, "7.1.0")
    file.add(NOTE, "7.1.0")
    edited = file.edited()
    found = read(edited, tmp_path, path)
    assert contract.problems(found) == []
    assert found.version == "7.1.0"
    for before, after in zip(entry.columns, found.columns, strict=False):
        assert after.name == before.name
        assert after.titles == (f"{before.source_name} “uusi” \\ x", *before.titles)
        assert after.settings.removedIn == (None if before.required else "7.1.0")
    new = found.columns[len(entry.columns)]
    assert (new.name, new.source_name, new.type, new.personal_data) == ("note_of_ours", NOTE.title, "date", "birth")
    assert (new.settings.addedIn, new.may_lack, new.required) == ("7.1.0", False, False)
    # Comments, order and layout: every line but those of titles, version and the new ones is there, in the same order.
    kept = [line for line in text.splitlines() if "physicalName" not in line and not line.startswith("version:")]
    rest = iter(edited.splitlines())
    assert all(any(line == other for other in rest) for line in kept)
    assert edited.endswith("\n") == text.endswith("\n")


SMALL = """# Head.
id: x  # the id

version: '1.2.3'   # semantic
schema:
  - name: t
    properties:
      # Flow style.
      - {name: a, logicalType: string, customProperties: [{property: description_sv, value: "a"}]}  # behind a

      - name: b   # behind b
        physicalName: B plain # title
        customProperties:
          - {property: description_sv, value: "b"}
          - {property: formerNames, value: [x]}   # of old
          # Below b.

      # Between.
      - name: c
        customProperties:
        - property: description_sv
          value: |
            many
            lines
        # The end of c.
slaProperties: []"""


def test_flow_style_comments_and_block_texts_stay() -> None:
    class Titles:
        def __init__(self, name: str, *titles: str) -> None:
            self.name, self.source_name = name, titles[0]
            self.settings = type("Settings", (), {"formerNames": list(titles[1:])})

    file = ContractFile(SMALL)
    file.set_version("1.3.0")
    file.rename(Titles("a", "a"), "A")  # type: ignore[arg-type]
    file.rename(Titles("b", "B plain", "x"), "B; 2")  # type: ignore[arg-type]
    file.rename(Titles("c", "c"), "C")  # type: ignore[arg-type]
    edited = file.edited()
    assert "version: '1.3.0'   # semantic" in edited
    assert '- {name: a, physicalName: "A", logicalType: string,' in edited
    assert '{property: description_sv, value: "a"}, {property: formerNames, value: ["a"]}]}  # behind a' in edited
    assert '        physicalName: "B; 2" # title' in edited
    assert (
        '{property: formerNames, value: ["x", "B plain"]}   # of old\n          # Below b.\n\n      # Between.'
        in edited
    )
    assert '      - name: c\n        physicalName: "C"\n' in edited
    assert '            lines\n        - {property: formerNames, value: ["c"]}\n        # The end of c.\n' in edited


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lines_end_as_the_others_do(line_end: str, tmp_path: Path) -> None:
    path = TRIAL / "cost_centres.yaml"
    file = ContractFile(path.read_text(encoding="utf-8").replace("\n", line_end))
    file.add(NOTE, "1.1.0")
    file.rename(contract.read(path).columns[0], "Tunnus")
    edited = file.edited()
    assert edited.count("\n") == edited.count(line_end)
    assert read(edited, tmp_path, path).columns[0].titles == ("Tunnus", "Koodi")


@given(title=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_title_is_read_as_it_was_written(title: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = TRIAL / "cost_centres.yaml"
    column = contract.read(path).columns[1]
    if title in (*column.titles, "Koodi", "Talousarvio", "Voimassa"):
        return
    file = ContractFile(path.read_text(encoding="utf-8"))
    file.rename(column, title)
    found = read(file.edited(), tmp_path_factory.getbasetemp() / "titles", path)
    assert found.columns[1].titles == (title, "Nimi")


def test_versions_follow_semantic_versioning() -> None:
    assert bumped("1.2.3", "minor") == "1.3.0"
    assert bumped("1.9.9", "minor") == "1.10.0"
    assert bumped("1.2.3", "major") == "2.0.0"
    assert contract.version_parts("1.10.0") > contract.version_parts("1.9.9")
    for wrong in ("1.2", "v1.2.3", "1.2.3-rc1"):
        with pytest.raises(ValueError, match=r"unpack|invalid literal"):
            bumped(wrong, "minor")
