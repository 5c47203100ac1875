"""The process of the synthetic services: found again, at the same address after a restart, gone when stopped."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from citydata import contract
from citydata.extract import Position, fhir, pace
from citydata.service import state
from citydata.service.simulation import Simulation, Town
from citydata.service.sources import Sources, SourcesError

AGENT = {"User-Agent": "citydata tests"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of a small town on its first day; its services take ports from 57480."""
    monkeypatch.setenv("CITYDATA_SOURCES_PORT", "57480")
    monkeypatch.setenv("CITYDATA_SOURCE_FHIR_KEY", state.make_secrets(tmp_path)["CITYDATA_SOURCE_FHIR_KEY"])
    Simulation(tmp_path).bring(Town(scale=0.02), drop=tmp_path / "drop", files=[], hr=None)
    return tmp_path


@pytest.fixture
def sources(home: Path) -> Iterator[Sources]:
    """The services of that town, stopped at the end."""
    made = Sources(home)
    yield made
    made.stop()


def _population(sources: Sources) -> list[dict[str, object]]:
    address = f"{sources.address}/sotkanet/rest/1.1/json?indicator=127&years=2022&genders=total"
    found: list[dict[str, object]] = requests.get(address, headers=AGENT, timeout=10).json()
    return found


def test_they_answer_and_answer_at_the_same_address_after_a_restart(sources: Sources, home: Path) -> None:
    sources.start()
    address = sources.address
    assert _population(sources)
    again = Sources(home)  # as another command finds them
    assert again.is_running()
    again.start()
    assert again.address == address
    assert again.stop()
    assert not sources.is_running()
    with pytest.raises(requests.ConnectionError):
        requests.get(address, headers=AGENT, timeout=2)
    sources.start()
    assert sources.address == address


def test_the_fhir_server_knows_the_platform_and_nobody_else(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    sources.start()
    assert requests.get(f"{sources.address}/fhir/Patient", headers=AGENT, timeout=10).status_code == 401
    monkeypatch.setenv("CITYDATA_SOURCE_FHIR", f"{sources.address}/fhir")
    monkeypatch.setattr(pace, "wait", lambda connection, per_second: None)  # it stands in a database
    [export] = fhir.candidates(contract.load("social_health.patients"), Position())
    assert (export.kind, export.watermark_from) == ("load", None)


def test_a_port_that_is_taken_is_left_alone(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setenv("CITYDATA_SOURCES_PORT", str(taken))
        sources.start()
        port = urlsplit(sources.address).port
        assert port
        assert taken < port < taken + 100
        assert _population(sources)


def test_a_recorded_answer_takes_the_place_of_the_synthetic_one(sources: Sources, home: Path, tmp_path: Path) -> None:
    sources.start()
    given = tmp_path / "answer.csv"
    given.write_text(
        "indicator;region;year;gender;primary value;absolute value\n127;294;2022;total;51232;\n", encoding="utf-8"
    )
    simulation = Simulation(home)
    kept = simulation.keep("social_health.indicator_values", given)
    assert kept
    assert simulation.keep("social_health.indicator_values", given) is None
    town = Town(scale=0.02, recorded={"social_health.indicator_values": kept})
    assert simulation.bring(town, drop=home / "drop", files=[], hr=None) == ["services of day 0"]
    assert [(row["region"], row["value"]) for row in _population(sources)] == [(294, 51232)]


def test_services_that_do_not_come_up_say_why(sources: Sources, home: Path) -> None:
    (home / "simulation.json").write_text('{"seed": 1}', encoding="utf-8")
    with pytest.raises(SourcesError, match="KeyError"):
        sources.start()
    assert not sources.is_running()


def test_the_platform_is_a_client_of_the_fhir_server(
    home: Path, sources: Sources, platform: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYDATA_SOURCE_FHIR_KEY", state.make_secrets(home)["CITYDATA_SOURCE_FHIR_KEY"])
    sources.start()
    monkeypatch.setenv("CITYDATA_SOURCE_FHIR", f"{sources.address}/fhir")
    assert requests.get(f"{sources.address}/fhir/Patient", headers=AGENT, timeout=10).status_code == 401
    [candidate] = fhir.candidates(contract.load("social_health.patients"), Position())
    assert candidate.source["since"] is None
