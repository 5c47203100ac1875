"""The command line: `./citydata up`, `status`, `run` and the rest.

Exit codes: 0 done and well; 1 failure; 2 wrong usage; 3 done, but something is held, late or stale and waits for a
person; 130 interrupted.
"""

import signal
from collections.abc import Callable

import typer

from citydata.commands import (
    access,
    backfill,
    batch,
    contract,
    docs,
    export,
    governance,
    new,
    proof,
    quarantine,
    server,
    servers,
    steps,
)

EXIT_CODES = "Exit codes: 0 well, 1 failure, 2 wrong usage, 3 something is held, late or stale, 130 interrupted."

app = typer.Typer(
    name="citydata",
    help=f"The city's data platform.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # values of rows must not reach a screen or a log
    add_completion=False,
)

COMMANDS: tuple[Callable[..., None], ...] = (
    *(servers.up, servers.status, servers.down, servers.reset, servers.doctor, servers.simulate),
    *(new.new, steps.run, steps.deploy, proof.check, proof.licences, docs.docs),
)
for command in COMMANDS:
    app.command()(command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(
    proof.test
)
for name, group in {
    "batch": batch.app,
    "contract": contract.app,
    "backfill": backfill.app,
    "quarantine": quarantine.app,
    "governance": governance.app,
    "export": export.app,
    "access": access.app,
    "server": server.app,
}.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point: errors that the platform foresees become one sentence and exit code 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a supervisor as by Ctrl-C
    try:
        app(prog_name="./citydata")
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
