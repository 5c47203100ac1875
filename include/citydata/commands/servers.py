"""Bring an installation up, look at it, move its synthetic town, stop it, remove it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Json


def up(
    input: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML manifest that names, for each dataset it lists, the real file to read in place of the synthetic "
            "source: `inputs: {finance.suppliers: {file: PATH}}`. ${NAME:-default} is replaced; see "
            "tests/real_input.yaml.",
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(min=0.01, max=1000, help="Size of the synthetic town; 1 has about 1,500 employees. [default: 1]"),
    ] = None,
    json_: Json = False,
) -> None:
    """Start everything, run the main job from the sources to released marts, leave the servers running.

    Again, it finds what is done and changes nothing. With CITYDATA_DATABASE_URL the warehouse is on that server
    (PostgreSQL 17 or newer). Its login needs CREATE on that database (UTF-8, the platform's own), CREATEROLE, and
    CREATEDB for Airflow's database unless CITYDATA_AIRFLOW_DATABASE_URL names one; `./citydata doctor` checks them.

    Ports: CITYDATA_POSTGRES_PORT (5460), CITYDATA_AIRFLOW_PORT (8080); the next free one when taken. State and secrets:
    CITYDATA_HOME. A real HR system in place of the synthetic one: CITYDATA_SOURCE_HR. Beyond one machine:
    CITYDATA_BROKER_URL (tasks on Celery workers) and CITYDATA_ARCHIVE (archives on object storage).

    Exit codes: 0 released, 1 failure, 2 wrong usage, 3 released but something is held or stale, 130 interrupted.
    """
    from citydata.service.display import Progress, console, summary
    from citydata.service.up import up as bring_up

    installation = invocation.installation(made=False)
    with invocation.explained(), Progress(console(to_stderr=json_)).shown() as progress:
        outcome = bring_up(installation, manifest=input, scale=scale, report=progress.report, watch=progress.watch)
    _conclude(installation, outcome, summary, json_)


def _conclude(installation: Any, outcome: Any, summary: Any, json_: bool) -> None:
    from citydata import database
    from citydata.service.airflow import ADMIN
    from citydata.service.display import console, share_line

    addresses = {
        "airflow": installation.airflow.url,
        "airflow_login": ADMIN,
        "airflow_password": os.environ["CITYDATA_AIRFLOW_ADMIN_PASSWORD"],
        "database_for_bi": database.url("bi"),
    }
    stale = outcome.build.stale_groups if outcome.build else {}
    code = 1 if outcome.failures else 3 if outcome.held or stale else 0
    if json_:
        invocation.print_json(
            {
                "worked": outcome.worked,
                "datasets": [vars(item) for item in outcome.datasets],
                "stale_groups": stale,
                "failures": [vars(item) for item in outcome.failures],
                "share": vars(outcome.share) if outcome.share else None,
                "addresses": addresses,
                "exit_code": code,
            }
        )
        raise typer.Exit(code)
    screen = console()
    if outcome.worked:
        screen.print(summary(outcome))
    for failure in outcome.failures:
        screen.print(f"[red]failed[/] {failure.dag}, task {failure.task}: {failure.link}", soft_wrap=True)
    for group, reason in stale.items():
        screen.print(f"[yellow]stale[/] group {group}: {reason}", soft_wrap=True)
    screen.print(
        f"Airflow   {addresses['airflow']}   login {ADMIN}, password {addresses['airflow_password']}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    screen.print(f"Database  {addresses['database_for_bi']}   (BI login)", highlight=False, soft_wrap=True)
    if code:
        screen.print("Something wants attention: ./citydata status", highlight=False)
    if outcome.share:
        screen.print(share_line(outcome.share), highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def status(
    batches: Annotated[int, typer.Option(min=0, help="How many of the latest batches to list.")] = 10,
    json_: Json = False,
) -> None:
    """What runs, what is late, held or failed and why, with the next command to type; the latest batches.

    Exit codes: 0 all is well, 1 something does not run or failed, 3 something is held, late or stale.
    """
    from citydata.service.display import console, status_view
    from citydata.service.status import status as look

    installation = invocation.installation(made=False)
    with invocation.explained():
        found = look(installation, batches=batches)
    if json_:
        invocation.print_json(found.as_json())
    elif not (installation.exists or installation.served):
        typer.echo(f"There is no installation in {installation.home} yet: `./citydata up` makes it.")
    else:
        console().print(status_view(found))
    raise typer.Exit(found.exit_code)


def down() -> None:
    """Stop everything that `up` started; data stays."""
    installation = invocation.installation()
    with invocation.explained(), installation.locked():
        stopped = installation.stop()
    typer.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop everything and delete the installation: database, archives, dropped files, logs and secrets.

    A database that CITYDATA_DATABASE_URL names is not touched, nor an archive that CITYDATA_ARCHIVE names.
    """
    installation = invocation.installation()
    if not yes:
        typer.confirm(
            f"Delete {installation.home} with all data, archives and secrets? Archives of personal data cannot be "
            "read again without these secrets",
            abort=True,
        )
    with invocation.explained(), installation.locked():
        installation.remove()
    typer.echo(f"deleted {installation.home}")


def doctor(json_: Json = False) -> None:
    """Check the machine, the state directory, contracts, and the database with the rights that it needs.

    Exit codes: 0 nothing hinders, 1 a problem.
    """
    from citydata.service.display import checks_table, console
    from citydata.service.doctor import examine

    installation = invocation.installation(made=False)
    with invocation.explained():
        checks = examine(installation)
    if json_:
        invocation.print_json([vars(check) for check in checks])
    else:
        console().print(checks_table(checks))
    raise typer.Exit(int(any(check.outcome == "problem" for check in checks)))


def simulate(
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days to go on, one after the other.")] = 1,
    json_: Json = False,
) -> None:
    """Move the synthetic sources to the next day and run the main job on it.

    A day brings new, changed, corrected, deleted, late and broken rows.

    Exit codes: as `up`, of the last day.
    """
    from citydata.service.display import Progress, console, summary
    from citydata.service.up import step

    installation = invocation.installation()
    with invocation.explained(), Progress(console(to_stderr=json_)).shown() as progress, installation.locked():
        if not installation.airflow.is_running():
            invocation.fail("Airflow does not run: `./citydata up` starts it.")
        for _ in range(days):
            outcome = step(installation, report=progress.report, watch=progress.watch)
    _conclude(installation, outcome, summary, json_)
