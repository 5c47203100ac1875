"""The broker and its workers: who answers, what is said when nobody does, and that no worker is left behind."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from citydata.service import broker, doctor, status
from citydata.service.airflow import Airflow
from citydata.service.installation import Installation
from citydata.service.processes import Daemon
from tests import redis_server
from tests.redis_server import RedisServer

SERVER = "postgresql://postgres:hush@127.0.0.1:5999/citydata"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server.running() as running:
        yield running


def test_a_broker_that_answers_tells_its_version_and_has_no_worker_yet(redis: RedisServer) -> None:
    assert int(broker.ask(redis.url).split(".")[0]) >= 6
    assert broker.workers(redis.url) == []


def test_a_broker_that_does_not_answer_or_accept_us_is_said_without_the_password(redis: RedisServer) -> None:
    for url, said in (
        ("redis://:hush@127.0.0.1:9/0", "The broker at 127.0.0.1:9/0 does not answer (ConnectionError)."),
        (f"redis://:hush@127.0.0.1:{redis.port}/0", "does not accept the password."),
        (f"redis://127.0.0.1:{redis.port}/0", "does not accept the password."),
        ("redis://:hush@127.0.0.1:port/0", "is no address of a broker"),
        ("amqp://:hush@127.0.0.1/0", "is no address of a broker"),
    ):
        with pytest.raises(broker.BrokerError) as raised:
            broker.ask(url)
        assert said in str(raised.value)
        assert "hush" not in str(raised.value)


@pytest.mark.parametrize("silent", [True, False])
def test_status_and_doctor_say_who_does_not_answer(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", "redis://127.0.0.1:9/0" if silent else redis.url)
    services: dict[str, bool] = {}
    [finding] = status._workers(services)
    assert services == {"broker": not silent}
    assert (finding.kind, finding.command) == ("failed", "./citydata doctor")
    assert ("does not answer" if silent else "no worker answers") in finding.cause
    checks = {check.subject: check for check in doctor.examine(Installation(tmp_path)) if check.subject != "contracts"}
    assert checks["broker"].outcome == ("problem" if silent else "ok")
    assert ("workers" in checks) == (not silent)


def test_workers_that_are_too_many_are_stopped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CITYDATA_BROKER_URL", raising=False)
    worker = Daemon("airflow-worker-2", tmp_path)
    worker.start([sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path)
    assert "airflow-worker-2" not in Airflow(tmp_path, SERVER).running()
    assert Airflow(tmp_path, SERVER).stop() == ["airflow-worker-2"]
    assert not worker.is_running()


@pytest.mark.parametrize("number", ["two", "-1"])
def test_a_number_of_workers_that_is_none_is_said(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_BROKER_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("CITYDATA_WORKERS", number)
    with pytest.raises(broker.BrokerError, match=f"CITYDATA_WORKERS is {number}: "):
        broker.own_workers()
