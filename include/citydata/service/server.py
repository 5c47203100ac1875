"""A server: PostgreSQL and Airflow's services are started by somebody else, such as docker-compose.yml at the top.

What each of them is given is `Airflow.environment()`, as on a laptop. The administrator's login is for `prepare` alone.
"""

import os
from collections.abc import Callable
from typing import NoReturn

from citydata import database, deploy, settings
from citydata.service import broker, state
from citydata.service.airflow import Airflow, worker_name

SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
NEEDED = {  # by every service
    "CITYDATA_AIRFLOW_FERNET_KEY": "the key of what Airflow keeps encrypted",
    "CITYDATA_AIRFLOW_SECRET_KEY": "the key of Airflow's sessions",
    "CITYDATA_AIRFLOW_JWT_SECRET": "the key by which Airflow's services know each other",
    "CITYDATA_DATABASE_URL": "the address of the platform's database",
}


class ServerError(RuntimeError):
    """A service cannot be started or is not well; the message says why."""


def secrets() -> str:
    """An environment file with every secret of a new server, generated now and kept nowhere."""
    lines = [f"{name}={make()}" for name, make in state.server_generators().items()]
    return "\n".join(["# Keep a copy apart from the data: without it archives and pseudonyms are lost.", *lines, ""])


def prepare(report: Callable[[str], None]) -> None:
    """Bring the database to this version with its roles, make Airflow's database, administrator and pools.

    Needs an administrator's login in CITYDATA_DATABASE_URL. Again, it changes nothing.
    """
    airflow, environment = _airflow()
    settings.required("CITYDATA_AIRFLOW_ADMIN_PASSWORD", "the password of Airflow's administrator")
    for role in database.STEP_ROLES:
        database.password(role)
    report("bringing the database to this version")
    for change in deploy.deploy():
        report(f"  {change}")
    airflow.prepare(environment, report)
    report("making the pools of the source systems")
    airflow.make_pools(environment)


def start(service: str) -> NoReturn:
    """Become the service, in the foreground.

    Raises:
        ServerError: it lacks a setting without which it would only seem to work.
    """
    if service == "worker" and not broker.address():
        raise ServerError(
            "A worker takes its tasks from the broker, and CITYDATA_BROKER_URL is not set. With docker-compose.yml write "
            "COMPOSE_PROFILES=scale-out into the environment file."
        )
    if service == "worker" and not os.environ.get("CITYDATA_ARCHIVE"):
        raise ServerError(
            "A worker reads what another has sealed, and CITYDATA_ARCHIVE is not set: name a place on object storage "
            "(s3://bucket/prefix), or a directory that all workers share. With docker-compose.yml it stands in tasks.env."
        )
    airflow, environment = _airflow()
    os.chdir(environment["AIRFLOW_HOME"])
    command = airflow.command(service)
    os.execve(command[0], command, environment)  # noqa: S606  # no shell is wanted


def require_health(service: str) -> None:
    """Return when the service is well: the worker of this container by the broker, all others by Airflow's API.

    Raises:
        ServerError: it is not, or nobody answers.
        BrokerError: the broker does not answer.
    """
    if service == "worker":
        node = f"celery@{worker_name()}"
        if node not in broker.workers(settings.required("CITYDATA_BROKER_URL", "the address of the broker")):
            raise ServerError(f"{node} does not answer.")
    elif not Airflow(state.home(), database.admin_url()).answering()[f"airflow-{service}"]:
        raise ServerError(f"Airflow's API does not say that {service} is well.")


def _airflow() -> tuple[Airflow, dict[str, str]]:
    for name, purpose in NEEDED.items():
        settings.required(name, purpose)
    if not os.environ.get("CITYDATA_AIRFLOW_DATABASE_URL"):
        settings.required("CITYDATA_AIRFLOW_DATABASE_PASSWORD", "the password of the login of Airflow's database")
    home = state.enter()
    airflow = Airflow(home, database.admin_url())
    return airflow, airflow.environment()
