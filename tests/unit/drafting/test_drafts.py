"""A draft: all its files or none, no value of the source in any, nothing loaded of it until a person has filled it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from citydata import check, contract, lineage, schedule, settings, town
from citydata.cli import app
from citydata.contract import ContractError
from citydata.drafting import draft, gaps
from citydata.drafting.answers import QUESTIONS
from citydata.drafting.draft import Draft
from citydata.drafting.sample import DraftError
from citydata.governance import inventory
from tests.unit.drafting.conftest import ROWS

PLACES = "parks.places"
KNOWN = {
    "name_fi": "Paikat", "name_sv": "Platser", "description_fi": "Paikat lajeittain ja niiden koko.",
    "description_sv": "Platser per art och storlek.",
    "description_en": "Places by kind and size.", "purpose": "Suunnittelu.", "domain": "gis", "owner": "puistopaallikko",
    "steward": "katutietoasiantuntija", "contact": "x@example.org", "tietovaranto": "yleiset_alueet", "task_class": "10.03",
    "process": "katujen_kunnossapito", "publicity": "julkinen", "retention": "10 vuotta", "retention_ground": "Laki",
    "retention_starts": "alku", "retention_then": "hävitetään", "schedule": "15 5 * * *", "information_system": "katutiedot",
    "sector": "urban", "kind": "register", "criticality": "ordinary", "approved_by": "tiedonhallintapaallikko", "approval": "Pöytäkirja 1",
}  # fmt: skip
PERSONAL = "Nro;Sukunimi;Puhelin\n" + "".join(f"{i};Nimiö{i};040 55{i}0{i}\n" for i in range(1, 8))


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def filled(path: Path) -> None:
    """What a person does in the contract: a word for everything that is empty, and the status."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"value: \}  #.*", 'value: "sana"}', text)
    text = re.sub(r"(?m)^( *\w+):  #.*$", r'\1: "sana"', text)
    path.write_text(text.replace("status: draft", "status: active"), encoding="utf-8")
    contract.load_each.cache_clear()


def test_a_draft_has_every_file_and_no_value_of_the_source(drafted: Callable[..., Draft], tree: Path) -> None:
    before = files(tree)
    made = drafted()
    new = {name: text for name, text in files(tree).items() if name not in before}
    assert {settings.ROOT / name for name in new} == set(made.files)
    assert {name.split("/")[0] for name in new} == {"include", "expectations", "dbt_project"}
    values = {value for line in ROWS.splitlines()[1:] for value in line.split(";")} - {"kyllä", "ei"}
    for name, text in new.items():
        assert not [value for value in values if value in text], name


def test_identity_codes_and_names_are_nowhere(drafted: Callable[..., Draft], tree: Path, capfd: Any) -> None:
    codes = "Hetu;Nimi\n" + "".join(f"01019{i}-900{c};Testi Henkilö{c}\n" for i, c in enumerate("ABCDEFHJ"))
    file = tree / "h.csv"
    file.write_text(codes, encoding="utf-8")
    told = CliRunner().invoke(app, ["new", "parks.people", "--file", str(file), "--no-ask"])
    assert told.exit_code == 0, told.output
    file.unlink()
    everything = told.output + "".join(capfd.readouterr()) + "".join(files(tree).values())
    assert "Testi Henkilö" not in everything
    assert "-900" not in everything
    written = yaml.safe_load((settings.CONTRACTS / "parks" / "people.yaml").read_text(encoding="utf-8"))
    first = written["schema"][0]["properties"][0]
    assert first["classification"] == "secret"
    assert {"property": "personalData", "value": "identity_code"} in first["customProperties"]
    assert "hetu_valid" in draft.places("parks.people").staging.read_text(encoding="utf-8")


def test_nothing_is_loaded_of_a_draft_and_everything_else_goes_on(drafted: Callable[..., Draft]) -> None:
    loaded, dags = contract.load_all(), [extract.dag_id for extract in schedule.extracts()]
    drafted()
    contract.load_each.cache_clear()
    lineage.warehouse.cache_clear()
    assert contract.load_all().keys() == loaded.keys()
    assert [extract.dag_id for extract in schedule.extracts()] == dags
    assert PLACES not in schedule.datasets()
    assert "source_parks" not in {pool.name for pool in schedule.pools()}
    assert list(contract.drafts()) == [PLACES]
    inventory.read(settings.INVENTORY, contract.load_all())
    with pytest.raises(
        ContractError, match=rf"{PLACES} is a draft .*\n.*places.yaml:6: name: `name` is empty; the owner"
    ):
        contract.load(PLACES)


