"""The inventory of the town as its files have it, and what reading an inventory refuses."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from citydata import contract, settings, town
from citydata.contract import Contract
from citydata.governance import inventory
from citydata.governance.inventory import Inventory

TOWN_SYSTEMS = 40
TOWN_DATASETS = 180
# The first two say the same of themselves, the third something else.
ACCOUNTS, SUPPLIERS, INDICATORS = "finance.accounts", "finance.suppliers", "social_health.indicators"

Files = Mapping[str, str]


@pytest.fixture(scope="module")
def model() -> Inventory:
    """The town's own inventory."""
    return inventory.read(settings.INVENTORY, contract.load_each()[0])


# -- the town's files ------------------------------------------------------------------------------------------------


def test_the_inventory_holds_all_that_the_town_has_and_most_of_it_is_not_integrated(model: Inventory) -> None:
    assert len(model.systems) >= TOWN_SYSTEMS
    assert len(model.datasets) >= TOWN_DATASETS
    assert sum(not entry.contracts for entry in model.datasets.values()) > 0.9 * len(model.datasets)
    assert {entry.sector for entry in model.datasets.values()} == {sector.code for sector in town.load().sectors}


def test_drives_sites_spreadsheets_paper_and_the_platform_are_systems_too(model: Inventory) -> None:
    kinds = {system.kind for system in model.systems.values()}
    assert kinds >= {"shared_drive", "collaboration_site", "spreadsheet", "paper_archive", "platform"}


def test_some_systems_are_known_and_not_mapped(model: Inventory) -> None:
    with_datasets = {entry.system for entry in model.datasets.values()}
    unmapped = {system.id for system in model.systems.values() if system.mapped is None}
    assert unmapped - with_datasets
    assert unmapped & with_datasets
    assert len(unmapped) < len(model.systems) / 2
    for system in model.systems.values():
        if system.mapped:
            assert system.mapped.by != system.owner, f"{system.id}: an owner does not confirm the map of an own system"


def test_the_officers_of_the_town_have_their_roles(model: Inventory) -> None:
    roles = Counter(role for person in model.people.values() for role in person.roles)
    assert roles == {"governance_officer": 1, "data_protection_officer": 1, "information_manager": 1}
    employees = Counter(person.employee for person in model.people.values() if person.employee)
    assert max(employees.values()) == 1


def test_datasets_have_the_gaps_that_a_real_town_has(model: Inventory) -> None:
    datasets = list(model.datasets.values())
    people = model.people
    personal = [entry for entry in datasets if entry.personal_data in ("personal", "special")]
    retentions = [entry.retention for entry in datasets if entry.retention]
    gaps = {
        "no Finnish description": [entry for entry in datasets if not entry.description_fi],
        "no Swedish description": [entry for entry in datasets if entry.description_fi and not entry.description_sv],
        "a placeholder": [entry for entry in datasets if "täydennetään" in (entry.description_fi or "").lower()],
        "no process": [entry for entry in datasets if not entry.process],
        "no interface": [entry for entry in datasets if not entry.interfaces],
        "no method": [each for each in model.interfaces.values() if not each.method],
        "no owner": [entry for entry in datasets if not entry.owner],
        "no steward": [entry for entry in datasets if not entry.steward],
        "an owner who is a mailbox": [
            entry for entry in datasets if entry.owner and people[entry.owner].mailbox == "group"
        ],
        "no number in HR": [person for person in people.values() if not person.employee],
        "no class": [entry for entry in datasets if not entry.publicity],
        "no ground": [
            entry for entry in datasets if entry.publicity not in (None, "public") and not entry.secrecy_ground
        ],
        "no record": [entry for entry in personal if not entry.art30],
        "no legal basis": [record for record in model.art30.values() if not record.legal_basis],
        "no assessment": [record for record in model.art30.values() if record.dpia_required and not record.dpia],
        "no retention": [entry for entry in datasets if entry.retention is None],
        "no start of retention": [rule for rule in retentions if rule.period and not rule.starts],
    }
    assert [name for name, found in gaps.items() if not found] == []


