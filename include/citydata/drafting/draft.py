"""A draft as a whole: all its files are made before the first is written, and are written all or none."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from citydata import contract as contracts
from citydata import settings
from citydata.contract import IDENTIFIER
from citydata.drafting import (
    assessment_draft,
    contract_draft,
    inventory_draft,
    proposal,
    staging_draft,
    suite_draft,
)
from citydata.drafting.answers import Answers, Dataset
from citydata.drafting.places import KINDS, Places, assessments, shown
from citydata.drafting.sample import DraftError, Sample
from citydata.governance import inventory
from citydata.governance.inventory import Inventory


@dataclass(frozen=True)
class Draft:
    """The files of a draft and their texts; `changed` are files that exist and get a line. `missing` are dimensions of quality
    for which no rule could be proposed."""

    dataset: Dataset
    files: Mapping[Path, str]
    changed: Mapping[Path, str]
    proposed: proposal.Proposal
    missing: tuple[str, ...]


def places(dataset: str) -> Places:
    """The places of a dataset's files. Raises DraftError when its id is none."""
    system, dot, name = dataset.partition(".")
    for part in (system, name):
        if not dot or not IDENTIFIER.match(part) or "__" in part:
            raise DraftError(
                f"“{dataset}” is no id of a dataset: SYSTEM.DATASET, both lower-case letters, digits and single _, for example"
                " parks.playgrounds"
            )
    return Places(system, name)


def check_new(where: Places) -> None:
    """Raise DraftError when any file of the draft is there already: nothing is overwritten."""
    if there := [shown(path) for path in where.all() if path.exists()]:
        undo = f"`./citydata new --undo {where.system}.{where.name}` removes a draft"
        raise DraftError(f"{where.system}.{where.name} is there already: {', '.join(there)}; {undo}")


def make(where: Places, found: Sample, answers: Answers, today: date) -> Draft:
    """Make all files of a draft. Raises DraftError when the sample has no rows or one of them exists."""
    check_new(where)
    if not found.rows:
        raise DraftError("the sample has no row that could be read: a draft is made from rows")
    model = inventory.load()
    if answers.inventory and answers.inventory not in model.datasets:
        raise DraftError(
            f"--inventory {answers.inventory}: the inventory has no such dataset; see include/inventory/datasets"
        )
    answers = _with_inventory(answers, model)
    dataset = Dataset(where.system, where.name, found.rows, found.whole, answers)
    columns = proposal.propose(found)
    pool = model.tietovarannot.get(answers.tietovaranto or "")
    process = model.processes.get(answers.process or "")
    text = contract_draft.render(
        dataset, found, columns, pool.name_fi if pool else None, process.name_fi if process else None
    )
    suite, rows, missing = suite_draft.render(dataset, columns, today)
    files = {where.suite: suite, where.suite_sample: rows, where.staging: staging_draft.render(dataset, columns)}
    entries = inventory_draft.entries(dataset, model, personal=columns.personal, today=today)
    files |= {where.inventory(kind): entry for kind, entry in entries.items()}
    files[where.assessment] = assessment_draft.render(dataset, found, columns, model)
    files[where.contract] = text
    changed = {}
    if answers.inventory:
        path, whole = _claiming(answers.inventory, dataset.id)
        changed[path] = whole
    return Draft(dataset, files, changed, columns, tuple(missing))


def _with_inventory(answers: Answers, model: Inventory) -> Answers:
    """Answers completed by what the inventory says of the tietoaineisto that the dataset joins: nobody is asked twice."""
    entry = model.datasets.get(answers.inventory or "")
    if entry is None:
        return answers
    retention = entry.retention or inventory.Retention()
    publicity = {english: finnish for finnish, english in inventory.PUBLICITY.items()}
    afterwards = {english: finnish for finnish, english in inventory.AFTER.items()}
    known = {
        "owner": entry.owner, "steward": entry.steward, "tietovaranto": entry.tietovaranto, "task_class": entry.task_class,
        "process": entry.process, "publicity": publicity.get(entry.publicity or ""), "secrecy_ground": entry.secrecy_ground,
        "retention": retention.period, "retention_ground": retention.ground, "retention_starts": retention.starts,
        "retention_then": afterwards.get(retention.then or ""), "information_system": entry.system, "sector": entry.sector,
        "art30": entry.art30,
    }  # fmt: skip
    return Answers(**{name: getattr(answers, name) or known.get(name) for name in vars(answers)})


# -- the claim of an entry that exists -------------------------------------------------------------------------------