def test_check_names_every_gap_with_file_and_line_and_who_decides(drafted: Callable[..., Draft]) -> None:
    drafted()
    found = list(gaps.everywhere())
    lines = settings.ROOT.joinpath("include/contracts/parks/places.yaml").read_text(encoding="utf-8").splitlines()
    empty = [
        number for number, line in enumerate(lines, 1) if re.search(r"(value: \}|^ *\w+:|: ,.*\}|url: \}) *#", line)
    ]
    told = [
        int(match[1])
        for gap in found
        if (match := re.match(r"include/contracts/parks/places.yaml:(\d+): .* is empty; \w", gap))
    ]
    assert told == sorted(empty)
    assert len(told) > 20
    for place in (
        "datasets/parks_places.yaml:3: `name_fi` is empty",
        "changes/parks_places.yaml:5: `approver` is empty",
    ):
        assert any(gap.startswith(f"include/inventory/{place}; the ") for gap in found)
    assert any(re.match(r"include/change_assessments/parks/places.md:\d+: kuka vastaa", gap) for gap in found)


def test_active_with_a_gap_is_an_error_that_names_the_first(drafted: Callable[..., Draft]) -> None:
    path = settings.CONTRACTS / "parks" / "places.yaml"
    drafted()
    path.write_text(path.read_text(encoding="utf-8").replace("status: draft", "status: active"), encoding="utf-8")
    contract.load_each.cache_clear()
    loaded, [error] = contract.load_each()
    assert PLACES not in loaded
    assert str(error).endswith("places.yaml:6: name: `name` is empty; the owner: what the dataset is called")


def test_a_filled_draft_is_a_dataset(drafted: Callable[..., Draft], monkeypatch: pytest.MonkeyPatch) -> None:
    drafted(**KNOWN)
    path = settings.CONTRACTS / "parks" / "places.yaml"
    text = path.read_text(encoding="utf-8")
    filled(path)
    path.write_text(path.read_text(encoding="utf-8").replace("status: active", "status: draft"), encoding="utf-8")
    assert contract.drafts()[PLACES].gaps == (
        "include/contracts/parks/places.yaml:8: status: nothing is empty any more: `status: active` loads it",
    )
    path.write_text(text, encoding="utf-8")
    filled(path)
    entry = contract.load(PLACES)
    assert contract.problems(entry) == []
    assert (entry.key, entry.mode, entry.sla_hours, entry.platform.connector.type) == (
        ["tunnus"],
        "snapshot",
        30,
        "files",
    )
    assert [extract.dag_id for extract in schedule.extracts() if extract.system == "parks"] == ["extract_parks"]
    claimed = inventory.read(settings.INVENTORY, contract.load_all()).datasets["parks_places"]
    assert (claimed.contracts, claimed.owner, claimed.publicity) == ([PLACES], "puistopaallikko", "public")
    monkeypatch.setattr(check, "MODELS", settings.ROOT / "dbt_project" / "models")
    assert [problem for problem in check._drift() if "places" in problem] == []


def test_personal_data_brings_an_art_30_record_and_an_encrypted_archive(drafted: Callable[..., Draft]) -> None:
    made = drafted(PERSONAL, **KNOWN | {"legal_basis": "GDPR 6 art. 1 c"})
    assert [column.personal for column in made.proposed.columns] == [None, "name", "contact"]
    record = inventory.read(settings.INVENTORY, contract.load_all()).art30["ART30-PARKS-PLACES"]
    assert (record.legal_basis, record.purpose_fi) == ("GDPR 6 art. 1 c", "Suunnittelu.")
    text = made.files[settings.CONTRACTS / "parks" / "places.yaml"]
    assert "{property: encryptedArchive, value: true}" in text
    assert 'fi.art30Id, value: "ART30-PARKS-PLACES"' in text
    assert text.count("classification: public") == 1


@pytest.mark.parametrize(
    ("entry", "owner", "task_class"),
    [("puurekisteri", "puistopaallikko", "10.03.03"), ("talouden_ostot", "talousjohtaja", "02.02.02")],
)
def test_joining_a_dataset_of_the_inventory_asks_nothing_that_it_says(
    drafted: Callable[..., Draft], entry: str, owner: str, task_class: str
) -> None:
    before, known = files(settings.INVENTORY), inventory.load().datasets[entry].contracts
    made = drafted(inventory=entry)
    text = made.files[settings.CONTRACTS / "parks" / "places.yaml"]
    assert f"{{username: {owner}, role: owner}}" in text
    assert f'fi.tehtavaluokka, value: "{task_class}"' in text
    assert not any("parks_places" in name for name in files(settings.INVENTORY))
    contract.load_each.cache_clear()
    joined = inventory.read(settings.INVENTORY, contract.load_all()).datasets[entry]
    assert (joined.owner, joined.contracts) == (owner, known), "until it is loaded nothing of it counts"
    draft.undo(PLACES)
    assert files(settings.INVENTORY) == before


def test_undo_leaves_no_trace_and_takes_only_drafts(drafted: Callable[..., Draft], tree: Path) -> None:
    before = files(tree)
    drafted()
    draft.undo(PLACES)
    assert files(tree) == before
    assert not (settings.CONTRACTS / "parks").exists()
    with pytest.raises(DraftError, match="has no draft"):
        draft.undo(PLACES)
    with pytest.raises(DraftError, match="is no draft any more"):
        draft.undo("finance.accounts")
    drafted()
    with pytest.raises(DraftError, match="is there already"):
        drafted()