def test_most_datasets_are_described_owned_and_classified_all_the_same(model: Inventory) -> None:
    complete = [
        entry
        for entry in model.datasets.values()
        if entry.description_fi and entry.description_sv and entry.process and entry.interfaces
        if entry.owner and entry.steward and (entry.publicity == "public" or entry.secrecy_ground)
        if entry.personal_data == "none" or entry.art30
        if entry.retention and all(entry.retention.model_dump().values())
    ]
    assert 0.5 < len(complete) / len(model.datasets) < 0.9


def test_decisions_and_reviews_are_there_in_every_kind(model: Inventory) -> None:
    assert {exclusion.reason for exclusion in model.exclusions} >= {
        "group_company",
        "external_statistic",
        "test_environment",
    }
    assert {row.criterion for row in model.manual_evidence} == {"C7", "C8", "C9"}
    assert {change.kind for change in model.changes} >= {"added", "merged"}
    assert all(dismissal.found.startswith("vendor:") for dismissal in model.dismissals)
    reviewed = {name for review in model.access_reviews.values() for name in review.datasets}
    assert reviewed >= {entry.id for entry in model.datasets.values() if entry.sector == "concern" and entry.contracts}
    assert model.reconciliation.software_accounts
    for approver in (*model.exclusions, *model.not_applicable, *model.changes, *model.dismissals):
        assert model.approved(approver.approver)


# -- what is refused -------------------------------------------------------------------------------------------------

SYSTEM = {
    "systems.yaml": "- {id: fax, name_fi: Faksi, name_sv: Fax, kind: service, sector: concern, criticality: ordinary}\n"
}
LETTERS = (
    "id: letters, name_fi: Kirjeet, name_sv: Brev, system: fax, sector: concern, kind: event, criticality: ordinary"
)
NAMED = {
    "task_classes.yaml": "- {id: 00.01.02, name_fi: Seuranta, name_sv: Uppföljning}\n",
    "tietovarannot.yaml": "- {id: mail, name_fi: Posti, name_sv: Post}\n",
}


