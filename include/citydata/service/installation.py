"""One installation: state directory, database server, Airflow; what is started, stopped and removed together."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from citydata import contract
from citydata.service import state
from citydata.service.airflow import Airflow
from citydata.service.postgres import PREFERRED_PORT, Cluster
from citydata.service.sources import Sources
from citydata.settings import ROOT
from simulators import SERVICES

WAREHOUSE = "citydata"


class InstallationError(RuntimeError):
    """What was asked cannot be done to this installation; the message says why and what to do."""


class Installation:
    """The installation of this checkout, or the one that `CITYDATA_HOME` names."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or state.home()
        if self.home == ROOT or ROOT in self.home.parents:
            raise InstallationError(
                f"CITYDATA_HOME is {self.home}, inside the checkout: data and secrets would end up in a commit. "
                "Choose a directory outside."
            )
        self.external = bool(os.environ.get("CITYDATA_DATABASE_URL"))
        """Whether the warehouse is on a server of somebody else's."""
        self.served = bool(os.environ.get("CITYDATA_AIRFLOW_URL"))
        """Whether this is a server, whose services somebody else starts (`./citydata server …`): nothing is synthetic there."""
        simulated = {name for name in contract.connections() if not os.environ.get(f"CITYDATA_SOURCE_{name.upper()}")}
        self.simulates_hr = not self.served and "hr" in simulated
        """Whether the HR system is the synthetic one."""
        self.simulated_services = {
            name: path for name, path in SERVICES.items() if not self.served and name in simulated
        }
        """Connections of services that are the synthetic ones, and their paths."""
        self.sources = Sources(self.home)
        self.cluster = Cluster(
            self.home / "postgres", port=int(os.environ.get("CITYDATA_POSTGRES_PORT") or PREFERRED_PORT)
        )

    @property
    def exists(self) -> bool:
        """Whether `up` has been here."""
        return (self.home / "secrets.env").exists()

    def enter(self) -> None:
        """Put location, secrets and addresses of the installation into this process's environment."""
        if not self.exists:
            return
        state.enter(self.home)
        if self.cluster.is_running():
            self._addresses()
        if self.sources.is_running():
            self._service_addresses()

    def make(self) -> None:
        """Make the state directory and its secrets, what is missing of them, and enter it."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.exists:
            self.home.chmod(0o711)  # the system user of PostgreSQL passes through, nobody looks around
        state.make_secrets(self.home)
        state.enter(self.home)

    @property
    def needs_cluster(self) -> bool:
        """Whether our own PostgreSQL is needed: for the warehouse, or for the synthetic HR system beside it."""
        return not self.external or self.simulates_hr

    def start_database(self) -> None:
        """Start our own PostgreSQL when it is needed and does not run, and take note of its addresses."""
        if not self.needs_cluster:
            return
        self.cluster.start()
        self.cluster.ensure_database(WAREHOUSE)
        self._addresses()

    def _addresses(self) -> None:
        os.environ.setdefault("CITYDATA_DATABASE_URL", self.cluster.url(WAREHOUSE))
        if self.simulates_hr:
            from simulators import hr_database  # noqa: PLC0415  # the city's HR system, when there is no other

            login = f"{hr_database.READER}:{os.environ['CITYDATA_SOURCE_HR_PASSWORD']}"
            os.environ["CITYDATA_SOURCE_HR"] = (
                f"postgresql://{login}@127.0.0.1:{self.cluster.port}/{hr_database.DATABASE}"
            )

    def start_sources(self) -> None:
        """Start the synthetic services that are needed and do not run, and take note of their addresses."""
        if self.simulated_services:
            self.sources.start()
            self._service_addresses()

    def _service_addresses(self) -> None:
        for name, path in self.simulated_services.items():
            os.environ[f"CITYDATA_SOURCE_{name.upper()}"] = self.sources.address + path

    @property
    def airflow(self) -> Airflow:
        """Airflow of the installation; its metadata is on the server that the warehouse is on."""
        return Airflow(self.home, os.environ.get("CITYDATA_DATABASE_URL", ""))

    def stop(self) -> list[str]:
        """Stop everything that was started; return the names of what ran."""
        stopped = self.airflow.stop()
        if self.sources.stop():
            stopped.append(self.sources.name)
        if self.cluster.is_running():
            stopped.append("postgresql")
        self.cluster.stop()
        return stopped

    def remove(self) -> None:
        """Stop everything and delete the state directory with all data, archives and secrets in it."""
        if not self.exists:
            raise InstallationError(f"There is no installation in {self.home}.")
        self.stop()
        shutil.rmtree(self.home)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second `up`, `down` or `reset` of this installation out.

        Raises:
            InstallationError: one of them is at work, or this is a server.
        """
        if self.served:
            raise InstallationError(
                "CITYDATA_AIRFLOW_URL says that this is a server: whoever started its services starts and stops them, "
                "for instance `docker compose up` and `down`. See docs/how-to/install-on-a-server.md."
            )
        path = self.home.with_name(self.home.name + ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InstallationError(
                    f"Another ./citydata is starting or stopping the installation in {self.home}; wait for it."
                ) from None
            yield


def port_of(url: str) -> str:
    """`host:port` of an address, for people."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}"
