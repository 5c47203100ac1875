"""Adopt what a source changed: the contract's next version, the database that follows from it, and the batches that were held.

The bytes of a held batch are in its archive, so nothing is lost by waiting. Nothing is written before all that differs is
accounted for; if deployment fails, the file is put back.
"""

import dataclasses
import difflib
import functools
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from citydata import contract as contracts
from citydata import database, deploy, ops, pipeline, settings, town
from citydata.contract import CLASSES, IDENTIFIER, LOGICAL_TYPES, Contract
from citydata.extract import ContentError
from citydata.governance import attestation, inventory
from citydata.ops import Batch, Connection
from citydata.source_change.contract_file import ContractFile, NewColumn, bumped
from citydata.source_change.difference import Difference, shown
from citydata.source_change.impact import Use
from citydata.source_change.renames import Rename

# What a new column needs, by the words of `--add`, and where each stands in the contract.
NEEDED = {"type": "logicalType", "classification": "classification", "fi": "description", "sv": "description_sv",
          "en": "description_en"}  # fmt: skip
MAY_SAY = ("format", "personal")


class AdoptionError(ValueError):
    """A change that is not adopted. The text says what is wrong with it and what to do; nothing was changed."""


@dataclass(frozen=True)
class Plan:
    """What the next version of a contract changes, and its text. Without a change the version stays, and so does the text."""

    contract: Contract
    difference: Difference
    renames: tuple[Rename, ...] = ()
    additions: tuple[NewColumn, ...] = ()
    drops: tuple[str, ...] = ()
    version: str = ""
    text: str = ""
    adopted: Contract | None = None

    @property
    def changes(self) -> bool:
        """Whether there is a next version."""
        return self.adopted is not None

    @property
    def after(self) -> Contract:
        """The contract as it will be."""
        return self.adopted or self.contract

    @property
    def diff(self) -> str:
        """The change of the file, as `git diff` will show it."""
        before = self.contract.path.read_text(encoding="utf-8").splitlines(keepends=True)
        name = _shown(self.contract.path).lstrip("/")
        return "".join(difflib.unified_diff(before, self.text.splitlines(keepends=True), f"a/{name}", f"b/{name}"))

    def as_json(self) -> dict[str, Any]:
        """For the ledger: names and titles only."""
        titles = {column.name: column.source_name for column in self.contract.columns}
        return {
            "renamed": [{"column": one.column, "from": titles[one.column], "to": one.title} for one in self.renames],
            "added": [{"column": one.name, "title": one.title} for one in self.additions],
            "removed": list(self.drops),
        }


@dataclass(frozen=True)
class Became:
    """A held batch, what it became, and why it is still held if it is."""

    held: Batch
    now: Batch
    error: str | None = None


@dataclass
class Outcome:
    """What adopting did."""

    plan: Plan
    deployed: list[str] = field(default_factory=list)
    batches: list[Became] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)

    @property
    def held(self) -> list[Became]:
        """Batches that are held still."""
        return [one for one in self.batches if one.now.state == "held"]


# -- what a person says ----------------------------------------------------------------------------------------------


def rename_of(text: str) -> Rename:
    """`new title=column` as a rename. Raises AdoptionError."""
    title, equals, column = text.rpartition("=")
    if not equals or not title.strip() or not IDENTIFIER.match(column.strip()):
        raise AdoptionError(f"--rename “{text}” is not “NEW TITLE=column”, the column by its name on the platform")
    return Rename(column.strip(), title.strip())


def addition_of(text: str) -> NewColumn:
    """`title=name; type=…; classification=…; fi=…; sv=…; en=…` as a new column. Raises AdoptionError naming what is missing."""
    first, *rest = (part.strip() for part in text.split(";"))
    title, equals, name = (part.strip() for part in first.rpartition("="))
    if not equals or not title or not IDENTIFIER.match(name) or "__" in name:
        raise AdoptionError(f"--add “{first}” is not “NEW TITLE=name”; a name is lower-case letters, digits and _")
    said = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in rest if part)}
    if unknown := set(said) - {*NEEDED, *MAY_SAY}:
        raise AdoptionError(
            f"--add {title}: {', '.join(sorted(unknown))} is unknown; known: {', '.join((*NEEDED, *MAY_SAY))}"
        )
    missing = [word for word, key in NEEDED.items() if not (said.get(word) or town.left_empty(key))]
    if said.get("type") in ("date", "timestamp") and not said.get("format"):
        missing.append("format")
    if missing:
        raise AdoptionError(
            f"--add {title}: only a person knows {', '.join(missing)}. The whole of it: --add"
            f" '{title}={name}; type={said.get('type') or '|'.join(LOGICAL_TYPES)};"
            f" classification={said.get('classification') or '|'.join(CLASSES)}; fi=…; sv=…; en=…'"
            " (format=yyyy-MM-dd for a date; personal=name, contact, … for personal data)"
        )
    return NewColumn(
        title, name, said["type"], said["classification"], said["fi"], said.get("sv"), said["en"],
        said.get("format"), said.get("personal"),
    )  # fmt: skip


