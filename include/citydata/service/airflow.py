"""Airflow: configured by the environment only, its processes on this machine, and its REST API.

Nothing here imports Airflow: it runs as a command, and is asked over HTTP.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import requests

from citydata import schedule
from citydata.schedule import Pool
from citydata.service import broker
from citydata.service.postgres import is_free
from citydata.service.processes import Daemon
from citydata.service.state import write_private
from citydata.settings import ROOT

PREFERRED_PORT = 8080
ADMIN = "admin"
DATABASE = "airflow"
_PARALLEL_TASKS_PER_CORE = 4
_HEALTHY_SECONDS = 180
_TASK_SECONDS = 8.0
_COMPONENTS = ("scheduler", "dag-processor", "triggerer")
_WORKER = "airflow-worker-"
_PARALLEL_TASKS_BEYOND_ONE_MACHINE = 128
"""Of all workers together; each takes what its machine can do."""
_LONGEST_TASK_SECONDS = 24 * 3600
# Seconds for those that run no tasks. The triggerer has nothing to clean up, since no task here defers, and would take ten all the same.
_OTHERS = {"triggerer": 1.0, "dag-processor": 30.0, "api-server": 30.0}
_PRELOADED = ("psycopg", "sqlalchemy", "pyarrow.compute", "pyarrow.csv", "great_expectations")
"""Libraries that whoever forks the tasks imports once: Great Expectations alone takes five seconds in every audit. Only
libraries: what they do changes with the requirements, while the platform's own code is read anew by every task."""


class AirflowError(RuntimeError):
    """Airflow cannot be started or did not do what it was asked; the message says why and where to read on."""


