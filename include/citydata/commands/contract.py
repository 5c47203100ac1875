"""`./citydata contract`: what a source sends against what was agreed, and what a person does about it."""

import getpass
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Dataset, Json, Person, Reason

if TYPE_CHECKING:
    from citydata.source_change.adoption import Outcome, Plan
    from citydata.source_change.difference import Difference
    from citydata.source_change.impact import Use

app = typer.Typer(help="Contracts: compare with the source, adopt what it changed.", no_args_is_help=True)


@app.command("show")
def show(dataset: Dataset, json_: Json = False) -> None:
    """A dataset's contract: its columns with the titles that they have and had, and the versions that were adopted."""
    from citydata import contract
    from citydata.service.display import console, rows_table
    from citydata.source_change import adoption

    invocation.installation()
    with invocation.explained():
        entry = contract.load(dataset)
        history = adoption.history(dataset)
    columns = [
        {
            "column": column.name,
            "title": column.source_name,
            "former titles": ", ".join(column.settings.formerNames),
            "type": column.pg_type,
            "classification": column.classification,
            "since": column.settings.addedIn or "",
            "removed in": column.settings.removedIn or "",
        }
        for column in entry.columns
    ]
    if json_:
        document = {"dataset": dataset, "version": entry.version, "hash": entry.hash, "file": entry.path}
        invocation.print_json(document | {"columns": columns, "adopted": history})
        return
    screen = console()
    screen.print(f"{dataset} {entry.version}, {entry.path}", highlight=False, soft_wrap=True)
    screen.print(rows_table([dict(column) for column in columns]))
    if history:
        fields = ("recorded_at", "from_version", "to_version", "changes", "batch_id", "decided_by", "decided_reason")
        screen.print(rows_table([{name: row[name] for name in fields} for row in history]))


@app.command("diff")
def diff(
    dataset: Dataset,
    batch: Annotated[
        int | None, typer.Option(help="Look at this batch. [default: the newest held one, else the source]")
    ] = None,
    json_: Json = False,
) -> None:
    """Compare what the source sends now with the contract; says what is hit and what to type next. No value is shown.

    Exit codes: 0 the same, 1 failure, 3 they differ.
    """
    invocation.installation()
    with invocation.explained():
        found = _difference(dataset, batch)
        uses, unknown = _uses(found)
    command = next_command(found)
    if json_:
        invocation.print_json(_document(found, uses, command))
    else:
        _print(found, uses, unknown, command)
    raise typer.Exit(3 if found.differs else 0)


@app.command("adopt")
def adopt(
    dataset: Dataset,
    reason: Reason,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="TITLE=COLUMN", help="The source calls a column by a new title.")
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TITLE=NAME;…",
            help="A new optional column: 'IBAN=iban; type=string; classification=internal; fi=…; sv=…; en=…'.",
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="The source sends it no more; its older rows stay.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the renames that `contract diff` proposes by their values.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the change of the file.")] = False,
    person: Person = "",
) -> None:
    """Write the contract's next version, deploy it, and read the held batches again from their archives.

    Nothing is changed unless everything that differs is accounted for. Undo: `git checkout` of the contract, then
    `./citydata deploy`. Again, it goes on where it stopped.

    Exit codes: 0 done, 1 failure and nothing changed, 3 adopted, but a batch is still held.
    """
    from citydata.source_change import adoption

    invocation.installation()
    with invocation.explained():
        found = _difference(dataset, None)
        chosen = adoption.plan(
            found,
            renames=[adoption.rename_of(text) for text in rename or ()],
            additions=[adoption.addition_of(text) for text in add or ()],
            drops=drop or (),
            accept=accept,
            uses=lambda column: _used(found, column),
        )
        if dry_run:
            typer.echo(chosen.diff if chosen.changes else f"{dataset} {found.contract.version}: nothing to change")
            return
        outcome = adoption.adopt(chosen, person=person or getpass.getuser(), reason=reason)
    _tell(outcome)
    raise typer.Exit(3 if outcome.held else 0)


# -- looking ---------------------------------------------------------------------------------------------------------