def _claiming(entry: str, dataset: str) -> tuple[Path, str]:
    """The inventory's file that holds an entry, and its text with the contract added to the entry's `contracts`."""
    path, text, node = _entry(entry)
    keys = {key.value: (key, value) for key, value in node.value}
    if "contracts" in keys and keys["contracts"][1].value:
        end = keys["contracts"][1].value[-1].end_mark.index
        return path, f"{text[:end]}, {dataset}{text[end:]}"
    if "contracts" in keys:
        raise DraftError(f"{shown(path)}: the contracts of {entry} are an empty list; take the line out first")
    end = keys["id"][1].end_mark.index
    if node.flow_style:
        return path, f"{text[:end]}, contracts: [{dataset}]{text[end:]}"
    indent = " " * keys["id"][0].start_mark.column
    return path, f"{text[:end]}\n{indent}contracts: [{dataset}]{text[end:]}"


def _unclaiming(dataset: str) -> dict[Path, str]:
    """Texts of the inventory's files without the claim of a dataset; empty when no entry beside its own claims it."""
    changed = {}
    for path in _dataset_files():
        text = path.read_text(encoding="utf-8")
        name = re.escape(dataset)
        less = re.sub(rf"\n[ \t]*contracts: \[{name}\](?=\n)|, contracts: \[{name}\]", "", text)
        less = re.sub(rf",\s*{name}(?=\s*[\],])|(?<=\[){name},\s*", "", less)
        if less != text:
            changed[path] = less
    return changed


def _dataset_files() -> list[Path]:
    files = [settings.INVENTORY / "datasets.yaml", *sorted((settings.INVENTORY / "datasets").glob("*.yaml"))]
    return [path for path in files if path.exists()]


def _entry(entry: str) -> tuple[Path, str, yaml.MappingNode]:
    for path in _dataset_files():
        text = path.read_text(encoding="utf-8")
        document = yaml.compose(text, Loader=yaml.SafeLoader)  # its marks count characters, as slices do
        for node in document.value if isinstance(document, yaml.SequenceNode) else []:
            if any(key.value == "id" and value.value == entry for key, value in node.value):
                return path, text, node
    raise DraftError(f"no file of include/inventory/datasets holds the dataset {entry}")


# -- all or nothing --------------------------------------------------------------------------------------------------


def write(draft: Draft) -> None:
    """Write all files, the contract last. What was written is taken back when one cannot be, or when this is interrupted."""
    _carry_out(draft.files, draft.changed, {})


def undo(dataset: str) -> list[Path]:
    """Remove a draft that is still one, and its claim in the inventory; returns what was removed.

    Raises DraftError when there is no draft of that name: a dataset that is loaded is retired, not undone.
    """
    where = places(dataset)
    if not where.contract.exists() or not contracts.is_draft(where.contract):
        state = "is no draft any more: its status is another" if where.contract.exists() else "has no draft"
        raise DraftError(f"{dataset} {state}; nothing was removed")
    kept = {path: path.read_text(encoding="utf-8") for path in where.all() if path.exists()}
    changed = {path: text for path, text in _unclaiming(dataset).items() if path not in kept}
    _carry_out({}, changed, kept)
    for folder in dict.fromkeys((*(path.parent for path in kept), assessments())):
        with contextlib.suppress(OSError):  # other datasets are in the folder
            folder.rmdir()
    return [*kept, *changed]


def _carry_out(new: Mapping[Path, str], changed: Mapping[Path, str], removed: Mapping[Path, str]) -> None:
    before = {path: path.read_text(encoding="utf-8") for path in changed}
    made = [folder for path in new for folder in _make_folders(path.parent)]
    done: list[Path] = []
    try:
        for path, text in (*new.items(), *changed.items()):
            _replace(path, text, exclusive=path in new)
            done.append(path)
        for path in removed:
            path.unlink()
            done.append(path)
    except BaseException as error:
        for path in reversed(done):
            if path in new:
                path.unlink()
            else:
                _replace(path, before.get(path) or removed[path], exclusive=False)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise DraftError(f"{error.filename or 'a file'}: {error.strerror}; nothing was changed") from None
        raise


def _make_folders(folder: Path) -> Iterator[Path]:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir()
        yield one


def _replace(path: Path, text: str, *, exclusive: bool) -> None:
    """Write a file as a whole; `exclusive` refuses to replace one that has come meanwhile."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    try:
        Path(file.name).chmod(0o644)
        if exclusive:
            os.link(file.name, path)
        else:
            Path(file.name).replace(path)
    finally:
        Path(file.name).unlink(missing_ok=True)


def entry_files(dataset: str) -> list[Path]:
    """The files of drafted inventory entries that a dataset has."""
    where = places(dataset)
    return [path for kind in KINDS if (path := where.inventory(kind)).exists()]