class Airflow:
    """Airflow of the installation in `home`, on the PostgreSQL server of which `server` is an administrator's URL."""

    def __init__(self, home: Path, server: str) -> None:
        self.home = home
        self._server = server
        workers = [f"worker-{number}" for number in range(1, broker.own_workers() + 1)]
        self._daemons = {name: Daemon(f"airflow-{name}", home) for name in ("api-server", *_COMPONENTS, *workers)}

    @property
    def port(self) -> int:
        """Port of the UI and API: the preferred one or the next that was free, remembered."""
        remembered = self.home / "airflow" / "port"
        if remembered.exists():
            return int(remembered.read_text(encoding="ascii"))
        return int(os.environ.get("CITYDATA_AIRFLOW_PORT") or PREFERRED_PORT)

    @property
    def address(self) -> str:
        """Where the platform's own processes reach the API server."""
        scheme = "https" if os.environ.get("CITYDATA_AIRFLOW_SSL_CERT") else "http"
        return f"{scheme}://{os.environ.get('CITYDATA_AIRFLOW_NAME') or '127.0.0.1'}:{self.port}"

    @property
    def url(self) -> str:
        """Address of the UI and API for people."""
        return os.environ.get("CITYDATA_AIRFLOW_URL", "").rstrip("/") or self.address

    def is_running(self) -> bool:
        """Whether all its processes run."""
        return all(daemon.is_running() for daemon in self._daemons.values())

    def running(self) -> dict[str, bool]:
        """Each process and whether it runs."""
        return {daemon.name: daemon.is_running() for daemon in self._daemons.values()}

    def answering(self) -> dict[str, bool]:
        """Each process, wherever it runs, and whether the API says that it is well."""
        health = self.api().health()
        healthy = {name: health.get(name.replace("-", "_")) == "healthy" for name in _COMPONENTS}
        return {f"airflow-{name}": well for name, well in {"api-server": bool(health), **healthy}.items()}

    def start(self, report: Callable[[str], None] = lambda _: None) -> "Api":
        """Migrate the metadata, make the administrator, start what does not run, wait until all of it is healthy.

        What runs with the present settings is left alone; what runs with others is started again.

        Raises:
            AirflowError: with the end of the log that tells why.
            BrokerError: tasks are to be sent by a broker, and it does not answer.
        """
        if url := broker.address():
            broker.ask(url)
        (self.home / "airflow").mkdir(parents=True, exist_ok=True)
        self._choose_port()
        environment = self.environment()
        commands = {name: self.command(name) for name in self._daemons}
        stale = [name for name, daemon in self._daemons.items() if not daemon.is_running(commands[name], environment)]
        if stale:
            self.prepare(environment, report)
        for worker in self._surplus_workers():
            report(f"stopping {worker.name}")
            worker.stop(_TASK_SECONDS)
        for name in stale:
            report(f"starting Airflow's {name}")
            self._daemons[name].stop()
            self._daemons[name].start(commands[name], environment, self.home / "airflow")
        api = self.api()
        self._wait_until_healthy(api)
        api.ensure_pools(schedule.pools())
        return api

    def api(self) -> "Api":
        """Client of the running API."""
        return Api(self.address, os.environ.get("CITYDATA_AIRFLOW_ADMIN_PASSWORD", ""))

    def stop(self) -> list[str]:
        """End all its processes, the scheduler first so that nothing new begins. Return the names of those that ran.

        Running tasks get a few seconds: what is cut off is done again, and the tables end the same.
        """
        daemons = [*self._daemons.values(), *self._surplus_workers()]
        workers = [daemon for daemon in daemons if daemon.name.startswith(_WORKER)]
        others = [self._daemons[name] for name in _OTHERS]
        stopped = [self._daemons["scheduler"].stop(_TASK_SECONDS)]
        with ThreadPoolExecutor() as threads:
            stopped += threads.map(lambda worker: worker.stop(_TASK_SECONDS), workers)
            stopped += threads.map(Daemon.stop, others, _OTHERS.values())
        names = [self._daemons["scheduler"].name, *(daemon.name for daemon in (*workers, *others))]
        return [name for name, ran in zip(names, stopped, strict=True) if ran]

    def _surplus_workers(self) -> list[Daemon]:
        """Workers that run here from a time when there were to be more of them."""
        found = [Daemon(path.stem, self.home) for path in sorted((self.home / "run").glob(f"{_WORKER}*.json"))]
        return [daemon for daemon in found if daemon not in self._daemons.values()]

    def environment(self) -> dict[str, str]:
        """Environment of every Airflow process and so of every task: Airflow's settings and the platform's."""
        home = self.home / "airflow"
        binaries = Path(sys.executable).parent
        settings = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            **self._execution(),
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "AIRFLOW__CORE__FERNET_KEY": os.environ["CITYDATA_AIRFLOW_FERNET_KEY"],
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database_url(),
            # Airflow would take asyncpg, which nothing else here needs.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": self._database_url("postgresql+psycopg"),
            "AIRFLOW__API__HOST": os.environ.get("CITYDATA_AIRFLOW_LISTEN") or "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SSL_CERT": os.environ.get("CITYDATA_AIRFLOW_SSL_CERT", ""),
            "AIRFLOW__API__SSL_KEY": os.environ.get("CITYDATA_AIRFLOW_SSL_KEY", ""),
            "AIRFLOW__API__SECRET_KEY": os.environ["CITYDATA_AIRFLOW_SECRET_KEY"],
            "AIRFLOW__API_AUTH__JWT_SECRET": os.environ["CITYDATA_AIRFLOW_JWT_SECRET"],
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs" / "airflow"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.home / "logs" / "dag-processor"),
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            # A hundred lines about its own documentation at every import.
            "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "great_expectations=WARNING",
            # A killed task or scheduler is noticed within a minute, not within five.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            # Who forks the tasks keeps libraries loaded for them; when these change, `up` starts it anew.
            "CITYDATA_LOADED": _loaded(),
            "CITYDATA_PRELOADED": " ".join(_PRELOADED),
            # Nothing is told to anybody outside.
            "DO_NOT_TRACK": "1",
            "SCARF_ANALYTICS": "false",
            "GX_ANALYTICS_ENABLED": "False",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "include"), str(ROOT))),
            "PATH": os.pathsep.join((str(binaries), os.environ.get("PATH", os.defpath))),
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW_", "CITYDATA_AIRFLOW_", "CITYDATA_POSTGRES_", "CITYDATA_BROKER_"))
            or name.startswith("AIRFLOW_CONN_")
        }
        # Tasks log in as their step's role: where the database is they must know, its administrator they must not.
        warehouse = urlsplit(inherited["CITYDATA_DATABASE_URL"])
        address = urlunsplit(warehouse._replace(netloc=warehouse.netloc.rpartition("@")[2]))
        return {**inherited, **settings, "CITYDATA_DATABASE_URL": address}

    def _execution(self) -> dict[str, str]:
        """Who runs the tasks: the scheduler's own processes or, with a broker, Celery's workers."""
        here = _PARALLEL_TASKS_PER_CORE * min(os.cpu_count() or 1, 8)
        url = broker.address()
        if url is None:
            return {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__CORE__PARALLELISM": str(here)}
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(_PARALLEL_TASKS_BEYOND_ONE_MACHINE),
            # A worker may be killed with tasks that it had taken and not begun, of which there is no heartbeat: what waits
            # so long is sent again. It may wait for a free worker only, so that is done often before it counts as failed.
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "180",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "60",
            "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "200",
            "AIRFLOW__CELERY__BROKER_URL": url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{self._database_url()}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(max(2, here // max(1, broker.own_workers()))),
            # A worker takes no task that another could begin, and gives back what it had not ended.
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            "AIRFLOW__CELERY__TASK_ACKS_LATE": "True",
            # What a killed worker did not end, Airflow sends again when its heartbeat is missing. The broker does so only
            # after this time, in which every task has ended, and then Airflow refuses it.
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(_LONGEST_TASK_SECONDS),
            "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps({"imports": _PRELOADED}),
        }
        if url.startswith("rediss://"):
            authority = os.environ.get("SSL_CERT_FILE", "")
            settings |= {"AIRFLOW__CELERY__SSL_ACTIVE": "True", "AIRFLOW__CELERY__SSL_MUTUAL_TLS": "False"}
            settings |= {"AIRFLOW__CELERY__SSL_CACERT": authority} if authority else {}
        if port := os.environ.get("CITYDATA_WORKER_LOG_PORT"):
            settings |= {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": port}
        return settings

    def _database_url(self, driver: str = "postgresql+psycopg2") -> str:
        given = os.environ.get("CITYDATA_AIRFLOW_DATABASE_URL")
        parts = urlsplit(given or self._server)
        if given:
            return urlunsplit(parts._replace(scheme=driver))
        password = quote(os.environ["CITYDATA_AIRFLOW_DATABASE_PASSWORD"], safe="")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(scheme=driver, netloc=f"{DATABASE}:{password}@{host}", path=f"/{DATABASE}"))

    @staticmethod
    def command(service: str) -> list[str]:
        """What runs a service in the foreground: `worker`, or `worker-<number>` where there are several on one machine.

        The API server reads the logs from disk. Only a worker whose logs are elsewhere (CITYDATA_WORKER_LOG_PORT) serves them.
        """
        arguments = {
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "triggerer": ["triggerer", "--skip-serve-logs"],
        }
        kind, _, number = service.partition("-")
        if kind == "worker":
            unserved = number or not os.environ.get("CITYDATA_WORKER_LOG_PORT")
            name = f"{worker_name()}-{number}" if number else worker_name()
            arguments[service] = ["celery", "worker", *(["--skip-serve-logs"] if unserved else [])]
            arguments[service] += ["--celery-hostname", name]
        return [sys.executable, "-m", "airflow", *arguments.get(service, [service])]

    def _choose_port(self) -> None:
        if self._daemons["api-server"].is_running():
            return
        for port in range(self.port, self.port + 100):
            if is_free(port):
                (self.home / "airflow" / "port").write_text(str(port), encoding="ascii")
                return
        raise AirflowError(f"No free port from {self.port} on 127.0.0.1 for Airflow; set CITYDATA_AIRFLOW_PORT.")

    def prepare(self, environment: Mapping[str, str], report: Callable[[str], None]) -> None:
        """Make Airflow's database, bring it to this version, make the administrator; what is there stays as it is.

        Raises:
            AirflowError: with the end of what Airflow said.
        """
        import psycopg  # noqa: PLC0415  # only a start needs it
        from psycopg import sql  # noqa: PLC0415

        if not os.environ.get("CITYDATA_AIRFLOW_DATABASE_URL"):
            with psycopg.connect(self._server, autocommit=True) as connection:
                role, password = sql.Identifier(DATABASE), os.environ["CITYDATA_AIRFLOW_DATABASE_PASSWORD"]
                exists = connection.execute("select 1 from pg_roles where rolname = %s", (DATABASE,)).fetchone()
                verb = sql.SQL("alter" if exists else "create")
                # The verifier is computed here, so that the password itself reaches neither a log nor the server.
                verifier = connection.pgconn.encrypt_password(password.encode(), DATABASE.encode(), b"scram-sha-256")
                connection.execute(
                    sql.SQL("{} role {} login password {}").format(verb, role, sql.Literal(verifier.decode()))
                )
                if not connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
                    connection.execute(sql.SQL("grant {} to current_user").format(role))
                    connection.execute(sql.SQL("create database {0} owner {0}").format(role))
                    connection.execute(sql.SQL("revoke connect on database {} from public").format(role))
        if self._is_migrated():
            return
        report("preparing Airflow's database")
        self._run(environment, ["db", "migrate"])
        password = os.environ["CITYDATA_AIRFLOW_ADMIN_PASSWORD"]
        self._run(
            environment,
            [
                *("users", "create", "--username", ADMIN, "--role", "Admin", "--firstname", "Platform"),
                *("--lastname", "Administrator", "--email", "admin@localhost"),
            ],
            # Typed, as at a prompt: arguments of a process are there for everybody to read.
            typed=f"{password}\n{password}\n",
        )
        write_private(self.home / "airflow" / "migrated", self._migration_stamp())

    def make_pools(self, environment: Mapping[str, str]) -> None:
        """What `Api.ensure_pools` does, before an API server runs."""
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "pools.json"
            self._run(environment, ["pools", "export", str(file)])
            present = json.loads(file.read_text(encoding="utf-8"))
            missing = {
                pool.name: {"slots": pool.slots, "description": pool.description, "include_deferred": False}
                for pool in schedule.pools()
                if pool.name not in present
            }
            if missing:
                file.write_text(json.dumps(missing), encoding="utf-8")
                self._run(environment, ["pools", "import", str(file)])

    def _migration_stamp(self) -> str:
        return "\n".join([(ROOT / "requirements.txt").read_text(encoding="utf-8"), self._database_url()])

    def _is_migrated(self) -> bool:
        import psycopg  # noqa: PLC0415

        stamp = self.home / "airflow" / "migrated"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != self._migration_stamp():
            return False
        with psycopg.connect(self._database_url("postgresql")) as connection:
            row = connection.execute("select to_regclass('ab_user') is not null").fetchone()
            return bool(row and row[0])

    def _run(self, environment: Mapping[str, str], arguments: list[str], typed: str = "") -> None:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=dict(environment),
            cwd=self.home / "airflow",
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # no terminal to ask for a password
        )
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()[-15:]
            raise AirflowError(f"`airflow {' '.join(arguments[:2])}` failed:\n" + "\n".join(lines))

    def _wait_until_healthy(self, api: "Api") -> None:
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while True:
            health = api.health()
            wanting = [name for name in _COMPONENTS if health.get(name.replace("-", "_")) != "healthy"]
            if health and not wanting:
                return
            for daemon in self._daemons.values():
                if not daemon.is_running():
                    raise AirflowError(
                        f"{daemon.name} ended. The end of {daemon.log}:\n{daemon.tail()}\n"
                        "See `./citydata doctor`, then `./citydata up` again."
                    )
            if time.monotonic() > deadline:
                daemon = self._daemons[wanting[0] if health else "api-server"]
                raise AirflowError(
                    f"{daemon.name} is not healthy after {_HEALTHY_SECONDS} s. "
                    f"The end of {daemon.log}:\n{daemon.tail()}"
                )
            time.sleep(0.5)


class Api:
    """Airflow's REST API v2 as the administrator."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self._password = password
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business between us and our own server
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True

    def health(self) -> dict[str, str]:
        """Status of each component; empty when the API does not answer."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10)
            answer.raise_for_status()
            return {name: state["status"] for name, state in answer.json().items() if state.get("status")}
        except (requests.RequestException, ValueError):
            return {}

    def dags(self) -> list[str]:
        """Names of the DAGs that Airflow knows."""
        return [dag["dag_id"] for dag in self._get("dags", limit=100)["dags"]]

    def import_errors(self) -> dict[str, str]:
        """DAG files that could not be read, and the last line of each reason."""
        errors = self._get("importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"].strip().splitlines()[-1] for error in errors}

    def wait_for_dags(self, names: list[str], seconds: float = 120) -> None:
        """Wait until the DAG processor has read all `names`.

        Raises:
            AirflowError: they did not appear; with the import errors, which are the usual reason.
        """
        deadline = time.monotonic() + seconds
        while missing := sorted(set(names) - set(self.dags())):
            if time.monotonic() > deadline:
                errors = "".join(f"\n  {file}: {reason}" for file, reason in self.import_errors().items())
                raise AirflowError(
                    f"Airflow does not know the DAGs {', '.join(missing)} after {seconds:.0f} s.{errors}"
                )
            time.sleep(1)

    def ensure_pools(self, pools: Iterable[Pool]) -> list[str]:
        """Make the pools that are missing, and return their names; the size of those that are there is the administrator's."""
        present = {pool["name"] for pool in self._get("pools", limit=100)["pools"]}
        missing = [pool for pool in pools if pool.name not in present]
        for pool in missing:
            body = {"name": pool.name, "slots": pool.slots, "description": pool.description}
            self._request("POST", "pools", json={**body, "include_deferred": False})
        return [pool.name for pool in missing]

    def trigger(self, dag: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of `dag` now and return its run id."""
        return self._request("POST", f"dags/{dag}/dagRuns", json={"logical_date": None, "conf": dict(conf or {})})[
            "dag_run_id"
        ]

    def runs(self, dag: str, limit: int = 10) -> list[dict[str, Any]]:
        """Latest runs of `dag`, newest first."""
        return self._get(f"dags/{dag}/dagRuns", order_by="-run_after", limit=limit)["dag_runs"]

    def run(self, dag: str, run: str) -> dict[str, Any]:
        """One run of `dag`."""
        return self._get(f"dags/{dag}/dagRuns/{quote(run, safe='')}")

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """Task instances of one run."""
        return self._get(f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances", limit=100)["task_instances"]

    def _get(self, path: str, **parameters: Any) -> Any:
        return self._request("GET", path, params=parameters)

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            if "Authorization" not in self._session.headers:
                self._log_in()
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **arguments)
            if answer.status_code == 401:  # the token lives a day; a server that was set up anew refuses it earlier
                self._log_in()
                answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **arguments)
        except requests.RequestException as error:
            raise AirflowError(
                f"Airflow does not answer at {self.url} ({type(error).__name__}); see `./citydata status`."
            ) from error
        if not answer.ok:
            raise AirflowError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def _log_in(self) -> None:
        answer = self._session.post(
            f"{self.url}/auth/token", json={"username": ADMIN, "password": self._password}, timeout=30
        )
        if not answer.ok:
            raise AirflowError(f"Airflow does not accept the login {ADMIN} ({answer.status_code}) at {self.url}.")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def worker_name() -> str:
    """Name of a worker on this machine or in this container, by which it is asked whether it lives."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


def _loaded() -> str:
    """Digest of what long-lived processes load once: the installed packages, the plugins, and the portal with what it shows."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    package = ROOT / "include" / "citydata"
    for folder in (ROOT / "plugins", package / "portal", package / "governance"):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
