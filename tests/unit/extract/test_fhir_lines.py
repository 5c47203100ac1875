"""NDJSON of resources: each line is a row or is refused with a reason, whatever it holds; and the real examples there are."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from citydata import contract
from citydata.extract import Block, ContentError, answers, fhir
from simulators.care import records_of

ENCOUNTERS = contract.load("social_health.encounters")
PATIENTS = contract.load("social_health.patients")
URL = "https://fhir.example/bulk/1"


class _Answer:
    """What `record` asks of an answer."""

    status, reason, headers = 200, "OK", {"Content-Type": "application/fhir+ndjson"}
    server_time = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __init__(self, url: str, body: bytes) -> None:
        self.url, self._body, self.bytes = url, body, len(body)

    def open(self) -> io.BytesIO:
        return io.BytesIO(self._body)


def manifest(resource: str, files: int, **lists: int) -> bytes:
    """A manifest with files of `resource` and, by name of the list, other files."""
    entries = [{"type": resource, "url": f"{URL}/{number}"} for number in range(files)]
    others = {name: [{"url": f"{URL}/{name}.{number}"} for number in range(count)] for name, count in lists.items()}
    return json.dumps({"transactionTime": "2026-11-24T12:00:00Z", "output": entries, **others}).encode()


def archive(*bodies: bytes) -> bytes:
    made: list[Any] = [_Answer(f"{URL}/{number}", body) for number, body in enumerate(bodies)]
    return b"".join(chunk for answer in made for chunk in answers.record(answer))


def chunks(whole: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    return (whole[start : start + size] for start in range(0, len(whole), size))


def blocks(entry: contract.Contract, *bodies: bytes, size: int = 1 << 20) -> list[Block]:
    whole = archive(manifest(entry.platform.connector.resource, len(bodies)), *bodies)  # type: ignore[union-attr]
    return list(fhir.parse(entry, chunks(whole, size), [column.source_name for column in entry.columns]))


def rows(found: list[Block]) -> list[dict[str, Any]]:
    return [row for block in found for row in block.rows.to_pylist()]


def refused(found: list[Block]) -> dict[int, str]:
    return {row.row_number: row.rule for block in found for row in block.refused}


def numbers(found: list[Block]) -> list[int]:
    return sorted([n for block in found for n in block.numbers.to_pylist()] + list(refused(found)))


def line(**values: Any) -> bytes:
    whole = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}}
    return json.dumps(whole | values, ensure_ascii=False).encode()


def test_files_of_one_type_are_read_one_after_the_other_and_blank_lines_are_none() -> None:
    found = blocks(
        ENCOUNTERS, line(id="a") + b"\r\n\n" + line(id="b") + b"\n\n", b"", b"\xef\xbb\xbf" + line(id="c"), size=7
    )
    assert [row["encounter_id"] for row in rows(found)] == ["a", "b", "c"]
    assert numbers(found) == [1, 2, 3]
    assert refused(found) == {}


def test_a_resource_becomes_a_row_without_names_and_reasons() -> None:
    [row] = rows(
        blocks(
            ENCOUNTERS,
            line(
                subject={"reference": "urn:uuid:8666cd40", "display": "Mäkelä Aino"},
                partOf={"reference": "https://x.example/r4/Encounter/w/_history/1"},
                period={"start": "2022-02", "end": "2022-02-03"},
                serviceProvider={"reference": "Organization/1.2.246.10.1", "display": "Terveysasema"},
                reasonCode=[{"text": "Kuume"}],
                meta={"lastUpdated": "2026-11-02T08:00:00.1Z"},
            ),
        )
    )
    assert row == {
        "encounter_id": "e",
        "patient_id": "8666cd40",
        "status": "finished",
        "class_code": "AMB",
        "start_at": "2022-02-01T00:00:00.000000+02:00",
        "start_precision": "6",
        "end_at": "2022-02-03T23:59:59.999999+02:00",
        "part_of": "w",
        "provider_oid": "1.2.246.10.1",
        "last_updated": "2026-11-02T08:00:00.100000Z",
    }


def test_only_an_identity_code_is_one() -> None:
    def patient(*identifiers: dict[str, str]) -> bytes:
        return json.dumps({"resourceType": "Patient", "id": "p", "identifier": identifiers}).encode()

    code = {"system": "urn:oid:1.2.246.21", "value": "250810A999Y"}
    found = rows(
        blocks(
            PATIENTS,
            b"\n".join(
                [
                    patient({**code, "use": "official"}),
                    patient(code),
                    patient({**code, "use": "old"}, {**code, "value": "250810A998X"}),
                    patient({"use": "temp", "system": "urn:oid:1.2.246.10.1.22", "value": "250810-T999"}),
                    patient(),
                ]
            ),
        )
    )
    assert [row["identity_code"] for row in found] == ["250810A999Y", "250810A999Y", "250810A998X", None, None]
    two = blocks(PATIENTS, patient(code, {**code, "value": "250810A998X"}))
    assert refused(two) == {1: "several_values"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"not JSON", "json"),
        (b"[]", "json"),
        (b'"Encounter"', "json"),
        (b"{", "json"),
        (b'{"resourceType": "Encounter", "id": "a", "id": "b"}', "json"),
        (b'{"resourceType": "Encounter", "id": "a", "length": NaN}', "json"),
        (b'{"resourceType": "Encounter", "id": "\xff"}', "json"),
        (b'{"resourceType": "Encounter", "id": "a", "x": "\\ud800"}', "json"),
        (b'{"a":' * 100_000, "json"),
        (b'{"resourceType": "Patient", "id": "a"}', "resource_type"),
        (b'{"resourceType": "OperationOutcome", "issue": []}', "resource_type"),
        (b'{"id": "a"}', "resource_type"),
        (b'{"resourceType": "Encounter"}', "resource_id"),
        (b'{"resourceType": "Encounter", "id": ""}', "resource_id"),
        (b'{"resourceType": "Encounter", "id": "a b"}', "resource_id"),
        (b'{"resourceType": "Encounter", "id": "%s"}' % (b"a" * 65), "resource_id"),
        (b'{"resourceType": "Encounter", "id": "a", "status": {"x": "y"}}', "nested_elements"),
        (b'{"resourceType": "Encounter", "id": "a", "status": ["x", "y"]}', "several_values"),
        (b'{"resourceType": "Encounter", "id": "a", "partOf": {"reference": "Encounter?_id=1"}}', "reference"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_line_that_is_not_one_resource_is_refused_and_the_others_are_not(text: bytes, rule: str) -> None:
    found = blocks(ENCOUNTERS, b"\n".join([line(id="a"), text, line(id="c")]))
    assert [row["encounter_id"] for row in rows(found)] == ["a", "c"]
    assert refused(found) == {2: rule}
    assert numbers(found) == [1, 2, 3]


def test_a_line_without_end_is_refused_in_bounded_memory() -> None:
    options = ENCOUNTERS.platform.connector.model_copy(update={"max_line_bytes": 10_000})
    short = replace(ENCOUNTERS, platform=ENCOUNTERS.platform.model_copy(update={"connector": options}))
    piece = b'{"x": "' + b"y" * 65_536

    def body() -> Iterator[bytes]:
        yield line(id="a") + b"\n"
        for _ in range(500):
            yield piece
        yield b"\n" + line(id="c") + b"\n" + piece

    tracemalloc.start()
    found = [(one.text[:5], one.too_long) for one in fhir._lines(body(), 10_000)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(line()[:5], False), (b'{"x":', True), (line()[:5], False), (b'{"x":', True)]
    assert peak < 2_000_000
    long = blocks(short, line(id="a") + b"\n" + piece + b"\n" + line(id="c"))
    assert [row["encounter_id"] for row in rows(long)] == ["a", "c"]
    assert refused(long) == {2: "line_length"}


RESOURCES = [
    json.dumps(one, ensure_ascii=False).encode()
    for one in list(records_of(7, 0.02, 0).current("Encounter").values())[:12]
]
MUTATION = st.tuples(st.integers(0, 10**6), st.integers(0, 3), st.binary(min_size=1, max_size=3))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MUTATION, max_size=25), st.integers(1, 5000))
@example([(0, 0, b"\n")], 10)
@example([(5, 3, b"\x00")], 1)
def test_no_line_is_lost_and_nothing_fails_whatever_happens_to_the_bytes(
    mutations: list[tuple[int, int, bytes]], size: int
) -> None:
    text = bytearray(b"\n".join(RESOURCES))
    for at, kind, content in mutations:
        place = at % (len(text) + 1)
        if kind == 0:
            text[place:place] = content
        elif kind == 1:
            del text[place : place + len(content)]
        elif kind == 2:
            text[place : place + len(content)] = content
        else:
            text[place : place + 40] = content
    found = blocks(ENCOUNTERS, bytes(text), size=size)
    lines = [one for one in bytes(text).split(b"\n") if one.removesuffix(b"\r").strip()]
    assert numbers(found) == list(range(1, len(lines) + 1))
    by_number = dict(zip((n for b in found for n in b.numbers.to_pylist()), rows(found), strict=True))
    for number, one in enumerate(lines, 1):
        if one in RESOURCES:
            assert by_number[number]["encounter_id"] == json.loads(one)["id"]


def test_an_archive_is_manifests_with_their_files() -> None:
    columns = [column.source_name for column in ENCOUNTERS.columns]

    def read(*bodies: bytes) -> list[str]:
        return [row["encounter_id"] for row in rows(list(fhir.parse(ENCOUNTERS, chunks(archive(*bodies)), columns)))]

    report = b'{"resourceType": "OperationOutcome", "issue": []}'
    assert read(manifest("Encounter", 1, error=1), line(id="a"), report) == ["a"]
    assert read(manifest("Encounter", 1), line(id="a"), manifest("Encounter", 1), line(id="b")) == ["a", "b"]
    assert read(manifest("Patient", 2)) == []
    assert read(manifest("Encounter", 0)) == []
    for bodies in ([], [line()], [manifest("Encounter", 2), line()], [b"{}"]):
        with pytest.raises(ContentError, match="not a whole export"):
            read(*bodies)


def test_deletions_are_the_ids_of_the_contracts_type() -> None:
    def bundle(*entries: Any) -> bytes:
        return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()

    def gone(url: str, method: str = "DELETE") -> dict[str, Any]:
        return {"request": {"method": method, "url": url}}

    body = b"\n".join(
        [
            bundle(gone("Encounter/a"), gone("Patient/p"), gone("https://x.example/r4/Encounter/b")),
            bundle(gone("Encounter/c", "POST"), gone("Encounter?patient=1"), {"fullUrl": "x"}, gone("Encounter/d")),
            bundle(),
            b"not JSON",
            line(),
        ]
    )
    whole = archive(manifest("Encounter", 1, deleted=1), body)
    found = list(fhir.parse(ENCOUNTERS, chunks(whole), ["id"]))
    assert rows(found) == [{"encounter_id": key} for key in "abd"]
    assert refused(found) == {3: "deletion", 4: "deletion", 5: "deletion", 7: "json", 8: "resource_type"}
    assert numbers(found) == list(range(1, 9))


EXPECTED = {
    # rows as patients and as encounters; of all other files none
    "synthea-Patient.ndjson": (1, 0),
    "synthea-Encounter.ndjson": (0, 1),
    "hl7-BulkDataManifestMinimalExample.json": (0, 0),
    "hl7-BulkDataManifestByTypeExample.json": (0, 0),
}


def test_every_real_example_is_read_or_refused_with_a_reason(real_data: Path) -> None:
    paths = sorted((real_data / "social-health" / "fhir").iterdir())
    assert len(paths) >= 13
    for path in paths:
        body = path.read_bytes()
        for position, entry in enumerate((PATIENTS, ENCOUNTERS)):
            found = blocks(entry, body)
            assert len(rows(found)) == EXPECTED.get(path.name, (0, 0))[position], path.name
            assert len(numbers(found)) == sum(bool(one.strip()) for one in body.split(b"\n")), path.name
            assert set(refused(found).values()) <= {"json", "resource_type"}, path.name
        if path.suffix == ".json":  # an example of one resource, written over several lines
            one = json.dumps(json.loads(body)).encode()
            patients = blocks(PATIENTS, one)
            is_patient = json.loads(body).get("resourceType") == "Patient"
            assert (len(rows(patients)), len(refused(patients))) == ((1, 0) if is_patient else (0, 1)), path.name


def test_a_synthetic_person_of_synthea_has_no_finnish_identity_code(real_data: Path) -> None:
    folder = real_data / "social-health" / "fhir"
    [patient] = rows(blocks(PATIENTS, (folder / "synthea-Patient.ndjson").read_bytes()))
    [encounter] = rows(blocks(ENCOUNTERS, (folder / "synthea-Encounter.ndjson").read_bytes()))
    assert patient["identity_code"] is None
    assert (patient["birth_year"], patient["municipality_code"], patient["non_disclosure"]) == ("2020", None, "false")
    assert encounter["patient_id"] == patient["patient_id"], "urn:uuid and the id are the same patient"
    assert encounter["start_at"] == "2020-04-28T21:53:35.000000-04:00"
