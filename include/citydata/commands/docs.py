"""`./citydata docs`: the documentation as a site."""

from pathlib import Path
from typing import Annotated

import typer

from citydata.commands import invocation


def docs(
    build: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Only write the site there, for a web server of your own.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where to serve it on this machine; the next free one when taken.")
    ] = 8300,
    check_links: Annotated[
        bool, typer.Option("--check-links", help="Also ask every address on the internet whether it is there.")
    ] = False,
) -> None:
    """Build the documentation and serve it on this machine until Ctrl-C: tutorials, how-to, reference, explanation, runbooks.

    The reference is made from contracts, models and the commands themselves. Links within the site are checked by each build.

    Exit codes: 0 built, 1 a page has a mistake, 130 stopped.
    """
    from citydata.documentation import site
    from citydata.service.installation import Installation

    with invocation.explained():
        state = Installation().home / "documentation"
        directory = site.build(state, build.resolve() if build else None, report=_progress)
        if check_links:
            site.check_links(state, report=_progress)
        if build:
            typer.echo(f"{directory}/index.html")
            return
        server = site.serve(directory, port)
    typer.echo(f"http://127.0.0.1:{server.server_port}/   (Ctrl-C ends it)")
    with server:
        server.serve_forever()


def _progress(line: str) -> None:
    typer.echo(line, err=True)
