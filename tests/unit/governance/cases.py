"""A complete case that passes every criterion, of a loaded dataset or of one that the platform does not load.

A test changes the one thing it is about. The town here is nobody's.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from citydata.connector_options import FilesConnector
from citydata.contract import Column, ColumnSettings, Contract, PlatformSettings
from citydata.governance.evidence import (
    Attestation,
    Case,
    CheckState,
    Evidence,
    Lineage,
    Loaded,
    PersonState,
    RetentionRun,
    SourceSchema,
    SuiteState,
)
from citydata.governance.inventory import (
    AccessReview,
    Art30,
    Dataset,
    Dpia,
    Interface,
    Inventory,
    ManualEvidence,
    Mapped,
    NotApplicable,
    Person,
    Process,
    Reconciliation,
    Retention,
    System,
    TaskClass,
    Tietovaranto,
)
from citydata.governance.method import CURRENT

NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)
TODAY = NOW.date()
OFFICER, OWNER, STEWARD, OTHER = "tietopaallikko", "talousjohtaja", "laskentapaallikko", "controller"
EMPLOYEES = {OFFICER: "1", OWNER: "2", STEWARD: "3", OTHER: "4"}
CONTRACT = "finance.suppliers"
LOADED, UNLOADED = "toimittajat", "kokouspoytakirjat"
"""Ids of the dataset that the platform loads by CONTRACT, and of the one that it does not load."""
CONTENT = "c" * 64


def column(name: str, **changes: Any) -> Column:
    """A public text column without personal data."""
    values: dict[str, Any] = {
        "source_name": name, "type": "string", "pg_type": "text", "required": False, "key": False,
        "classification": "public", "personal_data": None, "volatile": False, "description_fi": f"Sarake {name}.",
        "description_sv": f"Kolumn {name}.", "description_en": f"Column {name}.", "options": {},
        "settings": ColumnSettings(description_sv=f"Kolumn {name}.", description_en=f"Column {name}."),
    }  # fmt: skip
    return Column(name=name, **(values | changes))


def contract(**changes: Any) -> Contract:
    """The contract of CONTRACT: a snapshot of files with a key, without personal data, at most 30 hours old."""
    values: dict[str, Any] = {
        "path": Path("finance/suppliers.yaml"), "system": "finance", "name": "suppliers", "title": "Toimittajat",
        "version": "1.0.0", "status": "active", "sector": "finance", "hash": "h" * 64,
        "columns": (
            column("business_id", key=True, required=True),
            column("name", required=True),
            column("municipality"),
        ),
        "platform": PlatformSettings(
            connector=FilesConnector(type="files", directory="finance", pattern="toimittajat*.csv"),
            mode="snapshot", schedule="30 4 * * *", description_sv="Leverantörsregister.",
            description_en="The register of suppliers.", fi={},
        ),
        "description_fi": "Toimittajarekisteri.", "owner": OWNER, "steward": STEWARD,
        "owner_email": "mailto:talousjohtaja@town.example", "sla_hours": 30.0, "document": {},
    }  # fmt: skip
    return Contract(**(values | changes))


def loaded(**changes: Any) -> Loaded:
    """What the platform shows of a contract (CONTRACT unless `contract` is given): everything as it should be.

    Its suite has one check for each applicable dimension, `<dataset>.<dimension>`, all proven, evaluated and passed.
    """
    of = changes.get("contract") or contract()
    dimensions = {f"{of.dataset}.{name}": name for name in sorted(CURRENT.dimensions["register"] - {"punctuality"})}
    values: dict[str, Any] = {
        "contract": of,
        "observed_at": NOW,
        "physical_columns": dict(of.table_columns),
        "source_schema": SourceSchema(7, NOW - timedelta(hours=3)),
        "unexpected_grants": (),
        "grants_seen": 9,
        "suite": SuiteState("s" * 64, dimensions, dict.fromkeys(dimensions, True), NOW - timedelta(days=1)),
        "checks": {
            name: CheckState("pass", 100, NOW - timedelta(hours=2), 7, None) for name in dimensions
        },
        "last_audit_at": NOW - timedelta(hours=2),
        "last_load_at": NOW - timedelta(hours=2),
        "last_batch_id": 7,
        "lineage": Lineage(
            steps=("archive", "landing", "raw", "staging", "mart"),
            marts=("mart_finance.suppliers",),
            batch_id=7, build_id=3, release_id=2, run_id="scheduled__2026-06-15", broken=None,
        ),
        "retention": RetentionRun(NOW - timedelta(hours=6), 0, "retention-1"),
        "rows": 100,
        "bytes": 65536,
    }  # fmt: skip
    return Loaded(**(values | changes))


def dataset(**changes: Any) -> Dataset:
    """LOADED: public, without personal data, loaded by CONTRACT."""
    values: dict[str, Any] = {
        "id": LOADED, "name_fi": "Toimittajarekisteri", "name_sv": "Leverantörsregister",
        "description_fi": "Kenelle kaupunki on maksanut ja mistä kunnasta toimittaja on.",
        "description_sv": "Vilka leverantörer staden har betalat till och från vilken kommun de kommer.",
        "system": "erp", "sector": "concern", "kind": "register", "criticality": "important", "contracts": [CONTRACT],
        "tietovaranto": "talous", "task_class": "02.02.02", "process": "ostoista_maksuun", "interfaces": ["erp_files"],
        "owner": OWNER, "steward": STEWARD, "publicity": "public", "personal_data": "none",
        "retention": Retention(period="10 vuotta", ground="Kirjanpitolaki 1336/1997 2:10 §",
                               starts="tilikauden päättyminen", then="destroy"),
    }  # fmt: skip
    return Dataset(**(values | changes))


def unloaded(**changes: Any) -> Dataset:
    """UNLOADED: partly secret, with personal data and an Art. 30 record; the platform does not load it."""
    values: dict[str, Any] = {
        "id": UNLOADED, "name_fi": "Kokouspöytäkirjat", "name_sv": "Mötesprotokoll",
        "description_fi": "Toimielinten kokousten pöytäkirjat liitteineen vuodesta 2009.",
        "description_sv": "Organens mötesprotokoll med bilagor från och med 2009.",
        "system": "case_management", "sector": "concern", "kind": "document", "criticality": "ordinary", "contracts": [],
        "tietovaranto": "paatokset", "task_class": "00.01", "process": "paatoksenteko", "interfaces": ["case_viewing"],
        "publicity": "partly_secret", "secrecy_ground": "JulkL 24 § 1 mom. 25 k", "personal_data": "personal",
        "art30": "paatoksenteko",
        "retention": Retention(period="pysyvästi", ground="Kansallisarkiston päätös", starts="kokouspäivä", then="archive"),
    }  # fmt: skip
    return dataset(**(values | changes))


def person(name: str, **changes: Any) -> Person:
    """An office with a number in HR and a mailbox of its own."""
    values: dict[str, Any] = {
        "title_fi": name.capitalize(), "title_sv": name.capitalize(), "employee": EMPLOYEES.get(name),
        "roles": ["governance_officer"] if name == OFFICER else [],
    }  # fmt: skip
    return Person(id=name, **(values | changes))


def inventory(*datasets: Dataset, **changes: Any) -> Inventory:
    """The inventory of `datasets`, by default the loaded one and the unloaded one, with all that these name."""
    manual = [
        ManualEvidence(
            dataset=UNLOADED, criterion=criterion, result="pass", document=f"asiakirja {criterion}", reviewer=OTHER,
            reviewed_on=date(2026, 3, 2),
        )
        for criterion in ("C7", "C8", "C9")
    ]  # fmt: skip
    values: dict[str, Any] = {
        "task_classes": _by_id(
            TaskClass(id=code, name_fi=f"Luokka {code}", name_sv=f"Klass {code}")
            for code in ("00", "00.01", "02", "02.02", "02.02.02", "02.05")
        ),
        "processes": _by_id([
            Process(id="ostoista_maksuun", name_fi="Ostoista maksuun", name_sv="Från inköp till betalning", task_class="02.02"),
            Process(id="paatoksenteko", name_fi="Päätöksenteko", name_sv="Beslutsfattande", task_class="00.01"),
        ]),
        "tietovarannot": _by_id([
            Tietovaranto(id="talous", name_fi="Talouden tietovaranto", name_sv="Ekonomins informationslager"),
            Tietovaranto(id="paatokset", name_fi="Päätösten tietovaranto", name_sv="Beslutens informationslager"),
        ]),
        "people": _by_id(person(name) for name in EMPLOYEES),
        "systems": _by_id(
            System(id=name, name_fi=name, name_sv=name, kind="application", sector="concern", owner=OTHER,
                   criticality="important", mapped=Mapped(on=date(2026, 1, 12), by=OTHER))
            for name in ("erp", "case_management")
        ),
        "interfaces": _by_id([
            Interface(id="erp_files", system="erp", name_fi="Tiedostot", name_sv="Filer", direction="out", method="file"),
            Interface(id="case_viewing", system="case_management", name_fi="Katseluyhteys", name_sv="Elektronisk förbindelse",
                      direction="out", method="viewing_connection"),
        ]),
        "datasets": _by_id(datasets or (dataset(), unloaded())),
        "art30": _by_id([
            Art30(id="paatoksenteko", name_fi="Päätöksenteko", name_sv="Beslutsfattande",
                  purpose_fi="Toimielinten päätösten valmistelu ja toimeenpano.", legal_basis="GDPR 6 art. 1 k. c kohta"),
        ]),
        "access_reviews": _by_id([
            AccessReview(id="kevat_2026", datasets=[entry.id for entry in datasets] or [LOADED, UNLOADED], reviewer=OFFICER,
                         reviewed_on=date(2026, 3, 2), document="TIHA 12/2026"),
        ]),
        "manual_evidence": tuple(manual),
        "reconciliation": Reconciliation(software_accounts=["4361"]),
    }  # fmt: skip
    return Inventory(**(values | changes))


def case(subject: Dataset | None = None, **changes: Any) -> Case:
    """A case in which both datasets pass; `subject` takes the place of the one with its id.

    `changes` are fields of Case; `loaded` may also be a single Loaded.
    """
    datasets = {entry.id: entry for entry in (dataset(), unloaded())}
    if subject is not None:
        datasets[subject.id] = subject
    shown = changes.pop("loaded", None) or loaded()
    values: dict[str, Any] = {
        "inventory": inventory(*datasets.values()),
        "method": CURRENT,
        "now": NOW,
        "people": {number: PersonState(True, NOW - timedelta(hours=5), 6) for number in EMPLOYEES.values()},
        "loaded": {shown.contract.dataset: shown} if isinstance(shown, Loaded) else shown,
        "attestations": {
            name: Attestation(number, name, CONTENT, OFFICER, NOW - timedelta(days=30), True)
            for number, name in enumerate(sorted(datasets), start=1)
        },
        "content": dict.fromkeys(datasets, CONTENT),
    }
    return Case(**(values | changes))


def waiver(criterion: str, subject: str = LOADED, **changes: Any) -> NotApplicable:
    """A decision of the officer that a criterion does not apply to a dataset, in force at NOW."""
    values: dict[str, Any] = {
        "approver": OFFICER, "approved_on": date(2026, 5, 4), "expires_on": date(2026, 12, 31), "note_fi": "Päätös 7/2026.",
    }  # fmt: skip
    return NotApplicable(dataset=subject, criterion=criterion, **(values | changes))


def dpia(**changes: Any) -> Dpia:
    """An approved data protection impact assessment."""
    return Dpia(**({"id": "vaikutustenarviointi", "approved_on": date(2026, 2, 2), "approved_by": OFFICER} | changes))


def with_inventory(of: Case, **changes: Any) -> Case:
    """The same case with other fields of its inventory; dictionaries are joined, tuples replaced."""
    current = {name: value for name, value in vars(of.inventory).items() if name in Inventory.__dataclass_fields__}
    joined = {name: {**current[name], **value} if isinstance(value, dict) else value for name, value in changes.items()}
    return replace(of, inventory=Inventory(**{**current, **joined}))


def results(rows: Iterable[Evidence]) -> list[tuple[str, str, str]]:
    """Result, reason and subject of each row, as tests compare them."""
    return [(row.result, row.reason, row.subject) for row in rows]


def _by_id(entries: Iterable[Any]) -> dict[str, Any]:
    return {entry.id: entry for entry in entries}
