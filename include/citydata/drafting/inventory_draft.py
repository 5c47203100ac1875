"""Drafted entries of the inventory. One that still lacks what the inventory needs is commented out, so that the rest can be read."""

from datetime import date

from citydata import town
from citydata.drafting.answers import DECIDES, Dataset
from citydata.drafting.contract_draft import art30_id, pair
from citydata.governance.inventory import TOWN, Inventory

Entry = list[tuple[str, object, str | None]]
"""Keys of an entry with their values and who decides an empty one."""


def dataset_id(dataset: Dataset) -> str:
    """The id of the tietoaineisto that is drafted."""
    return f"{dataset.system}_{dataset.name}"


def entries(dataset: Dataset, inventory: Inventory, *, personal: bool, today: date) -> dict[str, str]:
    """Text of the drafted entries by kind: the system when it is not known yet, the dataset with its change, the Art. 30 record."""
    said = dataset.answers
    found: dict[str, str] = {}
    known = said.information_system in inventory.systems
    if said.information_system and not known:
        system: Entry = [
            ("id", said.information_system, None),
            ("name_fi", None, "the information manager: its name in Finnish"),
            ("name_sv", None, "the information manager: its name in Swedish"),
            (
                "kind",
                None,
                "application, service, database, shared_drive, collaboration_site, spreadsheet, paper_archive or platform",
            ),
            ("sector", said.sector, DECIDES["sector"]),
            ("criticality", None, "the system's owner: core, important or ordinary"),
        ]
        found["systems"] = _file(f"The information system of {dataset.id}.", system)
    if not said.inventory:
        new: Entry = [
            ("id", dataset_id(dataset), None),
            ("name_fi", said.name_fi, DECIDES["name_fi"]),
            ("name_sv", said.name_sv, DECIDES["name_sv"]),
            ("description_fi", said.description_fi, DECIDES["description_fi"]),
            ("description_sv", said.description_sv, DECIDES["description_sv"]),
            ("system", said.information_system, DECIDES["information_system"]),
            ("sector", said.sector, DECIDES["sector"]),
            ("kind", said.kind, DECIDES["kind"]),
            ("criticality", said.criticality, DECIDES["criticality"]),
            ("contracts", [dataset.id], None),
            *([("controller", said.authority, None)] if said.authority and said.authority != TOWN else []),
        ]
        optional = ("description_fi", "description_sv")
        live = known and all(value or key in optional or town.left_empty(key) for key, value, _ in new)
        found["datasets"] = _file(f"The tietoaineisto that {dataset.id} belongs to.", new, live=live)
        approved = bool(said.approved_by and said.approval)
        change: Entry = [
            ("kind", "added", None),
            ("after", [dataset_id(dataset)], None),
            ("on", today.isoformat() if approved else None, "the governance officer: the day of the approval"),
            ("approver", said.approved_by, DECIDES["approved_by"]),
            ("document", said.approval, DECIDES["approval"]),
            ("note_fi", said.description_fi, "the governance officer: why it was added, in Finnish"),
        ]
        complete = approved and bool(said.description_fi) and live
        found["changes"] = _file(f"The logged change that makes {dataset.id} count.", change, live=complete)
    if personal and not said.art30:
        record: Entry = [
            ("id", art30_id(dataset), None),
            ("name_fi", said.name_fi, "the owner: what the processing is called, in Finnish"),
            ("name_sv", said.name_sv, "the owner: the same in Swedish"),
            ("purpose_fi", said.purpose, "the owner: why personal data is processed, in Finnish"),
            ("legal_basis", said.legal_basis, DECIDES["legal_basis"]),
        ]
        live = bool(said.name_fi and (said.name_sv or town.left_empty("name_sv")))
        found["art30"] = _file(
            f"The record of processing activities (GDPR Art. 30) of {dataset.id}.", record, live=live
        )
    return found


def _file(about: str, entry: Entry, *, live: bool = False) -> str:
    lines = [pair(key, value, comment) for key, value, comment in entry if value or not town.left_empty(key)]
    text = ["- " + lines[0], *("  " + line for line in lines[1:])]
    if live:
        return "\n".join([f"# {about} Drafted by ./citydata new.", *text, ""])
    head = f"# {about} Drafted by ./citydata new; fill what is empty, then take away the first # of each line of the entry."
    return "\n".join([head, *(f"#{line}" for line in text), ""])
