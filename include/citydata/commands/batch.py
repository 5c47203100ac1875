"""`./citydata batch`: what was read, and what a person decides about held batches."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Dataset, Json, Person, Reason

if TYPE_CHECKING:
    from citydata.ops import Batch

BATCH_COLUMNS = (
    *("batch_id", "dataset", "kind", "state", "extracted", "inserted", "changed", "unchanged", "closed", "quarantined"),
    *("held", "started_at", "published_at"),
)

app = typer.Typer(help="Batches: what was read, what a person decides about held ones.", no_args_is_help=True)

BatchId = Annotated[int, typer.Argument(metavar="BATCH", help="Its number; `batch list` shows them.")]


@app.command("list")
def listing(
    dataset: Annotated[str | None, typer.Option(help="Only of this dataset.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, such as held.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    json_: Json = False,
) -> None:
    """Newest batches with their counts."""
    from citydata import database, ops

    invocation.installation()
    with invocation.explained(), database.connect("engineer", autocommit=True) as connection:
        found = ops.listing(connection, dataset, state, limit)
    invocation.show_rows(found, BATCH_COLUMNS, json_)


@app.command("show")
def show(batch_id: BatchId, json_: Json = False) -> None:
    """Everything about a batch: counts, failed checks, reasons of quarantine, and what can be done.

    Exit codes: 0 published or on its way, 1 failed or no such batch, 3 held.
    """
    from citydata import database
    from citydata.service.display import batch_view, console
    from citydata.service.status import batch as look

    invocation.installation()
    with invocation.explained(), database.connect("engineer", autocommit=True) as connection:
        found = look(connection, batch_id)
    if json_:
        invocation.print_json(vars(found))
    else:
        console().print(batch_view(found))
    raise typer.Exit({"held": 3, "failed": 1}.get(found.state, 0))


def _decided(batch_id: int, became: "Batch") -> None:
    renamed = f", as batch {became.batch_id} (versions are opened in sequence)" if became.batch_id != batch_id else ""
    typer.echo(f"batch {batch_id} is {became.state}{renamed}")
    if became.state == "published":
        typer.echo("The scheduler's next build takes it in; at once: ./citydata run warehouse")
    raise typer.Exit(3 if became.state == "held" else 0)


@app.command("release")
def release(batch_id: BatchId, reason: Reason, person: Person = "") -> None:
    """Publish a held batch after all. It is landed again from its archive; checks are recorded but no longer hold it.

    Exit codes: 0 published, 1 failure, 3 still held.
    """
    from citydata import pipeline

    invocation.installation()
    with invocation.explained():
        became = pipeline.decide(batch_id, release=True, person=person or getpass.getuser(), reason=reason)
    _decided(batch_id, became)


@app.command("reject")
def reject(batch_id: BatchId, reason: Reason, person: Person = "") -> None:
    """Refuse a held batch for good: the last good data stays, and later batches go on."""
    from citydata import pipeline

    invocation.installation()
    with invocation.explained():
        became = pipeline.decide(batch_id, release=False, person=person or getpass.getuser(), reason=reason)
    _decided(batch_id, became)


@app.command("replay")
def replay(batch_id: BatchId) -> None:
    """Take the newest batch of a dataset from its archive again. Under the same contract it changes nothing.

    Exit codes: 0 published, 1 failure, 3 held.
    """
    from citydata import pipeline

    invocation.installation()
    with invocation.explained():
        became = pipeline.replay(batch_id)
    _decided(batch_id, became)


@app.command("rebuild")
def rebuild(
    dataset: Dataset,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make the versioned table of a dataset anew from the archives of all its batches, in their order."""
    from citydata import pipeline

    invocation.installation()
    if not yes:
        typer.confirm(f"Empty the versioned table of {dataset} and fill it again from its archives?", abort=True)
    with invocation.explained():
        typer.echo(f"{dataset}: made anew from {pipeline.rebuild(dataset)} batches")