# -- the plan --------------------------------------------------------------------------------------------------------


def plan(
    difference: Difference,
    *,
    renames: Iterable[Rename] = (),
    additions: Iterable[NewColumn] = (),
    drops: Iterable[str] = (),
    accept: bool = False,
    uses: Callable[[str], list[Use]],
) -> Plan:
    """The next version of a contract, checked but not written. `accept` takes the proposed renames for which values speak.

    `uses` says what uses a column. Raises AdoptionError for what contradicts the source or the contract, for columns and
    titles that are left over, and for a column to drop that something uses.
    """
    contract = difference.contract
    chosen = list(renames)
    if accept:
        taken = {one.column for one in chosen} | {one.title for one in chosen}
        proposed = [one for one in difference.renames if one.evidence and one.evidence.by_values]
        chosen += [one for one in proposed if not {one.column, one.title} & taken]
    # Said once more after it was adopted, it is no change: then what was held is what is left to do.
    own = {column.name: column.source_name for column in contract.columns}
    chosen = [one for one in chosen if own.get(one.column) != one.title]
    added = [one for one in additions if own.get(one.name) != one.title]
    removed = {column.name for column in contract.columns if column.settings.removedIn}
    dropped = [name for name in drops if name not in removed]
    _check_renames(difference, chosen)
    _check_additions(difference, chosen, added)
    _check_drops(difference, chosen, dropped, uses)
    _check_rest(difference, chosen, added, dropped)
    if not (chosen or added or dropped):
        return Plan(contract, difference, version=contract.version)
    version = _next(contract, "major" if dropped else "minor")
    by_name = {column.name: column for column in contract.columns}
    # Bytes, because reading as text would lose how the lines end.
    file = ContractFile(contract.path.read_bytes().decode())
    file.set_version(version)
    for one in chosen:
        file.rename(by_name[one.column], one.title)
    for name in dropped:
        file.remove(by_name[name], version)
    for new in added:
        file.add(new, version)
    text = file.edited()
    adopted = _checked(contract, text)
    return Plan(contract, difference, tuple(chosen), tuple(added), tuple(dropped), version, text, adopted)


def _next(contract: Contract, part: Any) -> str:
    try:
        return bumped(contract.version, part)
    except ValueError:
        raise AdoptionError(
            f"{contract.dataset}: the version {contract.version} is not MAJOR.MINOR.PATCH; write one into the contract first"
        ) from None


def _check_renames(difference: Difference, chosen: list[Rename]) -> None:
    dataset = difference.contract.dataset
    columns = {column.name: column for column in difference.contract.columns}
    open_titles = [*difference.new, *difference.beside]
    for one in chosen:
        if one.column not in columns:
            raise AdoptionError(f"{dataset} has no column {one.column}; it has {', '.join(columns)}")
        if one.title not in open_titles:
            there = ", ".join(f"“{shown(title)}”" for title in open_titles) or "none"
            raise AdoptionError(f"{dataset}: the source has no new title “{one.title}”; new are {there}")
        if any(title in difference.seen.titles for title in columns[one.column].titles):
            raise AdoptionError(
                f"{dataset}: the column {one.column} is there under its title “{columns[one.column].source_name}”; a rename"
                f" is for one that is missing: {', '.join(difference.missing) or 'none is'}"
            )
    for what, names in (("column", [one.column for one in chosen]), ("title", [one.title for one in chosen])):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise AdoptionError(f"{dataset}: the {what} {', '.join(twice)} is renamed twice")


