"""`./citydata server`: the services of a server, each in the foreground, and what they need before."""

import typer

from citydata.commands import invocation

app = typer.Typer(
    help="A server: what docker-compose.yml or a supervisor starts, instead of `up`.", no_args_is_help=True
)

Service = typer.Argument(metavar="SERVICE", help="api-server, scheduler, dag-processor, triggerer or worker.")


@app.command("secrets")
def secrets() -> None:
    """Print an environment file with a new server's secrets. Nothing is kept: redirect it, once, to a file outside the tree.

    The file is for its owner only (`umask 077`), and an older one is not to be replaced (`set -C`): what its keys closed
    only they open.
    """
    import stat
    from pathlib import Path

    from citydata.service import server
    from citydata.settings import ROOT

    target = Path("/proc/self/fd/1").resolve()  # where a shell has redirected the output to
    if ROOT in target.parents:
        invocation.fail(
            f"{target} is inside the checkout: secrets would end up in a commit or an image. Choose another place."
        )
    with invocation.explained():
        typer.echo(server.secrets(), nl=False)
    if target.is_file() and stat.S_IMODE(target.stat().st_mode) & 0o077:
        typer.echo(f"others may read {target}: chmod 600 {target}", err=True)


@app.command("prepare")
def prepare() -> None:
    """Bring the database to this version with its roles, make Airflow's database, administrator and pools.

    Before the services, at every start; again, it changes nothing. Only this needs an administrator's login in
    CITYDATA_DATABASE_URL.
    """
    from citydata.service import server

    with invocation.explained():
        server.prepare(typer.echo)


@app.command("api-server")
def api_server() -> None:
    """Airflow's UI and API, with the portal."""
    _start("api-server")


@app.command("scheduler")
def scheduler() -> None:
    """Airflow's scheduler; without a broker it runs the tasks too."""
    _start("scheduler")


@app.command("dag-processor")
def dag_processor() -> None:
    """What reads Airflow's DAG files."""
    _start("dag-processor")


@app.command("triggerer")
def triggerer() -> None:
    """What waits for deferred tasks."""
    _start("triggerer")


@app.command("worker")
def worker() -> None:
    """A Celery worker, which takes its tasks from CITYDATA_BROKER_URL."""
    _start("worker")


@app.command("health")
def health(service: str = Service) -> None:
    """Whether a service is well. Exit codes: 0 it is, 1 it is not."""
    from citydata.service import server

    if service not in server.SERVICES:
        raise typer.BadParameter(f"there is no service {service}; there are {', '.join(server.SERVICES)}")
    with invocation.explained():
        server.require_health(service)
    typer.echo(f"{service} is well")


def _start(service: str) -> None:
    from citydata.service import server

    with invocation.explained():
        server.start(service)
