"""`./citydata governance`: the share of the town's data under governance."""

import os
from typing import Annotated

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Json

app = typer.Typer(
    help="The share of the town's data under governance: the figure, its evidence, and that nobody changed it.",
    no_args_is_help=True,
)


@app.command("show")
def show(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="As it was on a past day: YYYY-MM-DD. [default: now]")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(help="Only the share by this: sector, system, criticality or personal_data.", metavar="VIEW"),
    ] = None,
    json_: Json = False,
) -> None:
    """The share with its bounds, its levels and views, what blocks most datasets, and what is still to be found.

    The view by system is long: it is shown with `--view system`. `--json` holds every view.
    """
    from datetime import date

    from citydata import database
    from citydata.governance import share, snapshot
    from citydata.governance.method import CURRENT
    from citydata.service.display import console, one_view, share_view

    if view not in (None, *share.VIEWS):
        raise typer.BadParameter(f"--view {view} is none of {', '.join(share.VIEWS)}")
    try:
        day = date.fromisoformat(as_of) if as_of else None
    except ValueError:
        raise typer.BadParameter(f"--as-of {as_of} is not a date; write 2026-12-31") from None
    invocation.installation()
    with invocation.explained(), database.connect("officer") as connection:
        figure = snapshot.required(connection, until=day)
        judged = snapshot.datasets(connection, figure.snapshot_id)
        unmapped = [system for system in snapshot.systems(connection, figure.snapshot_id) if not system.mapped]
    views = share.views(judged, CURRENT)
    if json_:
        invocation.print_json(
            {
                "share": vars(figure) | {"text": figure.text, "upper_text": figure.upper_text},
                "views": [vars(view) for view in views],
                "blockers": [vars(blocker) for blocker in share.blockers(share.units(judged))],
                "unmapped": [vars(system) for system in unmapped],
            }
        )
    elif view:
        console().print(one_view(figure, [line for line in views if line.view == view]))
    else:
        shown = [line for line in views if line.view != "system"]
        console().print(share_view(figure, shown, share.blockers(share.units(judged)), unmapped))


@app.command("explain")
def explain(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Id in the inventory, or SYSTEM.DATASET of a contract.")
    ],
    language: Annotated[str, typer.Option(help="Of the reasons: fi, sv or en.")] = "en",
    json_: Json = False,
) -> None:
    """Why a dataset has the level it has: each criterion with its evidence, and what is missing.

    Exit codes: 0 governed, 1 failure, 2 no such dataset, 3 something is missing for level 3.
    """
    from citydata import database
    from citydata.governance import reasons, share, snapshot
    from citydata.service.display import console, evidence_view

    if language not in reasons.LANGUAGES:
        raise typer.BadParameter(f"--language {language} is none of {', '.join(reasons.LANGUAGES)}")
    invocation.installation()
    with invocation.explained(), database.connect("officer") as connection:
        figure = snapshot.required(connection)
        judged = snapshot.datasets(connection, figure.snapshot_id)
        found = next((entry for entry in judged if dataset in (entry.dataset, *entry.contracts)), None)
        if found is None:
            raise typer.BadParameter(
                f"no dataset {dataset} in snapshot {figure.snapshot_id}; `./citydata governance list` names them"
            )
        rows = snapshot.evidence(connection, figure.snapshot_id, found.dataset)
    if json_:
        invocation.print_json(
            {**vars(found), "evidence": [vars(row) | {"text": reasons.text(row, language)} for row in rows]}
        )
    else:
        console().print(evidence_view(found, rows, figure.taken_at, language))
    raise typer.Exit(0 if found.counted_level >= share.GOVERNED else 3)


@app.command("list")
def listing(
    sector: Annotated[str | None, typer.Option(help="Only this sector.")] = None,
    json_: Json = False,
) -> None:
    """Every registered dataset with its level and the criteria it lacks."""
    from citydata import database
    from citydata.governance import snapshot

    invocation.installation()
    with invocation.explained(), database.connect("officer") as connection:
        judged = snapshot.datasets(connection, snapshot.required(connection).snapshot_id)
    sectors = sorted({entry.sector for entry in judged})
    if sector not in (None, *sectors):
        raise typer.BadParameter(f"no dataset of a sector {sector}; there are {', '.join(sectors) or 'none'}")
    rows = [vars(entry) for entry in judged if sector in (None, entry.sector)]
    invocation.show_rows(rows, ("dataset", "sector", "system", "level", "missing", "uncounted"), json_)


@app.command("verify")
def verify(
    head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A hash noted earlier, which the chain must still hold.")
    ] = None,
    json_: Json = False,
) -> None:
    """Compute every sealed snapshot's hash anew from its rows: a changed, missing or moved one is found.

    Exit codes: 0 every byte is as it was sealed, 1 something was changed, or there is nothing to verify.
    """
    from citydata import database
    from citydata.governance import snapshot

    invocation.installation()
    with invocation.explained(), database.connect("officer") as connection:
        if head is None:
            snapshot.required(connection)  # of nothing nobody can say that it is as it was
        chain = snapshot.figures(connection)
        wrong = list(snapshot.verify(connection, head))
    if json_:
        invocation.print_json({"snapshots": len(chain), "head": chain[0].sha256 if chain else None, "problems": wrong})
    else:
        for problem in wrong:
            typer.secho(problem, fg="red")
        if not wrong:
            typer.echo(f"snapshots that are as they were sealed: {len(chain)} of {len(chain)}; head {chain[0].sha256}")
    raise typer.Exit(int(bool(wrong)))


@app.command("snapshot")
def snapshot(
    official: Annotated[bool, typer.Option("--official", help="The figure of a month's end.")] = False,
    json_: Json = False,
) -> None:
    """Measure the share now and seal it."""
    from citydata.governance import measure
    from citydata.service.display import share_line

    invocation.installation()
    with invocation.explained():
        figure = measure.measure("by hand", official=official)
    if json_:
        invocation.print_json(vars(figure) | {"text": figure.text, "upper_text": figure.upper_text})
    else:
        typer.echo(share_line(figure))


@app.command("attest")
def attest(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET…", help="Ids in the inventory.")],
    person: Annotated[str, typer.Option("--by", help="The officer's id in the inventory.")],
) -> None:
    """Sign datasets as they are described, classified and checked today. The officer's own act; it holds for a year.

    The private key is taken from CITYDATA_SIGNING_KEY; its public half stands in the inventory at the officer.
    """
    from citydata import database
    from citydata.governance import attestation

    invocation.installation()
    key = os.environ.get("CITYDATA_SIGNING_KEY", "")
    if not key:
        invocation.fail(
            "CITYDATA_SIGNING_KEY is not set: only the officer has it, and no file of the installation holds it. Export your"
            " private key for this command; `./citydata governance key` makes a pair."
        )
    with invocation.explained(), database.connect("officer") as connection:
        signed = attestation.attest(connection, datasets, signed_by=person, private_key=key)
    for name in signed:
        typer.echo(f"{name}: signed by {person}")
    typer.echo("The next measurement counts it; at once: ./citydata governance snapshot")


@app.command("key")
def key() -> None:
    """Make a pair of keys for a governance officer, who keeps the private one and never types it into a file here.

    The private key alone goes to standard output, so that it can be piped into a password store.
    """
    from citydata.governance import attestation

    private, public = attestation.new_key()
    typer.echo(f"CITYDATA_SIGNING_KEY={private}")
    typer.echo(
        "Keep it in your password store; nothing here keeps it. The public half, at you in the inventory:", err=True
    )
    typer.echo(f"signing_key: {public}", err=True)
