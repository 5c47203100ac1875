"""What the town holds at all: the files of `include/inventory`, read, checked and resolved.

The inventory is the information management model of the Act on Information Management in Public Administration (906/2019
5 §): processes, tietovarannot, information systems, tietoaineistot with their retention, interfaces. What a contract says of a
dataset is read from the contract and never written here again.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import Field, ValidationError, model_validator

from citydata import contract as contracts
from citydata import settings, town
from citydata.connector_options import Strict
from citydata.contract import Contract

Id = str
PUBLICITY = {"julkinen": "public", "osittain salassa pidettävä": "partly_secret", "salassa pidettävä": "secret"}
AFTER = {"arkistoidaan": "archive", "hävitetään": "destroy"}
TOWN = "town"
"""The controller when nobody else is named: the town itself."""


class InventoryError(ValueError):
    """An inventory that cannot be used. The text names every file, entry and what is wrong."""


class Named(Strict):
    """A name in Finnish, and in Swedish where that is an official language of the town."""

    name_fi: str
    name_sv: str | None = None

    @model_validator(mode="after")
    def named_in_official_languages(self) -> "Named":
        """Swedish where the town has it."""
        if self.name_sv is None and town.official("sv"):
            raise ValueError("name_sv is missing; Swedish is an official language of the town")
        return self


class TaskClass(Named):
    """A class of the municipal task classification (tehtäväluokitus): `id` is its code, for example 02.02.02."""

    id: Id = Field(pattern=r"^\d\d(\.\d\d){0,3}$")


class Process(Named):
    """A process of the town (toimintaprosessi) and the task class it carries out."""

    id: Id
    task_class: Id
    owner: Id | None = None


class Tietovaranto(Named):
    """An information pool: datasets that serve the same task (906/2019 2 §)."""

    id: Id
    responsible: Id | None = None


class Person(Strict):
    """Who holds an office, by title; `employee` is the person's number in HR. Names are not kept here.

    `signing_key` is the Ed25519 public key, in base64, by which attestations of this person are checked.
    """

    id: Id
    title_fi: str
    title_sv: str | None = None
    employee: str | None = None
    mailbox: Literal["personal", "group"] = "personal"
    roles: list[Literal["governance_officer", "data_protection_officer", "information_manager"]] = Field(default=[])
    signing_key: str | None = None

    @model_validator(mode="after")
    def titled_in_official_languages(self) -> "Person":
        """Swedish where the town has it."""
        if self.title_sv is None and town.official("sv"):
            raise ValueError("title_sv is missing; Swedish is an official language of the town")
        return self


class Mapped(Strict):
    """Who said when that all datasets of a system are in the inventory."""

    on: date
    by: Id


class DatabaseSchema(Strict):
    """A schema of a connected database that belongs to a system."""

    connection: str
    schema_name: str = Field(alias="schema")


class System(Named):
    """An information system in the widest sense; one whose datasets nobody has mapped has no `mapped`."""

    id: Id
    kind: Literal[
        "application", "service", "database", "shared_drive", "collaboration_site", "spreadsheet", "paper_archive",
        "platform",
    ]  # fmt: skip
    sector: str
    owner: Id | None = None
    criticality: Literal["core", "important", "ordinary"]
    vendors: list[str] = Field(default=[])  # business ids
    connections: list[str] = Field(default=[])
    databases: list[DatabaseSchema] = Field(default=[])
    drop_directories: list[str] = Field(default=[])
    mapped: Mapped | None = None
    valid_from: date | None = None
    valid_to: date | None = None


class Interface(Named):
    """A way by which data enters or leaves a system, with its transfer method (906/2019 5 § 2 mom. 4 k)."""

    id: Id
    system: Id
    direction: Literal["in", "out", "both"]
    method: Literal["api", "file", "database", "viewing_connection", "message", "manual"] | None = None
    counterpart: str | None = None


class Retention(Strict):
    """How long data is kept, on what ground, from which moment, and what becomes of it (906/2019 21 §)."""

    period: str | None = None
    ground: str | None = None
    starts: str | None = None
    then: Literal["archive", "destroy"] | None = None


class Dataset(Named):
    """A tietoaineisto: one tietovaranto × one task class × one controller. What is not known is left out: that is a gap.

    `contracts` are the datasets of the platform that load it; what they say must not be said here.
    """

    id: Id
    description_fi: str | None = None
    description_sv: str | None = None
    system: Id
    sector: str
    kind: Literal["register", "event", "statistic", "geographic", "document"]
    criticality: Literal["core", "important", "ordinary"]
    contracts: list[str] = Field(default=[])
    tietovaranto: Id | None = None
    task_class: Id | None = None
    process: Id | None = None
    controller: str = TOWN
    interfaces: list[Id] = Field(default=[])
    owner: Id | None = None
    steward: Id | None = None
    publicity: Literal["public", "partly_secret", "secret"] | None = None
    secrecy_ground: str | None = None
    personal_data: Literal["none", "personal", "special"] | None = None
    art30: Id | None = None
    dpia: Id | None = None
    retention: Retention | None = None


class Art30(Named):
    """A record of processing activities (GDPR Art. 30)."""

    id: Id
    purpose_fi: str | None = None
    legal_basis: str | None = None
    dpia_required: bool = False
    dpia: Id | None = None


class Dpia(Strict):
    """A data protection impact assessment (GDPR Art. 35)."""

    id: Id
    approved_on: date
    approved_by: Id


class Exclusion(Strict):
    """A dataset or system that does not count, for a reason that somebody approved until a day."""

    subject: Id
    reason: Literal["group_company", "external_statistic", "other_controller", "test_environment"]
    approver: Id
    approved_on: date
    expires_on: date
    note_fi: str


class NotApplicable(Strict):
    """A criterion that does not apply to a dataset, approved until a day."""

    dataset: Id
    criterion: str
    approver: Id
    approved_on: date
    expires_on: date
    note_fi: str


class ManualEvidence(Strict):
    """What a person found out about a dataset that the platform does not load, with the document that shows it."""

    dataset: Id
    criterion: Literal["C7", "C8", "C9"]
    result: Literal["pass", "fail"]
    document: str
    reviewer: Id
    reviewed_on: date


class AccessReview(Strict):
    """A review of who may see the data: of each listed dataset."""

    id: Id
    datasets: list[Id]
    reviewer: Id
    reviewed_on: date
    document: str


class Change(Strict):
    """A logged change of what is counted: datasets or systems added, split, merged or removed."""

    kind: Literal["added", "split", "merged", "removed"]
    before: list[Id] = Field(default=[])
    after: list[Id] = Field(default=[])
    on: date
    approver: Id
    document: str
    note_fi: str


class Dismissal(Strict):
    """A find of reconciliation that is no system of the town's, approved until a day."""

    found: str
    approver: Id
    approved_on: date
    expires_on: date
    note_fi: str