def _check_additions(difference: Difference, chosen: list[Rename], added: list[NewColumn]) -> None:
    dataset = difference.contract.dataset
    names = [*difference.contract.table_columns, *(one.name for one in added)]
    titles = [title for title in (*difference.new, *difference.beside) if title not in {one.title for one in chosen}]
    for new in added:
        if new.title not in titles:
            there = ", ".join(f"“{shown(title)}”" for title in titles) or "none"
            raise AdoptionError(
                f"{dataset}: the source has no new title “{new.title}” that is left to add; there are {there}"
            )
        if names.count(new.name) > 1:
            raise AdoptionError(f"{dataset}: there is a column {new.name} already; give the new one another name")


def _check_drops(
    difference: Difference, chosen: list[Rename], dropped: list[str], uses: Callable[[str], list[Use]]
) -> None:
    contract = difference.contract
    columns = {column.name: column for column in contract.columns}
    advice = (
        f"write a new major version of the contract beside the old one (include/contracts/{contract.system}), and move what is"
        " hit to it; or ask the source for the column"
    )
    for name in dropped:
        if name not in columns:
            raise AdoptionError(f"{contract.dataset} has no column {name}; it has {', '.join(columns)}")
        if name not in difference.missing or name in {one.column for one in chosen}:
            raise AdoptionError(f"{contract.dataset}: the source still sends {name}; only a missing column is dropped")
        if columns[name].required:
            raise AdoptionError(
                f"{contract.dataset}: {name} is required, and new rows would have no value for it: {advice}"
            )
        hit = [use for use in uses(name) if use.reads_meaning]
        if hit:
            listed = "\n".join(f"  {use.kind} {use.name}{_columns(use)}" for use in hit)
            raise AdoptionError(
                f"{contract.dataset}: {name} cannot be dropped, because this uses it:\n{listed}\nInstead, {advice}."
            )


def _columns(use: Use) -> str:
    return f" ({', '.join(use.columns)})" if use.columns else ""


def _check_rest(difference: Difference, chosen: list[Rename], added: list[NewColumn], dropped: list[str]) -> None:
    """Nothing may be left over: the held batch could not be read."""
    done = {one.column for one in chosen} | set(dropped)
    titles = {one.title for one in chosen} | {one.title for one in added}
    left = [
        f"column {name}: --rename 'NEW TITLE={name}' or --drop {name}"
        for name in difference.missing
        if name not in done
    ]
    left += [
        f"title “{shown(title)}”: --rename '{shown(title)}=column' or --add '{shown(title)}=name; …'"
        for title in difference.new
        if title not in titles
    ]
    if left:
        lines = "\n".join(f"  {line}" for line in left)
        raise AdoptionError(
            f"{difference.contract.dataset}: nothing was changed, because this is left over and would hold the batch again:\n{lines}\n"
            f"`./citydata contract diff {difference.contract.dataset}` shows what speaks for which."
        )


