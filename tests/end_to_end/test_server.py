"""A server as docker-compose.yml describes it, with the profile scale-out, for another town than the one of the checkout.

Without a container engine the file is played in plain directories: the image's tree, its commands with their environment as a user
who is not root, PostgreSQL, Redis and an object storage of this machine, two workers. With an engine it is built and started as well.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import psycopg
import pytest
import requests

from citydata import schedule
from citydata.service import inputs, progress, state
from citydata.settings import ROOT
from simulators import finance_files
from tests import containers
from tests.conftest import REAL_DATA
from tests.end_to_end import composed_server
from tests.end_to_end.composed_server import Server
from tests.object_storage import BUCKET
from tests.towns import paimio_marts

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]

INSIDE = "/etc/citydata/town"
SETTINGS = {
    "CITYDATA_TOWN_DIRECTORY": str(paimio_marts.HERE),
    **{name: value.replace(str(paimio_marts.HERE), INSIDE) for name, value in paimio_marts.ENVIRONMENT.items()},
}
MANIFEST = paimio_marts.MANIFEST if REAL_DATA.is_dir() else None
EXTRACT = "extract_finance"
SERVICES = {"api-server", "scheduler", "dag-processor", "triggerer", "worker-1", "worker-2"}
WITH_TASKS = {"scheduler", "worker-1", "worker-2"}
SECONDS = 240
SIGN = """
from citydata import database
from simulators import officer
with database.connect("officer", autocommit=True) as connection:
    officer.sign(connection, database.now(connection))
"""
"""What the town's officer, who is synthetic, does before the measurement."""
ENGINE_SECONDS = 1800


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that has read its town's files once, released and measured."""
    with composed_server.started(SETTINGS, {INSIDE: paimio_marts.HERE}) as running:
        drop = running.volume("drop")
        if MANIFEST:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CITYDATA_REAL_DATA", str(REAL_DATA))
                for dataset, file in inputs.read(MANIFEST).items():
                    inputs.drop(dataset, file, drop)
        else:
            finance_files.drop(drop, seed=1, scale=0.1, day=0)
        signed = running.containers["scheduler"].execute("env", "PYTHONPATH=include", ".venv/bin/python", "-c", SIGN)
        assert signed.returncode == 0, signed.stderr
        api = running.api
        api.wait_for_dags([EXTRACT, schedule.BUILD_DAG, schedule.MEASURE_DAG])
        run = api.trigger(EXTRACT)
        running.wait(lambda: api.run(EXTRACT, run)["state"] in ("success", "failed"), EXTRACT, SECONDS)
        assert api.run(EXTRACT, run)["state"] == "success", _failed(running)
        running.wait(lambda: _is_measured(running) or _failed(running), "the measured release", SECONDS)
        assert not _failed(running)
        yield running


def _is_measured(server: Server) -> bool:
    with psycopg.connect(server.cluster.url("citydata"), autocommit=True) as connection:
        return (
            progress.has_release(connection)
            and not progress.unreleased(connection)
            and progress.is_measured(connection)
        )


def _failed(server: Server) -> list[tuple[str, ...]]:
    return server.query("SELECT dag_id, task_id FROM task_instance WHERE state = 'failed'", "airflow")


def test_the_towns_files_are_in_its_marts(server: Server) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_REAL_DATA", str(REAL_DATA))
        paimio_marts.check_marts(server.query, MANIFEST, server.volume("drop"))


def test_both_workers_did_the_work_and_the_scheduler_none(server: Server) -> None:
    def tasks(name: str) -> int:
        return len(re.findall(r"Task \S+\[[\w-]+\] succeeded", server.containers[name].log.read_text(errors="replace")))

    for _ in range(3):  # who is free takes a task; that one of two is always slower would be a strange accident
        if tasks("worker-1") and tasks("worker-2"):
            break
        run = server.api.trigger(EXTRACT)
        server.wait(lambda run=run: server.api.run(EXTRACT, run)["state"] == "success", EXTRACT, SECONDS)
    assert tasks("worker-1") > 0
    assert tasks("worker-2") > 0
    [(ended,)] = server.query("SELECT count(*) FROM task_instance WHERE state = 'success'", "airflow")
    assert ended >= 9, "four datasets are read, audited together and published"
    # A task has said that it is done a moment before its worker does.
    server.wait(lambda: tasks("worker-1") + tasks("worker-2") >= ended, "the workers' logs", 30)


