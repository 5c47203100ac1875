"""`./citydata quarantine`: rows that were refused."""

import getpass
from typing import Annotated

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Dataset, Json, Person, Reason

app = typer.Typer(help="Rows that were refused: look, try again, waive.", no_args_is_help=True)


@app.command("list")
def listing(json_: Json = False) -> None:
    """Refused rows by dataset, reason and state; no values.

    Exit codes: 0 none is open, 1 failure, 3 some are.
    """
    from citydata import quarantine as rows

    invocation.installation()
    with invocation.explained():
        found = rows.counts()
    invocation.show_rows(found, ("dataset", "reason", "state", "rows", "since", "last_batch"), json_)
    raise typer.Exit(3 if any(row["state"] == "open" for row in found) else 0)


@app.command("show")
def show(
    dataset: Dataset,
    state: Annotated[str, typer.Option(help="open, resolved, reprocessed, waived or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    json_: Json = False,
) -> None:
    """Refused rows of a dataset. Their content is shown only for systems without personal data."""
    from citydata import quarantine as rows

    invocation.installation()
    with invocation.explained():
        found = rows.show(dataset, state=None if state == "all" else state, limit=limit)
    invocation.show_rows(found, tuple(found[0]) if found else (), json_)


@app.command("retry")
def retry(dataset: Dataset, json_: Json = False) -> None:
    """Read the batches with open rows again, under today's contract, as new batches.

    Exit codes: 0 none was refused again, 1 failure, 3 some were.
    """
    from citydata import quarantine as rows

    invocation.installation()
    with invocation.explained():
        result = rows.retry(dataset)
    if json_:
        invocation.print_json(result)
    else:
        typer.echo(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in result.items()))
    raise typer.Exit(3 if result["refused_again"] else 0)


@app.command("waive")
def waive(
    dataset: Dataset,
    reason: Reason,
    ids: Annotated[
        list[int] | None, typer.Option("--id", help="Only this row; may be repeated. [default: all]")
    ] = None,
    person: Person = "",
) -> None:
    """Decide that open rows of a dataset need nothing more."""
    from citydata import quarantine as rows

    invocation.installation()
    with invocation.explained():
        count = rows.waive(dataset, ids or [], person=person or getpass.getuser(), reason=reason)
    typer.echo(f"{dataset}: {count} rows waived")