def _checked(contract: Contract, text: str) -> Contract:
    """The contract that a text is. It is read from beside the tree, because the file's folder and name are the dataset's id."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / contract.system / contract.path.name
        path.parent.mkdir()
        path.write_bytes(text.encode())
        try:
            found = contracts.read(path)
            wrong = contracts.problems(found)
        except contracts.ContractError as error:
            wrong = [str(error)]
        if wrong:
            raise AdoptionError("\n".join(line.replace(str(path), _shown(contract.path)) for line in wrong))
    return dataclasses.replace(found, path=contract.path)


def _shown(path: Path) -> str:
    return str(path.relative_to(settings.ROOT)) if path.is_relative_to(settings.ROOT) else str(path)


# -- adopting --------------------------------------------------------------------------------------------------------


def adopt(chosen: Plan, *, person: str, reason: str) -> Outcome:
    """Write the new version, deploy it, keep the decision, and replay the batches that the old columns held.

    Raises AdoptionError, with nothing changed, when the file cannot be written. A batch that has still other columns stays
    held, and the outcome says why. Adopting the same again goes on where it stopped.
    """
    if not person.strip() or not reason.strip():
        raise AdoptionError("adopting a change needs a person and a reason")
    before, after = chosen.contract, chosen.after
    with database.connect("loader", autocommit=True) as connection:
        held = _held_by_columns(connection, chosen)
    outcome = Outcome(chosen, signatures=_signatures(before, after))
    if chosen.changes:
        old = _write(before.path, chosen.text)
        try:
            outcome.deployed = deploy.deploy()
        except BaseException:
            _write(before.path, old)
            raise
    else:
        outcome.deployed = deploy.deploy()
    with database.connect("loader", autocommit=True) as connection:
        _record(connection, chosen, held, person, reason)
    errors = {batch.batch_id: _replayed(batch) for batch in held}
    with database.connect("loader", autocommit=True) as connection:
        for batch in held:  # the later ones may have superseded it meanwhile
            now, error = errors[batch.batch_id]
            outcome.batches.append(Became(batch, ops.get(connection, now), error))
    return outcome


def _held_by_columns(connection: Connection, chosen: Plan) -> list[Batch]:
    """Held batches that wait for their columns, oldest first; one that a check holds waits for a person's decision on its rows.

    A format that reads only what the contract names does not say that its columns differ: there, what was looked at waits.
    """
    looked_at = chosen.difference.seen.batch if chosen.changes else None
    return [
        batch
        for batch in ops.in_states(connection, chosen.contract.dataset, "held")
        if batch.columns_differ or (looked_at and batch.batch_id == looked_at.batch_id)
    ]


def _write(path: Path, text: str) -> str:
    """Replace a contract's file, whole or not at all; returns what it was. Raises AdoptionError for a tree that is read-only."""
    old = path.read_bytes().decode()
    try:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(path.stat().st_mode)
        Path(file.name).replace(path)
    except OSError as error:
        raise AdoptionError(
            f"{_shown(path)} cannot be written here ({error.strerror}): this is no checkout but, perhaps, a container's image."
            " Adopt in the checkout, with this database's address, commit the contract, then deploy the new image. Nothing was"
            " changed."
        ) from None
    contracts.load_each.cache_clear()
    return old


def _record(connection: Connection, chosen: Plan, held: list[Batch], person: str, reason: str) -> None:
    """Keep the decision, once: what was adopted and killed before it was recorded is recorded when it goes on."""
    before, after = chosen.contract, chosen.after
    row = connection.execute(
        "SELECT to_hash FROM ops.contract_change WHERE dataset = %s ORDER BY change_id DESC LIMIT 1", (before.dataset,)
    ).fetchone()
    if not chosen.changes and (row == (after.hash,) or not held):
        return
    from_version, from_hash = before.version, before.hash
    if not chosen.changes:
        from_version, from_hash = ops.archived_under(connection, held[-1]), held[-1].contract_hash
        if from_hash == after.hash:
            return
    batch = chosen.difference.seen.batch
    connection.execute(
        "INSERT INTO ops.contract_change (dataset, from_version, from_hash, to_version, to_hash, changes, batch_id, decided_by,"
        " decided_reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(before.dataset, from_version, from_hash, after.version, after.hash, Jsonb(chosen.as_json())),
            *(batch.batch_id if batch else None, person, reason),
        ),
    )


def _replayed(batch: Batch) -> tuple[int, str | None]:
    """Take a held batch through landing, audit and publishing, with those that wait behind it; the batch that it became.

    Checks may hold it still, and so do columns that are still others, with the reason.
    """
    try:
        return pipeline.replay(batch.batch_id).batch_id, None
    except ContentError as error:
        return batch.batch_id, str(error)


def _signatures(before: Contract, after: Contract) -> list[str]:
    """Datasets of the inventory whose signed content the change alters: the officer's signature no longer holds for them."""
    try:
        known = inventory.load()
    except inventory.InventoryError:
        return []  # `./citydata check` says what is wrong with it, and nobody has a signature that counts
    loaded = contracts.load_each()[0]
    digest = functools.partial(_digest, known)
    return [
        name
        for name, entry in known.datasets.items()
        if before.dataset in entry.contracts and digest(name, loaded, before) != digest(name, loaded, after)
    ]


def _digest(known: inventory.Inventory, name: str, loaded: Mapping[str, Contract], entry: Contract) -> str:
    return attestation.content_hash(known.datasets[name], known, {**loaded, entry.dataset: entry})


def history(dataset: str) -> list[dict[str, Any]]:
    """Versions of a dataset's contract that were adopted, newest first."""
    with (
        database.connect("engineer", autocommit=True) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return cursor.execute(
            "SELECT * FROM ops.contract_change WHERE dataset = %s ORDER BY change_id DESC", (dataset,)
        ).fetchall()
