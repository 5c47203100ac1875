"""The synthetic FHIR server against an independent client (fhirpy), and its bulk export against the specification."""

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import fhirpy
import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound
from starlette.applications import Starlette

from simulators import Town, fhir, web
from simulators.care import records_of

TOWN = Town(seed=7, scale=0.05)
EXPORT = {"Accept": "application/fhir+json", "Prefer": "respond-async"}


class Service:
    """A running server whose day a test moves."""

    def __init__(self) -> None:
        self.town = TOWN
        self.server = web.Server(self._answer, listening=lambda address: ready.set())
        ready = threading.Event()
        self.reset()
        thread = threading.Thread(target=self.server.run, daemon=True)
        thread.start()
        assert ready.wait(10)
        self.base = f"{self.server.address}/fhir"

    def reset(self) -> None:
        self.town = TOWN
        self._services = Starlette(routes=fhir.routes(lambda: self.town))

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self._services(scope, receive, send)

    def export(self, headers: dict[str, str] | None = None, **parameters: str) -> dict[str, Any]:
        """Kick off and poll until the manifest is there."""
        headers = headers or {}
        kicked = requests.get(f"{self.base}/$export", parameters, headers=EXPORT | headers, timeout=5)
        assert kicked.status_code == 202, kicked.text
        while (
            answer := requests.get(kicked.headers["Content-Location"], headers=headers, timeout=5)
        ).status_code == 202:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["X-Progress"]
        manifest: dict[str, Any] = answer.json()
        return manifest

    def lines(self, entries: list[dict[str, Any]], headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
        found = []
        for entry in entries:
            answer = requests.get(entry["url"], headers=headers, timeout=5)
            assert answer.status_code == 200, answer.text
            assert answer.headers["Content-Encoding"] == "gzip"
            resources = [json.loads(line) for line in answer.text.split("\n") if line]
            assert len(resources) == entry["count"]
            found += resources
        return found


def changed(resource: Any) -> datetime:
    return datetime.fromisoformat(resource["meta"]["lastUpdated"])


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.should_exit = True


@pytest.fixture
def service(running: Service) -> Service:
    running.reset()
    return running


def test_fhirpy_finds_pages_and_reads(service: Service) -> None:
    client = fhirpy.SyncFHIRClient(service.base)
    held = records_of(7, 0.05, 0).current("Encounter")
    found = client.resources("Encounter").sort("_lastUpdated").limit(40).fetch_all()
    assert sorted(one["id"] for one in found) == sorted(held)
    assert [changed(one) for one in found] == sorted(changed(one) for one in found)
    assert client.resources("Encounter").search(status="cancelled").count() == sum(
        one["status"] == "cancelled" for one in held.values()
    )
    since, until = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"
    recent = client.resources("Encounter").search(_lastUpdated__ge=since, _lastUpdated__lt=until).fetch_all()
    within = {
        key
        for key, one in held.items()
        if datetime.fromisoformat(since) <= changed(one) < datetime.fromisoformat(until)
    }
    assert {one["id"] for one in recent} == within
    assert within
    patient = client.reference("Patient", next(iter(records_of(7, 0.05, 0).current("Patient")))).to_resource()
    assert patient["resourceType"] == "Patient"
    assert client.resources("Encounter").search(subject=patient.to_reference()).first()


def test_errors_are_outcomes_that_fhirpy_understands(service: Service) -> None:
    client = fhirpy.SyncFHIRClient(service.base)
    with pytest.raises(ResourceNotFound):
        client.resources("Encounter").search(_id="none").get()
    with pytest.raises(ResourceNotFound):
        client.get("Encounter", "none")
    with pytest.raises(OperationOutcome, match="sorted by"):
        client.resources("Encounter").sort("date").fetch()
    service.town = replace(TOWN, day=1)
    gone = next(key for key, one in records_of(7, 0.05, 1).resources["Encounter"].items() if one[-1].resource is None)
    with pytest.raises(ResourceNotFound):
        client.get("Encounter", gone)
    answer = requests.get(f"{service.base}/Encounter/{gone}", timeout=5)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (410, "deleted")
    stale = requests.get(f"{service.base}/Encounter?_page=none.10.10", timeout=5)
    assert stale.status_code == 410
    statement = requests.get(f"{service.base}/metadata", timeout=5).json()
    assert statement["fhirVersion"] == "4.0.1"
    assert {one["type"] for one in statement["rest"][0]["resource"]} == {"Patient", "Encounter"}


def test_an_export_is_everything_and_the_next_what_happened_since(service: Service) -> None:
    manifest = service.export(_type="Encounter")
    assert manifest["requiresAccessToken"] is False
    assert [entry["type"] for entry in manifest["output"]] == ["Encounter", "Encounter"]
    assert manifest["deleted"] == []
    everything = service.lines(manifest["output"])
    copy = {one["id"]: one for one in sorted(everything, key=lambda one: int(one["meta"]["versionId"]))}
    assert copy == records_of(7, 0.05, 0).current("Encounter")
    assert len(everything) > len(copy), "some come twice"
    assert service.lines(manifest["error"])[0]["resourceType"] == "OperationOutcome"
    assert service.export(_type="Encounter", _since=manifest["transactionTime"])["output"] == []
    for day in range(1, 5):
        service.town = replace(TOWN, day=day)
        manifest = service.export(_type="Encounter", _since=manifest["transactionTime"])
        for bundle in service.lines(manifest["deleted"]):
            for entry in bundle["entry"]:
                assert entry["request"]["method"] == "DELETE"
                copy.pop(entry["request"]["url"].removeprefix("Encounter/"), None)
        for one in sorted(service.lines(manifest["output"]), key=lambda one: int(one["meta"]["versionId"])):
            copy[one["id"]] = one
        assert copy == records_of(7, 0.05, day).current("Encounter")


def test_partial_manifests_lead_to_each_other(service: Service) -> None:
    manifest, entries = service.export(allowPartialManifests="true"), []
    while True:
        entries += manifest["output"]
        if "link" not in manifest:
            break
        assert manifest["link"][0]["relation"] == "next"
        manifest = requests.get(manifest["link"][0]["url"], timeout=5).json()
    whole = service.export()
    assert [entry["count"] for entry in entries] == [entry["count"] for entry in whole["output"]]
    assert len(entries) == 4


@pytest.mark.parametrize(
    ("parameters", "headers", "text"),
    [
        ({}, {"Accept": "application/fhir+json"}, "respond-async"),
        ({"_type": "Observation"}, EXPORT, "Observation"),
        ({"_outputFormat": "text/csv"}, EXPORT, "NDJSON"),
        ({"_since": "yesterday"}, EXPORT, "_since"),
        ({"_elements": "id"}, EXPORT, "_elements"),
    ],
)
def test_an_export_that_is_not_asked_for_rightly(
    service: Service, parameters: dict[str, str], headers: dict[str, str], text: str
) -> None:
    answer = requests.get(f"{service.base}/$export", parameters, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert text in answer.json()["issue"][0]["diagnostics"]


def test_a_job_that_was_deleted_is_gone(service: Service) -> None:
    kicked = requests.post(
        f"{service.base}/Patient/$export",
        json={"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}]},
        headers=EXPORT,
        timeout=5,
    )
    job = kicked.headers["Content-Location"]
    assert requests.delete(job, timeout=5).status_code == 202
    assert requests.get(job, timeout=5).status_code == 404


def _pem(key: Any) -> str:
    public = key.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(public.public_bytes(serialization.Encoding.PEM, form).decode())


def _ask(service: Service, key: Any, algorithm: str, **changed: Any) -> requests.Response:
    address = requests.get(f"{service.base}/.well-known/smart-configuration", timeout=5).json()["token_endpoint"]
    claims = {"iss": "town", "sub": "town", "aud": address, "exp": int(time.time()) + 240, "jti": str(time.time_ns())}
    form = {
        "grant_type": "client_credentials",
        "scope": "system/Encounter.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims | changed, key, algorithm),
    }
    return requests.post(address, form, timeout=5)


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_registered_clients_get_a_token_of_five_minutes(
    service: Service, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    make: Any = {
        "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "RS384": lambda: rsa.generate_private_key(65537, 2048),
    }
    key, other = make[algorithm](), make[algorithm]()
    assert requests.get(f"{service.base}/.well-known/smart-configuration", timeout=5).status_code == 404
    monkeypatch.setenv("SIMULATORS_FHIR_CLIENTS", json.dumps({"town": _pem(key)}))
    refused = [
        _ask(service, other, algorithm),
        _ask(service, key, algorithm, aud="https://elsewhere.example"),
        _ask(service, key, algorithm, exp=int(time.time()) + 3600),
        _ask(service, key, algorithm, sub="village"),
        _ask(service, key, algorithm, iss="village"),
    ]
    assert [answer.status_code for answer in refused] == [401] * 5
    answer = _ask(service, key, algorithm, jti="once")
    assert answer.json()["expires_in"] == 300
    assert _ask(service, key, algorithm, jti="once").status_code == 401, "an assertion is used once"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert requests.get(f"{service.base}/Encounter", timeout=5).status_code == 401
    assert requests.get(f"{service.base}/Encounter", headers=bearer, timeout=5).status_code == 200
    manifest = service.export(bearer, _type="Patient")
    assert manifest["requiresAccessToken"] is True
    assert requests.get(manifest["output"][0]["url"], timeout=5).status_code == 401
    assert service.lines(manifest["output"], bearer)
    monkeypatch.setenv("SIMULATORS_FHIR_SIGNED_FILES", "1")
    signed = service.export(bearer, _type="Patient")
    assert signed["requiresAccessToken"] is False
    assert service.lines(signed["output"])
    assert requests.get(signed["output"][0]["url"], headers=bearer, timeout=5).status_code == 400
    unsigned = re.sub(r"\?.*", "", signed["output"][0]["url"])
    assert requests.get(unsigned, timeout=5).status_code == 403


def test_recorded_resources_stand_in_for_synthetic_ones(service: Service, tmp_path: Path) -> None:
    recorded = tmp_path / "Encounter.ndjson"
    recorded.write_bytes(b'{"resourceType":"Encounter","id":"a"}\nnot JSON\n\n')
    service.town = replace(TOWN, recorded={"social_health.encounters": recorded})
    manifest = service.export()
    kinds = [entry["type"] for entry in manifest["output"]]
    assert kinds.count("Patient") == 2
    bodies = [
        requests.get(entry["url"], timeout=5).content for entry in manifest["output"] if entry["type"] == "Encounter"
    ]
    assert sorted(line for body in bodies for line in body.split(b"\n") if line) == sorted(
        [b'{"resourceType":"Encounter","id":"a"}', b"not JSON"]
    )
    found = fhirpy.SyncFHIRClient(service.base).resources("Encounter").fetch_all()
    assert [one["id"] for one in found] == ["a"]
