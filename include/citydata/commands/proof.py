"""Check the descriptions and the licences, and run the tests."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from citydata.commands import invocation
from citydata.commands.invocation import Json
from citydata.settings import ROOT

BESIDE = (
    ("tests/end_to_end", "tests/integration/recovery", "tests/integration/test_ten_days.py"),  # which mostly wait
    ("tests/unit", "tests/documentation"),
)


def test(context: typer.Context) -> None:
    """Run the tests; arguments go to pytest, paths are relative to the repository.

    Without arguments three parts run beside each other: the long ones, those without a database, and the others, which are
    shown as they go. What the first two say comes last.
    """
    # The tests make databases of their own: what this machine's installation is called must not reach them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CITYDATA_", "AIRFLOW_"))}
    if "CITYDATA_REAL_DATA" in os.environ:
        environment["CITYDATA_REAL_DATA"] = os.environ["CITYDATA_REAL_DATA"]
    command = [sys.executable, "-m", "pytest"]
    if context.args:
        raise typer.Exit(subprocess.run([*command, *context.args], cwd=ROOT, env=environment, check=False).returncode)
    with contextlib.ExitStack() as parts:
        beside = []
        for paths in BESIDE:
            said = parts.enter_context(tempfile.TemporaryFile())
            apart = [*command, "-p", "no:cacheprovider", *paths]
            part = subprocess.Popen(apart, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT)
            beside.append((parts.enter_context(part), said))
        others = [*command, *(f"--ignore={path}" for paths in BESIDE for path in paths)]
        codes = [subprocess.run(others, cwd=ROOT, env=environment, check=False).returncode]
        for part, said in beside:
            codes.append(part.wait())
            said.seek(0)
            typer.echo(said.read().decode(errors="replace"))
    raise typer.Exit(next((code for code in codes if code), 0))


def check(json_: Json = False) -> None:
    """Check contracts, suites, lineage and drift, without a database. CI's gate.

    Exit codes: 0 all is well, 1 something is wrong.
    """
    from citydata.check import left_out, problems

    with invocation.explained():  # without a town nothing else can be read
        found, unused = problems(), left_out()
    if json_:
        invocation.print_json(found)
    else:
        for problem in found:
            typer.secho(problem, fg="red")
        for text in unused:
            typer.echo(text)
        typer.echo(f"{len(found)} problems" if found else "contracts, suites, lineage and inventory are well")
    raise typer.Exit(int(bool(found)))


def licences(
    directory: Annotated[
        Path | None, typer.Option(help="Where to write them. [default: export/licences in CITYDATA_HOME]")
    ] = None,
) -> None:
    """Write what the platform is made of: a bill of materials (CycloneDX) and the licence of each package.

    Exit codes: 0 every licence is one that include/licences.yaml allows, 1 some is not.
    """
    from citydata import licences
    from citydata.service import state

    with invocation.explained():
        written, packages = licences.write(directory or state.home() / "export" / "licences")
    for path in written:
        typer.echo(path)
    refused = [f"{one.name} {one.version}: {one.problem}" for one in packages if one.problem]
    for problem in refused:
        typer.secho(problem, fg="red", err=True)
    if refused:
        invocation.fail(
            "Read the licence; then allow it in include/licences.yaml, with a reason, or remove the package."
        )
