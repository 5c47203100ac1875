"""A platform of its own on the real scheduler, with tree, ports and state apart, started as a user starts it."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from citydata import database, schedule, settings
from citydata.service import progress
from citydata.service.airflow import Api
from citydata.service.installation import WAREHOUSE, Installation

POSTGRES_PORT, AIRFLOW_PORT, SOURCES_PORT = 57432, 58080, 58480
SCALE = 0.1
FINISHED = ("success", "failed")


@dataclass(frozen=True)
class Outcome:
    """What `./citydata up` said of its work."""

    failures: list[dict[str, Any]]
    held: list[str]
    share: dict[str, Any] | None


@dataclass
class Platform:
    """A running platform. `tree` is its own copy of the checkout, `environment` what a user of it has set."""

    installation: Installation
    tree: Path
    environment: dict[str, str]
    outcome: Outcome
    alerts: list[dict[str, Any]]
    """What the webhook of alerts received."""

    def typed(self, script: str) -> subprocess.CompletedProcess[str]:
        """What lines typed into a shell in the tree say."""
        return subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=self.tree,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def api(self) -> Api:
        """Airflow's API."""
        return self.installation.airflow.api()

    def query(self, statement: str, database_name: str = WAREHOUSE) -> list[tuple[Any, ...]]:
        """Ask a database as the administrator."""
        with psycopg.connect(self.installation.cluster.url(database_name), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def finish(self, dag: str, run: str, seconds: float = 120) -> str:
        """Wait until a run has ended; returns its state."""
        self.wait(lambda: self.api.run(dag, run)["state"] in FINISHED, f"{dag} {run} to end", seconds)
        return self.api.run(dag, run)["state"]

    def states(self, dag: str, run: str) -> dict[str, str]:
        """State of each task of a run."""
        return {task["task_id"]: task["state"] for task in self.api.tasks(dag, run)}

    def events(self) -> list[dict[str, Any]]:
        """All asset events of datasets: those of releases aside."""
        events = self.api._get("assets/events", limit=200)["asset_events"]
        return [event for event in events if event["uri"] != schedule.RELEASE_ASSET]

    def page(self, path: str, *, method: str = "GET", signed_in: bool = True) -> requests.Response:
        """A page of the portal, in Airflow's API server, for the administrator or for nobody known."""
        headers = dict(self.api_session_headers()) if signed_in else {}
        url = f"{self.installation.airflow.url}/governance/{path}"
        return requests.request(method, url, headers=headers, timeout=60, allow_redirects=False)

    def api_session_headers(self) -> dict[str, str]:
        """What Airflow's API knows the administrator by."""
        api = self.api
        api.dags()
        return {"Authorization": str(api._session.headers["Authorization"])}

    def at_work(self, dag: str) -> bool:
        """Whether a run of it goes on."""
        return any(run["state"] not in FINISHED for run in self.api.runs(dag))

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 120) -> None:
        """Wait for a condition. Fails when it does not come about."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.5)

    def wait_for_quiet(self) -> None:
        """Wait until everything that changed is released, no build runs and none is due.

        A bell that rings while a build runs makes a build of its own only after that one.
        """

        def quiet() -> bool:
            with database.connect("engineer", autocommit=True) as connection:
                unreleased = progress.unreleased(connection)
            [(due,)] = self.query("SELECT count(*) FROM asset_dag_run_queue", "airflow")
            return not (unreleased or due or self.at_work("build_warehouse"))

        self.wait(quiet, "the release")


@contextlib.contextmanager
def started(manifest: str | None = None) -> Iterator[Platform]:
    """Bring a platform up, and leave neither process nor file behind. The environment is as before afterwards.

    It runs from a copy of the checkout, which a test may change. With CITYDATA_KEEP_E2E copy and state stay.
    """
    before = dict(os.environ)
    directory = Path(tempfile.mkdtemp(prefix="citydata-e2e-"))
    directory.chmod(0o711)  # the system user of PostgreSQL passes through
    for name in [name for name in os.environ if name.startswith("CITYDATA_") and name != "CITYDATA_REAL_DATA"]:
        del os.environ[name]
    installation = None
    try:
        with _webhook() as (address, alerts):
            os.environ |= {
                "CITYDATA_HOME": str(directory / "home"),
                "CITYDATA_POSTGRES_PORT": str(POSTGRES_PORT),
                "CITYDATA_AIRFLOW_PORT": str(AIRFLOW_PORT),
                "CITYDATA_SOURCES_PORT": str(SOURCES_PORT),
                "CITYDATA_RETRY_SECONDS": "4",
                "CITYDATA_ALERT_WEBHOOK": address,
            }
            environment = os.environ | {"HOME": str(directory)}
            tree = _copied(directory / "tree")
            installation = Installation()
            outcome = _up(tree, environment, manifest)
            installation.enter()
            yield Platform(installation, tree, environment, outcome, alerts)
    finally:
        if installation:
            installation.stop()
        keep = before.get("CITYDATA_KEEP_E2E")
        if not keep:
            shutil.rmtree(directory)
        os.environ.clear()
        os.environ.update(before)


def _copied(tree: Path) -> Path:
    """A copy of the checkout as it is, with what is not committed yet; the environment is the checkout's."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        source = settings.ROOT / name
        if name and source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)
    (tree / ".venv").symlink_to(settings.ROOT / ".venv")
    return tree


def _up(tree: Path, environment: dict[str, str], manifest: str | None) -> Outcome:
    command = ["./citydata", "up", "--json", "--scale", str(SCALE), *(["--input", manifest] if manifest else [])]
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    try:
        said = json.loads(done.stdout)
    except json.JSONDecodeError:
        pytest.fail(f"./citydata up ended with {done.returncode} and no document; its progress is above")
    held = [item["dataset"] for item in said["datasets"] if item["step"] == "held"]
    return Outcome(said["failures"], held, said["share"])


@contextlib.contextmanager
def _webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()