def read(directory: Path, files: Files, *contracts: str) -> Inventory:
    """Read a small inventory made of `files`, with the named contracts of the repository."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    loaded = contract.load_each()[0]
    return inventory.read(directory, {name: loaded[name] for name in contracts})


def refused(directory: Path, files: Files, *contracts: str) -> list[str]:
    """The lines of the error that reading `files` ends in."""
    with pytest.raises(inventory.InventoryError) as error:
        read(directory, files, *contracts)
    return str(error.value).splitlines()


def pools(*contracts: str) -> dict[str, str]:
    """The task classes, tietovarannot, processes and people that contracts name, as files."""
    loaded = contract.load_each()[0]
    entries: list[Contract] = [loaded[name] for name in contracts]

    def named(key: str) -> list[dict[str, str]]:
        names = dict.fromkeys(entry.platform.fi[key] for entry in entries)
        return [{"id": f"{key}{number}", "name_fi": name, "name_sv": name} for number, name in enumerate(names)]

    classes = dict.fromkeys(entry.platform.fi["tehtavaluokka"] for entry in entries)
    people = dict.fromkeys(name for entry in entries for name in (entry.owner, entry.steward))
    return {
        "tietovarannot.yaml": yaml.safe_dump(named("tietovaranto"), allow_unicode=True),
        "processes.yaml": yaml.safe_dump(
            [{**entry, "task_class": next(iter(classes))} for entry in named("toimintaprosessi")], allow_unicode=True
        ),
        "task_classes.yaml": yaml.safe_dump([{"id": code, "name_fi": code, "name_sv": code} for code in classes]),
        "people.yaml": yaml.safe_dump([{"id": name, "title_fi": name, "title_sv": name} for name in people]),
    }


def test_a_small_inventory_is_read_from_a_file_and_a_folder(tmp_path: Path) -> None:
    found = read(tmp_path, {**SYSTEM, **NAMED, "datasets/concern.yaml": f"- {{{LETTERS}, tietovaranto: mail}}\n"})
    assert found.datasets["letters"].tietovaranto == "mail"
    assert found.datasets["letters"].controller == inventory.TOWN


def test_words_that_old_yaml_takes_for_yes_and_no_are_words(tmp_path: Path) -> None:
    people = "- {id: no, title_fi: N, title_sv: 'N', roles: [governance_officer]}\n"
    change = "- {kind: added, after: [letters], on: 2026-03-01, approver: no, document: M 3/2026, note_fi: Uusi.}\n"
    record = "- {id: A1, name_fi: Kirjeet, name_sv: Brev, dpia_required: true}\n"
    files = {**SYSTEM, "datasets.yaml": f"- {{{LETTERS}}}\n", "people.yaml": people, "changes.yaml": change}
    found = read(tmp_path, {**files, "art30.yaml": record})
    [logged] = found.changes
    assert logged.on.isoformat() == "2026-03-01"
    assert found.art30["A1"].dpia_required is True
    assert found.approved("no", found.datasets["letters"])


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"datasets.yaml": f"- {{{LETTERS}, colour: red}}\n"}, "datasets.yaml: letters: colour: Extra inputs"),
        ({"datasets/urban.yaml": "- {id: letters}\n"}, "datasets/urban.yaml: letters: name_fi: Field required"),
        ({"exclusions.yaml": "- {subject: fax}\n"}, "exclusions.yaml: 1: reason: Field required"),
        ({"people.yaml": "- {id: [a\n"}, "people.yaml:2: not YAML"),
        ({"reconciliation.yaml": "months: 24\n"}, "reconciliation.yaml: software_accounts: Field required"),
        ({"datasets.yaml": f"- {{{LETTERS}, owner: nobody}}\n"}, "dataset letters: person nobody does not exist"),
        ({"datasets.yaml": f"- {{{LETTERS}, art30: A9}}\n"}, "dataset letters: Art. 30 record A9 does not exist"),
        ({"datasets.yaml": f"- {{{LETTERS}, interfaces: [tube]}}\n"}, "dataset letters: interface tube does not exist"),
        (
            {"datasets.yaml": f"- {{{LETTERS.replace('system: fax', 'system: telex')}}}\n"},
            "dataset letters: system telex does not exist",
        ),
        (
            {"datasets/a.yaml": f"- {{{LETTERS}}}\n", "datasets/b.yaml": f"- {{{LETTERS}}}\n"},
            "datasets: the id letters is used 2 times",
        ),
        (
            {
                "datasets.yaml": f"- {{{LETTERS}, tietovaranto: mail, task_class: 00.01.02}}\n"
                f"- {{{LETTERS.replace('letters', 'cards')}, tietovaranto: mail, task_class: 00.01.02}}\n"
            },
            "dataset cards: another one has the same tietovaranto, task class and controller",
        ),
    ],
)
def test_an_entry_that_cannot_be_used(tmp_path: Path, files: Files, problem: str) -> None:
    found = refused(tmp_path, {**SYSTEM, **NAMED, **files})
    assert any(problem in line for line in found), found


def test_the_same_task_of_two_controllers_is_two_datasets(tmp_path: Path) -> None:
    entries = (
        f"- {{{LETTERS}, tietovaranto: mail, task_class: 00.01.02}}\n"
        f"- {{{LETTERS.replace('letters', 'cards')}, tietovaranto: mail, task_class: 00.01.02, controller: Alue}}\n"
    )
    assert len(read(tmp_path, {**SYSTEM, **NAMED, "datasets.yaml": entries}).datasets) == 2


def test_what_the_contract_says_is_read_from_it_and_not_said_again(tmp_path: Path) -> None:
    files = {**SYSTEM, **pools(ACCOUNTS), "datasets.yaml": f"- {{{LETTERS}, contracts: [{ACCOUNTS}]}}\n"}
    entry = read(tmp_path, files, ACCOUNTS).datasets["letters"]
    said = contract.load_each()[0][ACCOUNTS]
    assert (entry.owner, entry.steward, entry.task_class) == (
        said.owner,
        said.steward,
        said.platform.fi["tehtavaluokka"],
    )
    assert entry.publicity == "public"
    assert entry.retention
    assert entry.retention.then == "destroy"
    twice = {**files, "datasets.yaml": f"- {{{LETTERS}, contracts: [{ACCOUNTS}], publicity: public}}\n"}
    assert refused(tmp_path, twice, ACCOUNTS) == ["dataset letters: publicity is what its contracts say; leave it out"]


def test_a_pool_of_a_contract_that_the_inventory_does_not_have(tmp_path: Path) -> None:
    files = {**SYSTEM, **pools(ACCOUNTS), "datasets.yaml": f"- {{{LETTERS}, contracts: [{ACCOUNTS}]}}\n"}
    found = refused(tmp_path, {**files, "tietovarannot.yaml": "[]"}, ACCOUNTS)
    [line] = found
    assert line.startswith(f"contract {ACCOUNTS}: fi.tietovaranto “")
    assert line.endswith("is not the name_fi of any in the inventory")


def test_contracts_of_one_dataset_that_do_not_agree(tmp_path: Path) -> None:
    both = f"contracts: [{ACCOUNTS}, {INDICATORS}]"
    files = {**SYSTEM, **pools(ACCOUNTS, INDICATORS), "datasets.yaml": f"- {{{LETTERS}, {both}}}\n"}
    found = refused(tmp_path, files, ACCOUNTS, INDICATORS)
    assert "dataset letters: its contracts do not agree on owner: talousjohtaja, kehittamisjohtaja" in found
    assert any("do not agree on task_class" in line for line in found)


def test_contracts_that_no_dataset_or_several_name_and_one_that_is_not_there(tmp_path: Path) -> None:
    cards = LETTERS.replace("letters", "cards")
    entries = f"- {{{LETTERS}, contracts: [{ACCOUNTS}]}}\n- {{{cards}, contracts: [{ACCOUNTS}, finance.nothing]}}\n"
    found = refused(tmp_path, {**SYSTEM, **pools(ACCOUNTS), "datasets.yaml": entries}, ACCOUNTS, SUPPLIERS)
    assert f"contract {SUPPLIERS}: no dataset of the inventory names it" in found
    assert f"contract {ACCOUNTS}: several datasets name it" in found
    assert "dataset cards: no contract finance.nothing" in found


def test_decisions_about_what_is_not_there(tmp_path: Path) -> None:
    decided = "approver: chief, approved_on: 2026-01-01, expires_on: 2027-01-01, note_fi: Ei lasketa."
    files = {
        **SYSTEM,
        **pools(ACCOUNTS),
        "datasets.yaml": f"- {{{LETTERS}, contracts: [{ACCOUNTS}]}}\n",
        "exclusions.yaml": f"- {{subject: telex, reason: group_company, {decided}}}\n",
        "not_applicable.yaml": f"- {{dataset: cards, criterion: C9, {decided}}}\n",
        "dismissals.yaml": f"- {{found: 'vendor:1', {decided}}}\n",
        "manual_evidence.yaml": "- {dataset: letters, criterion: C7, result: pass, document: M 1, reviewer: talousjohtaja,"
        " reviewed_on: 2026-01-01}\n",
        "access_reviews.yaml": "- {id: r, datasets: [cards], reviewer: talousjohtaja, reviewed_on: 2026-01-01, document: M 2}\n",
    }
    assert refused(tmp_path, files, ACCOUNTS) == [
        "exclusion: subject telex does not exist",
        "exclusion: person chief does not exist",
        "not_applicable: dataset cards does not exist",
        "not_applicable: person chief does not exist",
        "manual evidence: letters is loaded by the platform, which looks for itself",
        "access review r: dataset cards does not exist",
        "dismissal vendor:1: person chief does not exist",
    ]
