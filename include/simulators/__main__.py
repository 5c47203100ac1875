"""`python -m simulators`: run one source system of the synthetic Porvoo by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from simulators import finance_files, porvoo_layout, statistics_files

app = typer.Typer(help="The source systems of a synthetic Porvoo.", no_args_is_help=True, add_completion=False)

FILES = (finance_files, statistics_files)

Seed = Annotated[int, typer.Option(help="Another seed is another town.")]
Scale = Annotated[float, typer.Option(min=0.001, help="1 is about 1,500 employees and 12,000 invoice lines a year.")]
Day = Annotated[int, typer.Option(min=0, help="The simulated day; 0 is the first.")]
Dataset = Annotated[
    list[str] | None,
    typer.Option(help=f"Of {', '.join(name for source in FILES for name in source.DATASETS)}; all when not given."),
]


@app.command()
def files(
    directory: Path,
    *,
    seed: Seed = 1,
    scale: Scale = 1.0,
    day: Day = 0,
    dataset: Dataset = None,
    faults: Annotated[bool, typer.Option(help="Break a few rows.")] = True,
    own_layout: Annotated[bool, typer.Option(help="The last closed year in the city's own published layout.")] = False,
) -> None:
    """Drop the files of a day below DIRECTORY: those of the financial system and of the statistical office."""
    if own_layout:
        written = [porvoo_layout.write(directory, seed=seed, scale=scale)]
    else:
        town = {"seed": seed, "scale": scale, "day": day, "faults": faults}
        if unknown := set(dataset or ()) - {name for source in FILES for name in source.DATASETS}:
            raise typer.BadParameter(f"no such dataset: {', '.join(sorted(unknown))}")
        written = [
            path
            for source in FILES
            for path in source.drop(directory, datasets=[n for n in source.DATASETS if n in (dataset or (n,))], **town)
        ]
    for path in written:
        typer.echo(path)


@app.command()
def hr(
    *,
    admin_url: Annotated[str, typer.Argument(envvar="CITYDATA_DATABASE_URL", help="A server's administrator.")],
    password: Annotated[str, typer.Option(envvar="SIMULATORS_HR_PASSWORD", prompt=True, hide_input=True)],
    seed: Seed = 1,
    scale: Scale = 1.0,
    day: Day = 0,
) -> None:
    """Create the HR system's database, or advance it to a day."""
    from simulators import hr_database  # noqa: PLC0415 - a command imports what it needs: the services must start at once

    try:
        hr_database.create(admin_url, password=password, seed=seed, scale=scale, day=day)
    except ValueError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    typer.echo(f"database {hr_database.DATABASE}, login {hr_database.READER}, day {day} or later")


@app.command()
def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    record: Annotated[Path | None, typer.Option(help="A file that gets the address when the services answer.")] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="The town's state file, read at each request; default: CITYDATA_HOME/simulation.json."),
    ] = None,
    faults: Annotated[float, typer.Option(min=0, max=1, help="The share of requests that something happens to.")] = 0.0,
) -> None:
    """Answer over HTTP on this machine as Sotkanet, a FHIR server and the geographic services, until stopped."""
    from simulators import web  # noqa: PLC0415

    home = os.environ.get("CITYDATA_HOME")
    town = web.TownOfFile(state or Path(home or ".") / "simulation.json")
    web.serve(town, port=port, record=record, faults=faults)


@app.command(name="ledger")
def write_ledger(
    path: Path,
    *,
    rows: Annotated[int, typer.Option(min=0)] = 1_000_000,
    seed: Seed = 1,
    shuffled: Annotated[bool, typer.Option(help="The same rows in another order.")] = False,
    changed_share: Annotated[float, typer.Option(min=0, max=1, help="The share of rows with another amount.")] = 0.0,
) -> None:
    """Write a ledger file for benchmarks to PATH."""
    from simulators import ledger  # noqa: PLC0415

    size = ledger.write(path, rows=rows, seed=seed, shuffled=shuffled, changed_share=changed_share)
    typer.echo(f"{path}: {rows} rows, {size} bytes")


if __name__ == "__main__":
    app(prog_name="python -m simulators")