def _difference(dataset: str, batch: int | None) -> "Difference":
    from citydata import contract, database
    from citydata.source_change import difference

    entry = contract.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        return difference.compare(connection, entry, difference.look(connection, entry, batch))


def _used(found: "Difference", column: str) -> "list[Use]":
    from citydata import database, transform
    from citydata.source_change import impact

    document = transform.manifest(transform.code_hash())
    with database.connect("engineer", autocommit=True) as connection:
        return impact.uses(connection, found.contract, column, document)


def _uses(found: "Difference") -> "tuple[dict[str, list[Use]], str | None]":
    """What uses each column that is not as before; or why that is not known."""
    from citydata.transform import TransformError

    columns = [*found.missing, *found.emptied, *(misfit.column for misfit in found.misfits if misfit.holds)]
    try:
        return {column: _used(found, column) for column in dict.fromkeys(columns)}, None
    except TransformError as error:
        return {}, str(error)


def next_command(found: "Difference") -> str | None:
    """What to type, with the proposed renames filled in and a gap for what only a person knows. None when nothing differs."""
    from citydata.source_change.difference import shown

    dataset = found.contract.dataset
    columns, titles = found.unexplained
    if not (found.missing or found.new or found.renames):
        batch = found.seen.batch
        if not found.differs:
            return None
        return f"./citydata batch show {batch.batch_id}" if batch else f"./citydata run {dataset}"
    words = ["./citydata", "contract", "adopt", dataset]
    by_values = [rename for rename in found.renames if rename.evidence and rename.evidence.by_values]
    accept = any(shown(rename.title) == "?" for rename in by_values)
    if accept:
        words.append("--accept")
    for rename in found.renames:
        if not (accept and rename in by_values):
            words += ["--rename", shlex.quote(f"{shown(rename.title)}={rename.column}")]
    for column in columns:
        words += ["--drop", column]
    for title in titles:
        gap = f"{shown(title)}=…; type=…; classification=…; fi=…; sv=…; en=…"
        words += ["--add", shlex.quote(gap)]
    return " ".join([*words, "--reason", "'…'"])


# -- telling ---------------------------------------------------------------------------------------------------------


def _rows(found: "Difference") -> list[dict[str, str]]:
    """What differs, a row each."""
    from citydata.source_change.difference import shown

    titles = {column.name: column.source_name for column in found.contract.columns}
    columns, new = found.unexplained
    rows = [
        {"what": "renamed?", "column": one.column, "contract": titles[one.column], "source": shown(one.title),
         "why": f"{one.evidence.score:.2f}: {one.evidence.reason}" if one.evidence else ""}
        for one in found.renames
    ]  # fmt: skip
    rows += [
        {"what": "missing", "column": name, "contract": titles[name], "source": "",
         "why": "no new title is clearly this one" if found.new or found.beside else "the source has no new title"}
        for name in columns
    ]  # fmt: skip
    rows += [
        {"what": "new", "column": "", "contract": "", "source": shown(title), "why": "no column of the contract"}
        for title in new
    ]
    rows += [
        {"what": "empty", "column": name, "contract": titles[name], "source": "no value in any row",
         "why": "current rows have values"}
        for name in found.emptied
    ]  # fmt: skip
    rows += [
        {"what": "values", "column": one.column, "contract": f"rule {one.rule}", "source": f"{one.rows} of {one.of} rows break it",
         "why": "too many: they hold the batch" if one.holds else "they go to quarantine"}
        for one in found.misfits
    ]  # fmt: skip
    return rows


