"""The main job without a scheduler, and what deployment brings."""

from typing import Annotated

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Json


def run(
    target: Annotated[
        str, typer.Argument(metavar="SYSTEM[.DATASET]", help="What to load; `warehouse` builds and releases only.")
    ],
    json_: Json = False,
) -> None:
    """Load a system or a dataset now, without the scheduler: extract, land, audit, publish, build, release.

    It goes on where the last one ended; a period that is past is read again by `./citydata backfill`.

    Exit codes: 0 done, 1 failure, 2 wrong usage, 3 done but a batch is held or a group is stale.
    """
    from citydata import contract, database, pipeline
    from citydata.service import progress
    from citydata.service.display import console, summary
    from citydata.service.up import Outcome

    invocation.installation()
    with invocation.explained():
        names = contract.load_each()[0]
        chosen = [name for name in names if target in (name, name.partition(".")[0])]
        if not chosen and target != "warehouse":
            raise typer.BadParameter(f"there is no system or dataset {target}; there are {', '.join(names)}")
        with database.connect("engineer", autocommit=True) as connection:
            moment = database.now(connection)
            if chosen:
                pipeline.run(chosen)
            else:
                pipeline.build_and_release()
            done = progress.datasets(connection, moment)
            outcome = Outcome(
                True, [item for item in done if item.dataset in chosen], progress.build(connection, moment)
            )
    stale = outcome.build.stale_groups if outcome.build else {}
    if json_:
        invocation.print_json({"datasets": [vars(item) for item in outcome.datasets], "stale_groups": stale})
    else:
        screen = console()
        if outcome.datasets:
            screen.print(summary(outcome))
        if outcome.build:
            built = outcome.build
            screen.print(f"warehouse {built.step}: {built.rows} rows written in {built.seconds:.1f} s", highlight=False)
        for group, reason in stale.items():
            screen.print(f"[yellow]stale[/] group {group}: {reason}", soft_wrap=True)
    raise typer.Exit(3 if outcome.held or stale else 0)


def deploy() -> None:
    """Bring the database to this version: migrations, roles, tables and grants from contracts; in Airflow, where it runs, pools.

    Again, it changes nothing.
    """
    from citydata import schedule
    from citydata.deploy import deploy as bring

    installation = invocation.installation()
    with invocation.explained():
        changes = bring()
        if installation.airflow.is_running():
            made = installation.airflow.api().ensure_pools(schedule.pools())
            changes += [f"made Airflow's pool {name}" for name in made]
    for change in changes or ["nothing to change"]:
        typer.echo(change)
