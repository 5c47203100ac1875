"""The server of the synthetic services: its faults, its state, and how it starts and ends as a process."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from simulators import Town, sotkanet, web
from tests.integration import sources as synthetic
from tests.integration.sources import Sources


@pytest.fixture(scope="module")
def _running() -> Iterator[Sources]:
    with synthetic.running() as running:
        yield running


@pytest.fixture
def service(_running: Sources) -> Sources:
    """The services of a small town."""
    _running.reset(scale=0.05)
    return _running


def outcome(address: str) -> str:
    """What a request comes to, in words."""
    started = time.monotonic()
    try:
        answer = requests.get(address, timeout=10)
    except requests.exceptions.ChunkedEncodingError as error:
        return "reset" if "reset" in str(error) else "cut"
    if answer.status_code == 200:
        if not answer.headers["Content-Type"].startswith("application/json"):
            return f"report {answer.headers['Content-Type'].partition(';')[0]}"
        return "slow" if time.monotonic() - started > 0.02 else "well"
    return f"{answer.status_code} {answer.headers.get('Retry-After', '')}".strip()


def test_every_fault_happens_in_the_same_order_again(service: Sources) -> None:
    service.faults = 0.9
    address = f"{service.address}{sotkanet.BASE}/regions"
    seen = [outcome(address) for _ in range(40)]
    kinds = Counter(seen)
    assert kinds.keys() - {"well"} == {"429 1", "500", "503 1", "cut", "reset", "slow", "report text/html"}
    service.reset(scale=0.05)
    service.faults = 0.9
    again = [outcome(address) for _ in range(40)]
    # A slow machine makes a quick answer look slow, and nothing else.
    assert [one.replace("slow", "well") for one in again] == [one.replace("slow", "well") for one in seen]


def test_a_geographic_service_reports_its_errors_in_xml(service: Sources) -> None:
    service.faults = 1.0
    reports = {outcome(f"{service.address}/wfs") for _ in range(40)}
    assert "report text/xml" in reports


def test_without_faults_nothing_happens(service: Sources) -> None:
    address = f"{service.address}{sotkanet.BASE}/regions"
    assert {outcome(address).replace("slow", "well") for _ in range(20)} == {"well"}


def test_who_does_not_say_who_asks_is_refused(service: Sources) -> None:
    address = f"{service.address}{sotkanet.BASE}/regions"
    assert requests.get(address, headers={"User-Agent": ""}, timeout=10).status_code == 403


def test_the_values_of_queries_stay_out_of_logs(
    service: Sources, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when something else has configured logging anew."""
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)

    def told() -> list[str]:
        """What the server says of this request; it logs one after it has answered, and so perhaps of the test before."""
        texts = [record.getMessage() for record in caplog.records if record.name == "simulators.web"]
        return [text for text in texts if "/json" in text]

    with caplog.at_level(logging.DEBUG):
        requests.get(f"{service.address}{sotkanet.BASE}/json?indicator=127&years=1990", timeout=10)
        deadline = time.monotonic() + 10
        while not told() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert told() == [f"GET {sotkanet.BASE}/json 200"]
    assert "1990" not in "".join(record.getMessage() for record in caplog.records if "urllib3" not in record.name)


def test_the_town_is_the_one_of_the_state_file(tmp_path: Path) -> None:
    path = tmp_path / "simulation.json"
    town = web.TownOfFile(path)
    assert town() == Town()
    path.write_text('{"seed": 7, "scale": 0.5, "day": 3, "replaced": ["finance.accounts"]}', encoding="utf-8")
    assert town() == Town(7, 0.5, 3)
    path.write_text('{"seed": 7, "scale"', encoding="utf-8")
    assert town() == Town(7, 0.5, 3)
    recorded = {"gis.buildings": "/answers/buildings.xml"}
    path.write_text(json.dumps({"seed": 7, "scale": 0.5, "day": 4, "recorded": recorded}), encoding="utf-8")
    assert town() == Town(7, 0.5, 4, {"gis.buildings": Path("/answers/buildings.xml")})


def test_the_process_tells_its_address_and_ends_when_it_is_told(tmp_path: Path) -> None:
    record, log = tmp_path / "address", tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": str(Path(web.__file__).parents[1]), "CITYDATA_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "simulators", "serve", "--record", str(record)]
    with log.open("w") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + 30
            while not record.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            address = record.read_text(encoding="utf-8").strip()
            assert address.startswith("http://127.0.0.1:")
            asked = requests.get(f"{address}{sotkanet.BASE}/json?indicator=127&years=1990", timeout=10)
            assert (asked.status_code, asked.text) == (200, "[]")
            (tmp_path / "simulation.json").write_text('{"seed": 1, "scale": 0.05, "day": 1}', encoding="utf-8")
            assert len(requests.get(f"{address}{sotkanet.BASE}/regions", timeout=10).json()) < 30
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) in (0, -signal.SIGTERM)
        finally:
            process.kill()
    text = log.read_text(encoding="utf-8")
    assert f"GET {sotkanet.BASE}/json 200" in text
    assert "1990" not in text