def test_a_draft_that_fails_leaves_nothing(
    drafted: Callable[..., Draft], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(tree)
    whole = draft._replace
    for nth in range(1, 8):
        written = []

        def breaking(path: Path, text: str, *, exclusive: bool, nth: int = nth, written: list[Path] = written) -> None:
            written.append(path)
            if len(written) == nth:
                raise KeyboardInterrupt if nth % 2 else OSError(28, "No space left on device", str(path))
            whole(path, text, exclusive=exclusive)

        monkeypatch.setattr(draft, "_replace", breaking)
        with pytest.raises((KeyboardInterrupt, DraftError)):
            drafted()
        assert len(written) == nth
        assert {k: v for k, v in files(tree).items() if not k.endswith(".csv")} == before
        assert not (settings.CONTRACTS / "parks").exists()
        for left in tree.glob("*.csv"):
            left.unlink()


def test_the_command_asks_prints_and_refuses(tree: Path) -> None:
    file = tree / "paikat.csv"
    file.write_text(ROWS, encoding="utf-8")
    before = files(tree)
    run = CliRunner()
    dry = run.invoke(app, ["new", PLACES, "--file", str(file), "--no-ask", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "==> include/contracts/parks/places.yaml" in dry.output
    assert files(tree) == before
    wrong = run.invoke(app, ["new", PLACES, "--file", str(file), "--no-ask", "--owner", "puistopaalikko"])
    assert wrong.exit_code == 2
    assert "puistopaallikko" in wrong.output
    assert run.invoke(app, ["new", "Parks", "--file", str(file)]).exit_code == 1
    assert run.invoke(app, ["new", PLACES]).exit_code == 1
    typed = "\n".join(["Paikat", "Platser", "", "", "", "", "nowhere", "gis", *[""] * 30])
    asked = run.invoke(app, ["new", PLACES, "--file", str(file), "--ask"], input=typed)
    assert asked.exit_code == 0, asked.output
    assert "--domain nowhere: there is none" in asked.output
    for prompt in (
        "What it is used for on the platform, in Finnish",
        "Owner (id in include/inventory/people)",
        "Authority that is its controller, if it is not the town",
    ):
        assert asked.output.count(f"{prompt}:") == 1
    assert "Legal basis" not in asked.output, "no personal data, no question about it"
    text = (settings.CONTRACTS / "parks" / "places.yaml").read_text(encoding="utf-8")
    assert 'name: "Paikat"' in text
    assert 'domain: "gis"' in text
    assert "./citydata new --undo parks.places" in asked.output


def test_of_personal_data_the_legal_basis_is_asked_and_the_answers_stand_in_the_draft(tree: Path) -> None:
    answers = KNOWN | {"authority": "Puistoyhtymä", "legal_basis": "GDPR 6 art. 1 c", "art30": ""}
    questions = [question for question in QUESTIONS if question.name in answers and not town.left_empty(question.name)]
    file = tree / "kontaktit.csv"
    file.write_text(PERSONAL, encoding="utf-8")
    typed = "".join(f"{answers[question.name]}\n" for question in questions)
    asked = CliRunner().invoke(app, ["new", PLACES, "--file", str(file), "--ask"], input=typed)
    assert asked.exit_code == 0, asked.output
    assert [question.text for question in questions if asked.output.count(f"{question.text}:") != 1] == []
    assert "Legal basis of processing the personal data:" in asked.output
    entries = inventory.read(settings.INVENTORY, contract.load_all())
    record = entries.art30["ART30-PARKS-PLACES"]
    assert (record.legal_basis, record.purpose_fi) == ("GDPR 6 art. 1 c", "Suunnittelu.")
    assert entries.datasets["parks_places"].controller == "Puistoyhtymä"
    text = (settings.CONTRACTS / "parks" / "places.yaml").read_text(encoding="utf-8")
    assert "{username: puistopaallikko, role: owner}" in text
    assert "Suunnittelu." in text
    assessment = (settings.ROOT / "include" / "change_assessments" / "parks" / "places.md").read_text(encoding="utf-8")
    assert "Rekisterinpitäjä tai vastuuviranomainen: Puistoyhtymä" in assessment


def test_the_suite_has_what_the_sample_shows_and_tells_what_is_missing(drafted: Callable[..., Draft]) -> None:
    made = drafted()
    suite = json.loads(made.files[settings.EXPECTATIONS / "parks" / "places.json"])
    dimensions = {one["meta"]["dimension"] for one in suite["expectations"]}
    assert dimensions | set(made.missing) == {
        *("correctness", "precision", "currentness", "consistency", "uniqueness", "coverage", "completeness"),
    }
    assert made.missing == ("consistency",)
    assert any("no check for the dimension consistency" in gap for gap in gaps.everywhere())
