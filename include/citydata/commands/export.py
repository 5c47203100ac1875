"""`./citydata export`: files for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from citydata.commands import invocation

app = typer.Typer(help="Files for other programs.", no_args_is_help=True)


@app.command("geopackage")
def geopackage(
    directory: Annotated[
        Path | None, typer.Option(help="Where to write them. [default: export/gis in CITYDATA_HOME]")
    ] = None,
) -> None:
    """Write the buildings of the mart as GeoPackage, in ETRS-TM35FIN and in the town's local projection.

    A build that changes them writes the files in CITYDATA_HOME by itself.
    """
    from citydata import geopackage

    invocation.installation()
    with invocation.explained():
        for path in geopackage.export(directory):
            typer.echo(path)