def _print(found: "Difference", uses: "dict[str, list[Use]]", unknown: str | None, command: str | None) -> None:
    from citydata.service.display import console, rows_table

    screen = console()
    contract = found.contract
    about = f"{contract.dataset} {contract.version} against {found.seen.where}, {found.rows} rows"
    rows = _rows(found)
    screen.print(f"{about}: {'they differ' if found.differs else 'the same'}", highlight=False, soft_wrap=True)
    if rows:
        screen.print(rows_table([dict(row) for row in rows]))
    for column, users in uses.items():
        title = f"{column} is used by"
        if users:
            listed = [{title: use.kind, "": use.name, "columns": ", ".join(use.columns)} for use in users]
            screen.print(rows_table([dict(row) for row in listed]))
        else:
            screen.print(f"{title} nothing", highlight=False)
    if uses:
        screen.print(
            "A rename hits none of these: the column keeps its name here, and only physicalName changes."
            " A removed column, or another type, hits all of them but the staging model.",
            soft_wrap=True,
        )
    if unknown:
        screen.print(f"What uses the columns is not known: {unknown}", highlight=False, soft_wrap=True)
    if command:
        typer.echo(f"next: {command}")


def _document(found: "Difference", uses: "dict[str, list[Use]]", command: str | None) -> dict[str, Any]:
    from citydata.source_change.difference import shown

    return {
        "dataset": found.contract.dataset,
        "version": found.contract.version,
        "looked_at": found.seen.where,
        "batch": found.seen.batch.batch_id if found.seen.batch else None,
        "rows": found.rows,
        "differs": found.differs,
        "missing": found.missing,
        "new": [shown(title) for title in found.new],
        "beside": [shown(title) for title in found.beside],
        "renames": [
            {
                "column": one.column,
                "title": shown(one.title),
                "score": round(one.evidence.score, 3) if one.evidence else None,
                "reason": one.evidence.reason if one.evidence else None,
            }
            for one in found.renames
        ],
        "values": [vars(misfit) for misfit in found.misfits],
        "emptied": found.emptied,
        "used_by": {
            column: [
                {
                    **vars(use),
                    "hit_by_rename": False,
                    "hit_by_removal": use.reads_meaning,
                    "hit_by_type_change": use.reads_meaning,
                }
                for use in users
            ]
            for column, users in uses.items()
        },
        "next": command,
    }


def _tell(outcome: "Outcome") -> None:
    chosen = outcome.plan
    entry = chosen.after
    if chosen.changes:
        typer.echo(f"{entry.dataset} {chosen.contract.version} → {entry.version}: {_summary(chosen)}")
        typer.echo(f"written: {entry.path}; review it with `git diff`, and commit it")
    else:
        typer.echo(f"{entry.dataset} {entry.version}: the contract says so already")
    for change in outcome.deployed:
        typer.echo(f"deployed: {change}")
    for name in outcome.signatures:
        typer.echo(f"{name}: what was signed changes; an officer signs it anew: ./citydata governance attest {name}")
    if not outcome.signatures and chosen.changes:
        typer.echo("no new signature is needed: what the officer signed under is as it was")
    for one in outcome.batches:
        became = f" as batch {one.now.batch_id}" if one.now.batch_id != one.held.batch_id else ""
        typer.echo(f"batch {one.held.batch_id} is {one.now.state}{became}: {_counts(one.now.batch_id)}")
        if one.now.state == "held":
            typer.echo(f"  still held: {one.error or one.now.held_reason}; ./citydata batch show {one.now.batch_id}")
    if not outcome.batches:
        typer.echo(f"nothing was held; the next reading has the new columns: ./citydata run {entry.dataset}")
    elif len(outcome.held) < len(outcome.batches):
        typer.echo("next: ./citydata run warehouse")
    if outcome.held and chosen.changes:
        typer.echo(f"the contract stays changed; to undo: git checkout -- {entry.path} && ./citydata deploy")


def _summary(chosen: "Plan") -> str:
    from citydata.source_change.difference import shown

    titles = {column.name: column.source_name for column in chosen.contract.columns}
    parts = [f"{one.column} is “{shown(one.title)}”, before “{titles[one.column]}”" for one in chosen.renames]
    parts += [f"new column {one.name}" for one in chosen.additions]
    parts += [f"{name} is sent no more" for name in chosen.drops]
    return "; ".join(parts)


def _counts(batch_id: int) -> str:
    from citydata import database
    from citydata.service.status import batch

    with database.connect("engineer", autocommit=True) as connection:
        counts = batch(connection, batch_id).counts
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no rows"