def test_archives_are_on_the_object_storage_and_nowhere_else(server: Server) -> None:
    storage = server.storage.environment
    client = boto3.client(
        "s3",
        endpoint_url=storage["AWS_ENDPOINT_URL"],
        aws_access_key_id=storage["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=storage["AWS_SECRET_ACCESS_KEY"],
        region_name=storage["AWS_DEFAULT_REGION"],
    )
    kept = {entry["Key"].removeprefix("town/") for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    sealed = {path for (path,) in server.query("SELECT archive_path FROM ops.batch WHERE archive_path IS NOT NULL")}
    assert sealed
    assert kept == sealed
    assert list(server.volume("archive").iterdir()) == []


def test_every_service_says_that_it_is_well(server: Server) -> None:
    assert set(server.containers) == SERVICES | {"prepare"}
    for name in SERVICES:
        assert server.containers[name].is_healthy(), name


def test_commands_work_in_a_container_and_leave_its_services_alone(server: Server) -> None:
    scheduler = server.containers["scheduler"]
    said = json.loads(scheduler.execute("./citydata", "status", "--json").stdout)
    assert set(said["services"]) >= {
        f"airflow-{name}" for name in ("api-server", "scheduler", "dag-processor", "triggerer")
    }
    assert all(said["services"].values())
    assert [finding for finding in said["findings"] if finding["kind"] == "failed"] == []
    assert said["addresses"]["airflow"] == server.address
    doctor = json.loads(scheduler.execute("./citydata", "doctor", "--json").stdout)
    assert [check for check in doctor if check["outcome"] == "problem"] == []
    ran = scheduler.execute("./citydata", "run", "finance.accounts")
    assert ran.returncode == 0, ran.stderr
    listed = json.loads(scheduler.execute("./citydata", "batch", "list", "--json").stdout)
    assert {batch["dataset"].partition(".")[0] for batch in listed} == {"finance"}
    refused = scheduler.execute("./citydata", "down")
    assert refused.returncode == 1
    assert "this is a server" in refused.stderr


def test_the_api_answers_over_tls_to_those_who_have_logged_in(server: Server) -> None:
    assert EXTRACT in server.api.dags()
    assert composed_server.get(server, "/api/v2/dags").status_code == 401
    assert composed_server.get(server, "/governance/en/index.html").status_code == 401
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server.address, timeout=10)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(server.address.replace("https", "http"), timeout=10)


def test_nothing_runs_as_root_or_knows_the_administrator(server: Server) -> None:
    [user] = [each.words[0] for each in containers.last_stage() if each.name == "USER"]
    expected = int(user.split(":")[0]) if os.geteuid() == 0 else os.geteuid()
    seen = 0
    for name in SERVICES:
        for process in server.containers[name].processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                assert set(process.uids()) == {expected}, name
                assert server.settings["CITYDATA_POSTGRES_PASSWORD"] not in " ".join(process.environ().values()), name
                seen += 1
    assert seen > len(SERVICES)
    written = [server.volume(name) for name in ("archive", "dbt", "export", "logs")]  # others drop what is dropped
    for folder in (*written, *(each.directory / "var" for each in server.containers.values())):
        owners = {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}
        assert owners == {expected}, folder


def test_only_who_runs_tasks_reaches_archives_and_what_is_dropped(server: Server) -> None:
    files = {"archive", "drop", "dbt", "export"}
    keys = {"CITYDATA_ARCHIVE", "AWS_SECRET_ACCESS_KEY", "CITYDATA_ARCHIVE_KEY", "CITYDATA_PSEUDONYM_KEY"}
    for name, container in server.containers.items():
        home = Path(container.environment["CITYDATA_HOME"])
        assert {each for each in files if (home / each).is_symlink()} == (files if name in WITH_TASKS else set()), name
        known = keys & container.environment.keys()
        if name == "prepare":  # given the environment file as it is, and ended; archives it does not reach
            known -= {"CITYDATA_ARCHIVE_KEY", "CITYDATA_PSEUDONYM_KEY"}
        assert known == (keys if name in WITH_TASKS else set()), name


def test_no_secret_is_in_a_log(server: Server) -> None:
    secrets = {server.settings[name] for name in state.server_generators() if name in server.settings}
    assert len(secrets) > 15
    logs = [each.log for each in server.containers.values()]
    logs += [path for path in server.volume("logs").rglob("*") if path.is_file()]
    assert len(logs) > len(SERVICES) + 1
    for path in logs:
        text = path.read_text(errors="replace")
        assert not [secret[:4] for secret in secrets if secret in text], path


def test_preparing_again_changes_nothing(server: Server) -> None:
    """As every `docker compose up` does, after an upgrade in a new container, which knows nothing of the one before."""
    prepare = server.containers["prepare"]
    shutil.rmtree(Path(prepare.environment["CITYDATA_HOME"]) / "airflow")
    done = prepare.execute("./citydata", *prepare.service["command"])
    assert done.returncode == 0, done.stderr
    assert "created" not in done.stdout
    assert server.query("SELECT count(*) FROM ab_user", "airflow") == [(1,)]
    pools = schedule.pool("finance"), "default_pool"
    assert sorted(server.query("SELECT pool FROM slot_pool", "airflow")) == sorted((name,) for name in pools)


def _engine() -> list[str] | None:
    """A compose command whose engine answers."""
    for program in filter(shutil.which, ("docker", "podman")):
        questions = ([program, "info"], [program, "compose", "version"])
        if not any(subprocess.run(words, capture_output=True, check=False).returncode for words in questions):
            return [program, "compose"]
    return None


@pytest.mark.timeout(ENGINE_SECONDS)
def test_an_engine_builds_and_starts_it(tmp_path: Path) -> None:
    """Skipped where there is no engine; that is no gap in CI, because the tests above run the same files without one."""
    engine = _engine()
    if engine is None:
        pytest.skip("no container engine answers; the tests above play docker-compose.yml without one")
    stated = {
        **containers.host_paths(tmp_path),
        "CITYDATA_IMAGE": "citydata:test",
        "CITYDATA_AIRFLOW_PORT": "58999",
        "CITYDATA_POSTGRES_PORT": "58998",
    }
    file = containers.environment_file(tmp_path / "town.env", stated)
    # Variables of whoever runs the tests would win over the file's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CITYDATA_", "COMPOSE_"))}
    command = [*engine, "--env-file", str(file), "--project-name", "citydata-test"]
    try:
        # Whoever depends on another waits until that one is healthy, or done.
        start = [*command, "up", "--build", "--detach"]
        subprocess.run(start, cwd=ROOT, env=environment, check=True, timeout=ENGINE_SECONDS)
        asked = [*command, "exec", "--no-TTY", "scheduler", "./citydata", "status", "--json"]
        deadline = time.monotonic() + SECONDS
        services: dict[str, bool] = {}
        while not services or not all(services.values()):
            assert time.monotonic() < deadline, services
            time.sleep(5)
            told = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            services = json.loads(told.stdout)["services"] if told.stdout else {}
    finally:
        subprocess.run([*command, "down", "--volumes"], cwd=ROOT, env=environment, check=False)
