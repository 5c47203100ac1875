"""`./citydata backfill`: a period of a dataset is read again, and reaches its readers as a whole, after approval when asked."""

import getpass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from citydata.commands import invocation
from citydata.commands.invocation import Dataset, Json, Person, Reason

if TYPE_CHECKING:
    from citydata.backfill import Backfill, Preview, Window

LISTED = (
    *("backfill_id", "dataset", "begins_at", "ends_at", "windows", "done", "state", "reason", "requested_by"),
    "requested_at",
)


class WithDefault(TyperGroup):
    """A group whose first command is meant when none is named: `backfill finance.purchase_invoices …`."""

    default = "start"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of a dataset."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=WithDefault,
    help="Read a period of a dataset again: `./citydata backfill SYSTEM.DATASET --from … --to … --reason …`.",
    no_args_is_help=True,
)

BackfillId = Annotated[int, typer.Argument(metavar="BACKFILL", help="Its number; `backfill list` shows them.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("start")
def start(
    dataset: Dataset,
    since: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="From when on: ISO 8601, without an offset in the town's time."),
    ],
    reason: Reason,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Until before then. [default: now]")] = None,
    every: Annotated[
        Literal["day", "week", "month"] | None,
        typer.Option(help="How long a window is, for datasets read by time of change. [default: as the schedule]"),
    ] = None,
    wait_for_approval: Annotated[
        bool,
        typer.Option("--wait-for-approval", help="Compare with what people read, and release after approval only."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the windows and what is expected, do nothing.")
    ] = False,
    yes: Yes = False,
    person: Person = "",
    json_: Json = False,
) -> None:
    """Read a period of a dataset again (the word `start` may be left out): preview, then window by window, then one build.

    Nothing outside the windows is closed, and marts show all of it or nothing. Interrupted, the same command goes on.

    Exit codes: 0 done, 1 failure, 2 wrong usage, 3 a window is held, the difference waits for approval, or a group is stale.
    """
    from citydata import backfill, database, schedule

    invocation.installation()
    try:
        window = schedule.window(since, until)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    with invocation.explained():
        with database.connect("engineer", autocommit=True) as connection:
            found = backfill.open_of(connection, dataset)
        goes_on = found and (found.begins_at, found.ends_at if until else window[1]) == window
        if not (found and goes_on):
            seen = backfill.preview(dataset, *window, every)
            if not json_:
                _print_preview(seen)
            if dry_run:
                if json_:
                    invocation.print_json(_preview_document(seen))
                raise typer.Exit(0)
            if not yes:
                typer.confirm(f"Backfill {dataset} in {len(seen.windows)} windows?", abort=True, err=True)
            by = person or getpass.getuser()
            number = backfill.begin(seen, reason=reason, person=by, approval=wait_for_approval)
        else:
            number = found.backfill_id
            if wait_for_approval and not found.approval:
                raise backfill.BackfillError(
                    f"{found.title} was begun without --wait-for-approval: leave the option out, or give the backfill up"
                    f" (`./citydata backfill cancel {number} --reason '…'`) and begin again"
                )
            if dry_run:
                _print(found, json_)
                raise typer.Exit(0)
            if not yes:
                typer.confirm(f"Go on with backfill {number}, which is {found.state}?", abort=True, err=True)
            typer.echo(f"backfill {number} goes on", err=True)
        _proceed(number, json_)


@app.command("resume")
def resume(backfill_id: BackfillId, json_: Json = False) -> None:
    """Go on with a backfill that was interrupted, or of which a window was held or failed.

    Exit codes: 0 done, 1 failure, 3 a window is held, the difference waits for approval, or a group is stale.
    """
    invocation.installation()
    with invocation.explained():
        _proceed(backfill_id, json_)


@app.command("list")
def listing(
    dataset: Annotated[str | None, typer.Option(help="Only of this dataset.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    json_: Json = False,
) -> None:
    """Newest backfills, those made in Airflow too, with how many of their windows are done."""
    from citydata import backfill, database

    invocation.installation()
    with invocation.explained(), database.connect("engineer", autocommit=True) as connection:
        found = backfill.listing(connection, dataset, limit)
    invocation.show_rows(found, LISTED, json_)


@app.command("show")
def show(backfill_id: BackfillId, json_: Json = False) -> None:
    """A backfill: its windows and batches, the difference that waits for approval (counts, no values), and what to type next.

    Exit codes: 0 ended or on its way, 1 no such backfill, 3 stopped or waiting.
    """
    from citydata import backfill, database

    invocation.installation()
    with invocation.explained(), database.connect("engineer", autocommit=True) as connection:
        found = backfill.get(connection, backfill_id)
    _print(found, json_)
    raise typer.Exit(3 if found.state in ("stopped", "waiting") else 0)


@app.command("approve")
def approve(backfill_id: BackfillId, reason: Reason, person: Person = "") -> None:
    """Take a backfill in whose difference waits: build and release it.

    Exit codes: 0 released, 1 failure, 3 a group is stale.
    """
    from citydata import backfill

    invocation.installation()
    with invocation.explained():
        backfill.approve(backfill_id, person=person or getpass.getuser(), reason=reason)
        typer.echo(f"backfill {backfill_id} is approved")
        raise typer.Exit(3 if _build() else 0)


@app.command("reject")
def reject(backfill_id: BackfillId, reason: Reason, person: Person = "") -> None:
    """Take a backfill back whose difference waits: its batches are rejected, the dataset is rebuilt and reads as before."""
    from citydata import backfill

    invocation.installation()
    with invocation.explained():
        _taken_back(backfill.reject(backfill_id, person=person or getpass.getuser(), reason=reason))


@app.command("cancel")
def cancel(backfill_id: BackfillId, reason: Reason, person: Person = "", yes: Yes = False) -> None:
    """Give up a backfill that has not ended; what its windows published is taken back."""
    from citydata import backfill

    invocation.installation()
    if not yes:
        typer.confirm(f"Give up backfill {backfill_id} and take back what it published?", abort=True, err=True)
    with invocation.explained():
        _taken_back(backfill.cancel(backfill_id, person=person or getpass.getuser(), reason=reason))


def _taken_back(found: "Backfill") -> None:
    typer.echo(f"backfill {found.backfill_id} is {found.state}, the dataset reads as before")
    # What was compared stands in the tables that builds write, and the marts still say that they are held back.
    raise typer.Exit(3 if any(one["published_at"] for one in found.batches) and _build() else 0)


def _proceed(backfill_id: int, json_: bool) -> None:
    """Do what is left of a backfill, then build."""
    from citydata import backfill, database

    def report(window: "Window", found: "Backfill") -> None:
        counts = [one for one in found.batches if one["window"] == window.number and one["state"] == "published"]
        told = ", ".join(
            f"{sum(one[name] for one in counts)} {name}" for name in ("extracted", "inserted", "changed", "closed")
        )
        place = f"{[one.number for one in found.windows].index(window.number) + 1}/{len(found.windows)}"
        text = {"done": told, "empty": "no delivery has it; nothing was closed"}.get(window.state, window.failure or "")
        typer.echo(f"{place} {window.title}: {window.state}, {text}", err=json_)

    found = backfill.proceed(backfill_id, report)
    stale: dict[str, str] = {}
    if found.state == "comparing" or (found.state == "done" and found.altered):
        stale = _build(quiet=json_)
        with database.connect("engineer", autocommit=True) as connection:
            found = backfill.get(connection, backfill_id)
    if json_ or found.state != "done":
        _print(found, json_)
    elif not found.altered:
        typer.echo(f"backfill {backfill_id} is done: the dataset read so already, there is nothing to build")
    else:
        typer.echo(f"backfill {backfill_id} is done")
    failed = found.stopped_by is not None and found.stopped_by.state == "failed"
    raise typer.Exit(1 if failed else 3 if stale or found.state != "done" else 0)


def _build(*, quiet: bool = False) -> dict[str, str]:
    """Build and release; returns the groups that stay as they were."""
    from citydata import pipeline

    _, released = pipeline.build_and_release()
    rows = sum(change.inserted + change.updated + change.deleted for change in released.changes)
    typer.echo(f"warehouse released: {rows} rows written", err=quiet)
    for group, why in released.stale.items():
        typer.secho(f"stale group {group}: {why}", fg="yellow", err=True)
    return released.stale


def _preview_document(seen: "Preview") -> dict[str, Any]:
    return vars(seen) | {"windows": [vars(window) for window in seen.windows]}


def _print_preview(seen: "Preview") -> None:
    from citydata.service.display import console, rows_table

    screen = console()
    rows: list[dict[str, object]] = [
        {
            "window": window.title,
            "expected": window.expected,
            "": window.origin,
            "stands there": window.standing,
        }
        for window in seen.windows
    ]
    shown = rows if len(rows) <= 40 else [*rows[:20], dict.fromkeys(rows[0], "…"), *rows[-19:]]
    screen.print(rows_table(shown))
    total, standing = (sum(getattr(one, name) or 0 for one in seen.windows) for name in ("expected", "standing"))
    screen.print(f"{len(rows)} windows, {total} rows expected, {standing} stand there", highlight=False)
    screen.print(f"Closed: {seen.closes}. Nothing outside the windows.", highlight=False, soft_wrap=True)


def _print(found: "Backfill", json_: bool) -> None:
    from citydata import backfill
    from citydata.service.display import backfill_view, console

    following = backfill.what_to_do(found)
    if json_:
        document = vars(found) | {"windows": [vars(window) for window in found.windows]}
        invocation.print_json(document | {"next": following})
    else:
        console().print(backfill_view(found, following))
