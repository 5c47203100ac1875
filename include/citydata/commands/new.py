"""`./citydata new`: a draft of a dataset from a sample of its source, or the draft taken back."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Dataset

if TYPE_CHECKING:
    from citydata.drafting.draft import Draft
    from citydata.governance.inventory import Inventory

_KNOWLEDGE = "What only a person knows"
_SOURCE = "What to take the sample of"


def _answer(text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=_KNOWLEDGE, show_default=False)


def new(
    dataset: Dataset,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            rich_help_panel=_SOURCE,
            help="A file: CSV, JSON, NDJSON, GeoJSON or GML, perhaps gzipped.",
        ),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_SOURCE, help="A source system; its address is in CITYDATA_SOURCE_<NAME>."
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(metavar="SCHEMA.TABLE", rich_help_panel=_SOURCE, help="A table or view of the connection."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="TYPENAME",
            rich_help_panel=_SOURCE,
            help="A layer of the connection's WFS, or a collection of its OGC API.",
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(rich_help_panel=_SOURCE, help="A path of the connection's REST service.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", rich_help_panel=_SOURCE, help="A parameter of the REST request."),
    ] = None,
    inventory: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            rich_help_panel=_KNOWLEDGE,
            help="The tietoaineisto of the inventory that it joins; without it a new one is drafted.",
            show_default=False,
        ),
    ] = None,
    name_fi: Annotated[str | None, _answer("Name in Finnish.")] = None,
    name_sv: Annotated[str | None, _answer("Name in Swedish.")] = None,
    description_fi: Annotated[str | None, _answer("What it holds, in Finnish.")] = None,
    description_sv: Annotated[str | None, _answer("… in Swedish.")] = None,
    description_en: Annotated[str | None, _answer("… in English.")] = None,
    purpose: Annotated[str | None, _answer("What it is used for, in Finnish.")] = None,
    domain: Annotated[str | None, _answer("Whose mart it will be in.")] = None,
    owner: Annotated[str | None, _answer("Who answers for it: an id of include/inventory/people.")] = None,
    steward: Annotated[str | None, _answer("Who knows it: an id of include/inventory/people.")] = None,
    contact: Annotated[str | None, _answer("E-mail address for questions and alerts.")] = None,
    authority: Annotated[str | None, _answer("Authority that is its controller, if it is not the town.")] = None,
    tietovaranto: Annotated[str | None, _answer("Information pool: an id of include/inventory/tietovarannot.")] = None,
    task_class: Annotated[str | None, _answer("Task class: a code such as 02.02.02.")] = None,
    process: Annotated[str | None, _answer("Process: an id of include/inventory/processes.")] = None,
    publicity: Annotated[str | None, _answer("julkinen, osittain salassa pidettävä or salassa pidettävä.")] = None,
    secrecy_ground: Annotated[str | None, _answer("Ground of secrecy, where it is not public.")] = None,
    retention: Annotated[str | None, _answer("How long it is kept.")] = None,
    retention_ground: Annotated[str | None, _answer("On what ground.")] = None,
    retention_starts: Annotated[str | None, _answer("From what moment.")] = None,
    retention_then: Annotated[str | None, _answer("arkistoidaan or hävitetään.")] = None,
    schedule: Annotated[str | None, _answer("When it is read, as a cron expression.")] = None,
    information_system: Annotated[
        str | None, _answer("The information system it is in: an id of include/inventory/systems.")
    ] = None,
    sector: Annotated[str | None, _answer("Sector of the administration.")] = None,
    kind: Annotated[str | None, _answer("register, event, statistic, geographic or document.")] = None,
    criticality: Annotated[str | None, _answer("core, important or ordinary.")] = None,
    legal_basis: Annotated[str | None, _answer("Legal basis of processing personal data.")] = None,
    art30: Annotated[str | None, _answer("The Art. 30 record that covers it, if there is one.")] = None,
    approved_by: Annotated[str | None, _answer("Governance officer who approved it as new.")] = None,
    approval: Annotated[str | None, _answer("Document of the approval.")] = None,
    ask: Annotated[
        bool | None,
        typer.Option(
            "--ask/--no-ask", help="Ask for what no option says. [default: in a terminal]", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the draft, write nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Remove the draft; only while it is one.")] = False,
) -> None:
    """Draft a dataset from a sample of its source: contract, staging model, suite, inventory entries, change assessment.

    The sample shows types, formats, key candidates and what may be personal data. What only a person knows is asked; what is
    not answered stays empty, and until it is filled nothing is loaded. No value of the source is printed or written.

    Exit codes: 0 drafted, 1 failure, 2 wrong usage.
    """
    from citydata.drafting import draft, sources
    from citydata.drafting.answers import QUESTIONS, Answers
    from citydata.drafting.places import shown

    given = {
        name: value
        for name, value in locals().items()
        if name in {question.name for question in QUESTIONS} | {"inventory"}
    }
    with invocation.explained():
        where = draft.places(dataset)
        if undo:
            for removed in draft.undo(dataset):
                typer.echo(
                    f"removed {shown(removed)}" if not removed.exists() else f"took {dataset} out of {shown(removed)}"
                )
            return
        draft.check_new(where)
        from citydata.governance import inventory as model

        entries = model.load()
        for name, value in given.items():
            _check(entries, name, value)
        if connection and not file:
            invocation.installation()
        chosen = sources.Source(file, connection, table, layer, path, _parameters(parameter))
        found = sources.read(chosen, where.system, lambda text: typer.echo(text, err=True))
        personal = _report(found)
        if ask if ask is not None else sys.stdin.isatty() and sys.stdout.isatty():
            given |= _asked(entries, given, personal=personal)
        made = draft.make(where, found, Answers(**given), date.today())  # noqa: DTZ011 - the town's day
        if dry_run:
            for file_path, text in {**made.files, **made.changed}.items():
                typer.echo(f"==> {shown(file_path)}\n{text}")
            return
        draft.write(made)
    _next_steps(made)


def _parameters(given: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    if wrong := [name for name, sign, _ in pairs if not sign or not name]:
        raise typer.BadParameter(f"--parameter {wrong[0]}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _allowed(entries: "Inventory", name: str) -> list[str] | None:
    """What an answer may be; None when it may be any text."""
    from citydata import contract, town
    from citydata.governance.inventory import AFTER, PUBLICITY
    from citydata.governance.inventory import Dataset as Entry

    fields = Entry.model_fields
    return {
        "owner": list(entries.people), "steward": list(entries.people), "approved_by": sorted(entries.officers),
        "tietovaranto": list(entries.tietovarannot), "task_class": list(entries.task_classes), "process": list(entries.processes),
        "publicity": list(PUBLICITY), "retention_then": list(AFTER), "sector": [sector.code for sector in town.load().sectors],
        "kind": list(fields["kind"].annotation.__args__),  # type: ignore[union-attr]
        "criticality": list(fields["criticality"].annotation.__args__),  # type: ignore[union-attr]
        "art30": list(entries.art30), "inventory": list(entries.datasets),
        "domain": sorted({entry.sector for entry in contract.load_each()[0].values()}),
    }.get(name)  # fmt: skip


def _check(entries: "Inventory", name: str, value: str | None) -> None:
    """Raise typer.BadParameter for an answer that cannot be one."""
    from croniter import croniter  # type: ignore[import-untyped]

    allowed = _allowed(entries, name)
    option = f"--{name.replace('_', '-')}"
    if value and allowed is not None and value not in allowed:
        import difflib

        near = difflib.get_close_matches(value, allowed, n=5, cutoff=0.4) or allowed[:12]
        raise typer.BadParameter(f"{option} {value}: there is none; for example {', '.join(near)}")
    if value and name == "schedule" and not (len(value.split()) == 5 and croniter.is_valid(value)):
        raise typer.BadParameter(f"{option} {value}: no cron expression; five fields, for example 30 4 * * *")
    if value and name == "contact" and "@" not in value:
        raise typer.BadParameter(f"{option} {value}: no e-mail address")


def _asked(entries: "Inventory", given: dict[str, str | None], *, personal: bool) -> dict[str, str | None]:
    """Ask for what no option says; an empty answer leaves it to who decides it."""
    from citydata import town
    from citydata.drafting.answers import QUESTIONS

    typer.echo("\nWhat nobody can see in the sample. Leave empty what you do not know; the draft says who decides it.")
    answers: dict[str, str | None] = {}
    for question in QUESTIONS:
        name = question.name
        if given[name] or town.left_empty(name) or (name in ("legal_basis", "art30") and not personal):
            continue
        if given["inventory"] and name not in (
            "name_fi",
            "description_fi",
            "description_sv",
            "description_en",
            "purpose",
            "domain",
            "contact",
            "schedule",
        ):
            continue  # its entry in the inventory says so
        if name == "secrecy_ground" and (answers.get("publicity") or given["publicity"]) == "julkinen":
            continue
        while True:
            answer = typer.prompt(question.text, default="", show_default=False).strip() or None
            try:
                _check(entries, name, answer)
            except typer.BadParameter as error:
                typer.secho(error.message, fg="red", err=True)
            else:
                answers[name] = answer
                break
    return answers


def _report(found: Any) -> bool:
    """Tell what was seen, without a value; returns whether personal data is guessed."""
    from citydata.drafting import proposal
    from citydata.service.display import console, rows_table

    columns = proposal.propose(found)
    rows = [
        {
            "column": column.name,
            "title": column.title,
            "type": column.profile.type,
            "written": column.profile.options.get("format") or "",
            "empty": column.profile.empty,
            "key": "key" if column.key else "",
            "about people": f"{column.personal or 'perhaps'}: {column.guess.reason}" if column.guess else "",
        }
        for column in columns.columns
    ]
    console().print(rows_table(rows))
    refused = sum(found.refused.values())
    typer.echo(f"{found.rows} rows{'' if found.whole else ' (there are more)'}, {refused} refused")
    for rule, count in sorted(found.refused.items()):
        typer.echo(f"  {count} rows break {rule}")
    undecided = dict(found.undecided)
    for column in columns.columns:
        undecided |= {f"{column.name}: {key}": text for key, text in column.profile.undecided.items()}
    for name, text in undecided.items():
        typer.secho(f"not decided: {name}: {text}", fg="yellow")
    for note in found.notes:
        typer.echo(f"note: {note}")
    return columns.personal


def _next_steps(made: "Draft") -> None:
    from citydata.drafting.places import shown

    typer.echo("\nDrafted; nothing is loaded yet:")
    for path in made.files:
        typer.echo(f"  {shown(path)}")
    for path in made.changed:
        typer.echo(f"  {shown(path)} (names the contract)")
    for dimension in made.missing:
        typer.echo(f"  no rule could be proposed for {dimension}: only somebody who knows the data can write one")
    typer.echo(
        "\nNext:\n"
        "  ./citydata check                    names what is empty, with file and line; fill it\n"
        f"  {shown(list(made.files)[-1])}: set status: active\n"
        "  ./citydata deploy                   makes its tables and grants\n"
        f"  ./citydata run {made.dataset.id:<20} loads it; the scheduler finds its DAG by itself\n"
        f"Not wanted? ./citydata new --undo {made.dataset.id}"
    )