class Reconciliation(Strict):
    """Where reconciliation looks: the accounts that software is booked to, and how many months back."""

    software_accounts: list[str]
    months: int = 24


KINDS: dict[str, type[Strict]] = {
    "task_classes": TaskClass,
    "processes": Process,
    "tietovarannot": Tietovaranto,
    "people": Person,
    "systems": System,
    "interfaces": Interface,
    "datasets": Dataset,
    "art30": Art30,
    "dpia": Dpia,
    "exclusions": Exclusion,
    "not_applicable": NotApplicable,
    "manual_evidence": ManualEvidence,
    "access_reviews": AccessReview,
    "changes": Change,
    "dismissals": Dismissal,
}
"""Each kind of entry and its model: a file `<kind>.yaml`, files in a folder `<kind>/`, or both."""


NOWHERE = Reconciliation(software_accounts=[])


@dataclass(frozen=True)
class Inventory:
    """The inventory, resolved: datasets that have contracts hold what these say."""

    task_classes: Mapping[Id, TaskClass] = field(default_factory=dict)
    processes: Mapping[Id, Process] = field(default_factory=dict)
    tietovarannot: Mapping[Id, Tietovaranto] = field(default_factory=dict)
    people: Mapping[Id, Person] = field(default_factory=dict)
    systems: Mapping[Id, System] = field(default_factory=dict)
    interfaces: Mapping[Id, Interface] = field(default_factory=dict)
    datasets: Mapping[Id, Dataset] = field(default_factory=dict)
    art30: Mapping[Id, Art30] = field(default_factory=dict)
    dpia: Mapping[Id, Dpia] = field(default_factory=dict)
    access_reviews: Mapping[Id, AccessReview] = field(default_factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    not_applicable: tuple[NotApplicable, ...] = ()
    manual_evidence: tuple[ManualEvidence, ...] = ()
    changes: tuple[Change, ...] = ()
    dismissals: tuple[Dismissal, ...] = ()
    reconciliation: Reconciliation = NOWHERE

    @functools.cached_property
    def officers(self) -> frozenset[Id]:
        """People who may attest and approve: the governance officers."""
        return frozenset(person.id for person in self.people.values() if "governance_officer" in person.roles)

    def answers_for(self, person: Id, dataset: Dataset) -> bool:
        """Whether somebody is owner or steward of a dataset, in this office or, by the number in HR, in another one."""
        own = {name for name in (dataset.owner, dataset.steward) if name}
        numbers = {self.people[name].employee for name in own if name in self.people} - {None}
        return person in own or (person in self.people and self.people[person].employee in numbers)

    def approved(self, approver: Id, dataset: Dataset | None = None) -> bool:
        """Whether a person may approve something about a dataset: an officer who does not answer for it."""
        return approver in self.officers and (dataset is None or not self.answers_for(approver, dataset))


@functools.cache
def load() -> Inventory:
    """Read the inventory once a process. Raises InventoryError naming everything that is wrong."""
    return read(settings.INVENTORY, contracts.load_each()[0])


def read(directory: Path, loaded: Mapping[str, Contract]) -> Inventory:
    """Read the inventory in `directory`; `loaded` are the contracts that its datasets name."""
    problems: list[str] = []
    found: dict[str, list[Any]] = {}
    for kind, model in KINDS.items():
        found[kind] = []
        for path in [directory / f"{kind}.yaml", *sorted((directory / kind).glob("*.yaml"))]:
            for number, document in enumerate(_documents(path, problems), start=1):
                try:
                    found[kind].append(model.model_validate(document))
                except ValidationError as error:
                    first = error.errors()[0]
                    name = document.get("id", number) if isinstance(document, dict) else number
                    problems.append(f"{_shown(path)}: {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
        problems += (
            f"{directory / kind}: the id {name} is used {count} times"
            for name, count in Counter(getattr(entry, "id", None) for entry in found[kind]).items()
            if name is not None and count > 1
        )
    by_id: dict[str, Any] = {
        kind: {entry.id: entry for entry in entries}
        for kind, entries in found.items()
        if "id" in KINDS[kind].model_fields
    }
    inventory = Inventory(
        **by_id,
        **{kind: cast(Any, tuple(entries)) for kind, entries in found.items() if kind not in by_id},
        reconciliation=_reconciliation(directory / "reconciliation.yaml", problems),
    )
    inventory = _with_contracts(inventory, loaded, problems)
    problems += _references(inventory)
    if problems:
        raise InventoryError("\n".join(problems))
    return inventory


class _Loader(yaml.CSafeLoader):
    """YAML in which `on`, `no` and `yes` are the words they are, as in YAML 1.2; only true and false are yes and no."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as in PyYAML
        first: [(tag, expression) for tag, expression in found if first in "tTfF" or tag != "tag:yaml.org,2002:bool"]
        for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def _documents(path: Path, problems: list[str]) -> list[Any]:
    if not path.exists():
        return []
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problems.append(f"{_shown(path)}:{mark.line + 1 if mark else 1}: not YAML: {getattr(error, 'problem', error)}")
        return []
    return document if isinstance(document, list) else [document] if document else []


def _reconciliation(path: Path, problems: list[str]) -> Reconciliation:
    for document in _documents(path, problems):
        try:
            return Reconciliation.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(f"{_shown(path)}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    return NOWHERE


def _shown(path: Path) -> str:
    return str(path.relative_to(settings.ROOT)) if path.is_relative_to(settings.ROOT) else str(path)


# -- what contracts say ----------------------------------------------------------------------------------------------

_FROM_CONTRACT = (
    *("tietovaranto", "task_class", "process", "owner", "steward", "publicity", "secrecy_ground", "personal_data"),
    *("art30", "dpia", "retention"),
)
SPECIAL_CATEGORIES = ("health", "care")
"""Kinds of personal data of GDPR Art. 9, and what Finnish law keeps as strictly (703/2023)."""


def _with_contracts(inventory: Inventory, loaded: Mapping[str, Contract], problems: list[str]) -> Inventory:
    datasets = dict(inventory.datasets)
    pools = {entry.name_fi: entry.id for entry in inventory.tietovarannot.values()}
    processes = {entry.name_fi: entry.id for entry in inventory.processes.values()}
    claimed: Counter[str] = Counter()
    drafted = contracts.drafts()
    for stated in inventory.datasets.values():
        claimed.update(stated.contracts)
        if not stated.contracts:
            continue
        # Of a draft nothing is loaded, and what it says is not finished: until it is, the dataset stands for itself.
        entry = stated.model_copy(update={"contracts": [name for name in stated.contracts if name not in drafted]})
        datasets[entry.id] = entry
        if not entry.contracts:
            continue
        twice = sorted(entry.model_fields_set & set(_FROM_CONTRACT))
        problems += [f"dataset {entry.id}: {name} is what its contracts say; leave it out" for name in twice]
        known = [loaded[name] for name in entry.contracts if name in loaded]
        problems += [f"dataset {entry.id}: no contract {name}" for name in entry.contracts if name not in loaded]
        said = [_said(contract, pools, processes, problems) for contract in known]
        values: dict[str, Any] = {}
        for name in _FROM_CONTRACT:
            different = list(dict.fromkeys(str(one[name]) for one in said))
            if len(different) > 1 and name != "personal_data":
                problems.append(f"dataset {entry.id}: its contracts do not agree on {name}: {', '.join(different)}")
            elif said:
                values[name] = said[0][name]
        if said:
            order = ("none", "personal", "special")
            values["personal_data"] = max((one["personal_data"] for one in said), key=order.index)
            datasets[entry.id] = entry.model_copy(update=values)
    problems += [f"contract {name}: no dataset of the inventory names it" for name in loaded if not claimed[name]]
    problems += [f"contract {name}: several datasets name it" for name, count in claimed.items() if count > 1]
    return Inventory(**{**vars(inventory), "datasets": datasets})


def _said(
    contract: Contract, pools: Mapping[str, Id], processes: Mapping[str, Id], problems: list[str]
) -> dict[str, Any]:
    fi = contract.platform.fi
    for key, names in (("tietovaranto", pools), ("toimintaprosessi", processes)):
        if fi.get(key) and fi[key] not in names:
            problems.append(
                f"contract {contract.dataset}: fi.{key} “{fi[key]}” is not the name_fi of any in the inventory"
            )
    kinds = {column.personal_data for column in contract.columns} - {None}
    return {
        "tietovaranto": pools.get(fi.get("tietovaranto") or ""),
        "task_class": fi.get("tehtavaluokka"),
        "process": processes.get(fi.get("toimintaprosessi") or ""),
        "owner": contract.owner,
        "steward": contract.steward,
        "publicity": PUBLICITY.get(fi.get("julkisuusluokka") or ""),
        "secrecy_ground": fi.get("salassapitoperuste"),
        "personal_data": "special" if kinds & set(SPECIAL_CATEGORIES) else "personal" if kinds else "none",
        "art30": fi.get("art30Id"),
        "dpia": fi.get("dpiaId"),
        "retention": Retention(
            period=fi.get("sailytysaika"),
            ground=fi.get("sailytysperuste"),
            starts=fi.get("sailytyksenAlku"),
            then=AFTER.get(fi.get("sailytyksenJalkeen") or ""),  # type: ignore[arg-type]
        ),
    }


# -- references ------------------------------------------------------------------------------------------------------


def _references(inventory: Inventory) -> Iterator[str]:
    """Every id that an entry names must exist."""
    yield from _references_of_model(inventory)
    yield from _references_of_decisions(inventory)
    units = Counter((entry.tietovaranto, entry.task_class, entry.controller) for entry in _with_unit(inventory))
    for entry in _with_unit(inventory):
        if units[entry.tietovaranto, entry.task_class, entry.controller] > 1:
            yield (
                f"dataset {entry.id}: another one has the same tietovaranto, task class and controller; one tietoaineisto is"
                " counted once"
            )


def _with_unit(inventory: Inventory) -> list[Dataset]:
    return [entry for entry in inventory.datasets.values() if entry.tietovaranto and entry.task_class]


def _unknown(what: str, pairs: Iterable[tuple[str, str | None, Iterable[str]]]) -> Iterator[str]:
    for name, value, allowed in pairs:
        if value is not None and value not in allowed:
            yield f"{what}: {name} {value} does not exist"


def _references_of_model(inventory: Inventory) -> Iterator[str]:
    sectors = {sector.code for sector in town.load().sectors}
    people = inventory.people
    for process in inventory.processes.values():
        yield from _unknown(
            f"process {process.id}",
            [("task class", process.task_class, inventory.task_classes), ("person", process.owner, people)],
        )
    for pool in inventory.tietovarannot.values():
        yield from _unknown(f"tietovaranto {pool.id}", [("person", pool.responsible, people)])
    for system in inventory.systems.values():
        by = system.mapped.by if system.mapped else None
        yield from _unknown(
            f"system {system.id}",
            [("sector", system.sector, sectors), ("person", system.owner, people), ("person", by, people)],
        )
    for interface in inventory.interfaces.values():
        yield from _unknown(f"interface {interface.id}", [("system", interface.system, inventory.systems)])
    for entry in inventory.datasets.values():
        yield from _unknown(
            f"dataset {entry.id}",
            [
                ("system", entry.system, inventory.systems),
                ("sector", entry.sector, sectors),
                ("tietovaranto", entry.tietovaranto, inventory.tietovarannot),
                ("task class", entry.task_class, inventory.task_classes),
                ("process", entry.process, inventory.processes),
                ("person", entry.owner, people),
                ("person", entry.steward, people),
                ("Art. 30 record", entry.art30, inventory.art30),
                ("DPIA", entry.dpia, inventory.dpia),
                *(("interface", name, inventory.interfaces) for name in entry.interfaces),
            ],
        )


def _references_of_decisions(inventory: Inventory) -> Iterator[str]:
    people, datasets = inventory.people, inventory.datasets
    subjects = {*datasets, *inventory.systems}
    for record in inventory.art30.values():
        yield from _unknown(f"Art. 30 record {record.id}", [("DPIA", record.dpia, inventory.dpia)])
    for assessment in inventory.dpia.values():
        yield from _unknown(f"DPIA {assessment.id}", [("person", assessment.approved_by, people)])
    for exclusion in inventory.exclusions:
        yield from _unknown(
            "exclusion", [("subject", exclusion.subject, subjects), ("person", exclusion.approver, people)]
        )
    for waiver in inventory.not_applicable:
        yield from _unknown(
            "not_applicable", [("dataset", waiver.dataset, datasets), ("person", waiver.approver, people)]
        )
    for manual in inventory.manual_evidence:
        yield from _unknown(
            "manual evidence", [("dataset", manual.dataset, datasets), ("person", manual.reviewer, people)]
        )
        if manual.dataset in datasets and datasets[manual.dataset].contracts:
            yield f"manual evidence: {manual.dataset} is loaded by the platform, which looks for itself"
    for review in inventory.access_reviews.values():
        yield from _unknown(
            f"access review {review.id}",
            [("person", review.reviewer, people), *(("dataset", name, datasets) for name in review.datasets)],
        )
    for change in inventory.changes:
        yield from _unknown(
            "change", [("person", change.approver, people), *(("subject", x, subjects) for x in change.after)]
        )
    for dismissal in inventory.dismissals:
        yield from _unknown(f"dismissal {dismissal.found}", [("person", dismissal.approver, people)])
