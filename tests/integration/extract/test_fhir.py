"""A FHIR server's bulk export: first everything, then what happened since; tokens, faults, deletions; nobody can be recognised."""

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.responses import Response

from citydata import contract, pipeline, settings
from citydata.contract import Contract
from citydata.extract import Candidate, Position, SourceError, fhir, pace
from citydata.privacy.identity_code import Pseudonyms
from citydata.service.postgres import Cluster
from simulators import fhir as server
from simulators import web
from simulators.care import IDENTITY_CODES, protected, records_of, referred
from tests.identity_codes import EVERY_TABLE, codes_in
from tests.integration.sources import Sources
from tests.integration.steps import Steps

LOCAL = ZoneInfo("Europe/Helsinki")
ENCOUNTERS, PATIENTS = "social_health.encounters", "social_health.patients"


def register(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the platform a client of the server; returns its private key."""
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    monkeypatch.setenv("CITYDATA_SOURCE_FHIR_KEY", private.replace("\n", "\\n"))
    monkeypatch.setenv("SIMULATORS_FHIR_CLIENTS", json.dumps({"porvoo-tietoalusta": public}))
    return private


@pytest.fixture
def served(sources: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Sources:
    """The services, with the platform as a client of the FHIR server, without pauses; what was asked for is in the log."""
    register(monkeypatch)
    monkeypatch.setattr(server, "RETRY_AFTER", 0)
    monkeypatch.setattr(web, "RETRY_AFTER", 0)
    for logger in ("simulators.web", "citydata"):
        caplog.set_level(logging.INFO, logger)
    return sources


@pytest.fixture
def care(served: Sources, steps: Steps) -> Sources:
    """The services and an installation that loads from them."""
    return served


@pytest.fixture
def asked(served: Sources, monkeypatch: pytest.MonkeyPatch) -> Sources:
    """The services, asked by the connector alone: a source's pace stands in a database, which these tests do without."""
    monkeypatch.setattr(pace, "wait", lambda connection, per_second: None)
    monkeypatch.setattr(pace, "postpone", lambda connection, seconds: None)
    return served


def deleted_jobs(caplog: pytest.LogCaptureFixture, count: int) -> int:
    """How many jobs were deleted on the server, which logs a request after it was answered: waits for `count`."""
    for _ in range(100):
        found = len(re.findall(r"DELETE /fhir/bulk/\w+ 202", caplog.text))
        if found >= count:
            break
        time.sleep(0.02)
    return found


def entry(dataset: str, **options: Any) -> Contract:
    """A contract of the repository with other options of its connector."""
    made = contract.load(dataset)
    connector = made.platform.connector.model_copy(update=options)
    return replace(made, platform=made.platform.model_copy(update={"connector": connector}))


def rows(made: Contract, position: Position) -> Iterator[tuple[Candidate, list[str], Any]]:
    """The candidates of an export with the keys of their rows and the finished fetch."""
    with closing(fhir.candidates(made, position)) as candidates:  # type: ignore[type-var]
        for candidate in candidates:
            fetched = fhir.fetch(made, candidate)
            columns = [column.source_name for column in made.columns if column.key or candidate.kind == "load"]
            blocks = list(fhir.parse(made, fetched.chunks, columns))
            yield candidate, [row for block in blocks for row in block.rows.column(0).to_pylist()], fetched


def boundary(text: str | None, *, last: bool = False) -> datetime | None:
    """The moment that a FHIR date means, worked out apart from the connector."""
    if text is None or len(text) > 10:
        return text and datetime.fromisoformat(text)  # type: ignore[return-value]
    year, month, day = (int(part) for part in f"{text}-01-01"[:10].split("-"))
    first = datetime(year, month, day)  # noqa: DTZ001
    if not last:
        return first.replace(tzinfo=LOCAL)
    after = {4: (year + 1, 1, 1), 7: (year + month // 12, month % 12 + 1, 1)}.get(len(text))
    end = datetime(*after, tzinfo=LOCAL) if after else datetime.fromordinal(first.toordinal() + 1).replace(tzinfo=LOCAL)
    return datetime.fromtimestamp(end.timestamp() - 0.000001, UTC)


def expected(sources: Sources, dataset: str) -> set[tuple[Any, ...]]:
    """The table as the server's resources say it must be, less the encounters that are wrong."""
    pseudonyms = Pseudonyms()
    town = sources.town
    records = records_of(town.seed, town.scale, town.day)
    made = set()
    if dataset == PATIENTS:
        for one in records.current("Patient").values():
            codes = [i["value"] for i in one["identifier"] if i["system"] == IDENTITY_CODES and i["use"] != "old"]
            home = one.get("extension", [{"valueCoding": {"code": None}}])[0]["valueCoding"]["code"]
            made.add(
                (
                    pseudonyms.of_id(one["id"]),
                    pseudonyms.pseudonym(codes[0]) if codes else None,
                    int(one["birthDate"][:4]),
                    None if protected(one) else home,
                    protected(one),
                )
            )
        return made
    for one in records.current("Encounter").values():
        start, end = boundary(one["period"]["start"]), boundary(one["period"].get("end"), last=True)
        if (start and end and end < start) or one["class"]["code"] == "KÄYNTI":
            continue
        made.add(
            (
                pseudonyms.of_id(one["id"]),
                pseudonyms.of_id(referred(one["subject"]["reference"])),
                one["status"],
                one["class"]["code"],
                start,
                end,
                pseudonyms.of_id(referred(one["partOf"]["reference"])) if "partOf" in one else None,
                one["serviceProvider"]["reference"].removeprefix("Organization/"),
            )
        )
    return made


COLUMNS = {
    PATIENTS: "patient_id, identity_code, birth_year, municipality_code, non_disclosure",
    ENCOUNTERS: "encounter_id, patient_id, status, class_code, start_at, end_at, part_of, provider_oid",
}


def table(steps: Steps, dataset: str) -> set[tuple[Any, ...]]:
    name = dataset.replace(".", "__")
    found = steps.query(f"SELECT {COLUMNS[dataset]} FROM raw.{name} WHERE _closed_by IS NULL")
    assert len(set(found)) == len(found)
    return set(found)


def traces_of_people(steps: Steps, care: Sources, cluster: Cluster, logs: str) -> dict[str, int]:
    """How often an identity code, an id, a name, an address, a reason or a secret stands anywhere outside the archives."""
    records = records_of(care.town.seed, care.town.scale, care.town.day)
    people = [version.resource for one in records.resources["Patient"].values() for version in one if version.resource]
    known = {i["value"] for one in people for i in one["identifier"] if i["system"] == IDENTITY_CODES}
    words = {one["id"] for one in people} | set(records.resources["Encounter"])
    words |= {f"{name['family']} {name['given'][0]}" for one in people for name in one["name"]}
    words |= {"Esimerkkikatu", "+358 40", "Vuodeosasto", "Verenpaineen seuranta", "Kuume", "access_token", "Bearer "}
    words |= {line for line in os.environ["CITYDATA_SOURCE_FHIR_KEY"].split("\\n") if len(line) > 30}
    pattern = re.compile("|".join(map(re.escape, sorted(words))))
    found: dict[str, int] = {}

    def scan(place: str, text: str) -> None:
        found[place] = found.get(place, 0) + codes_in(text, known) + len(pattern.findall(text))

    scan("what is looked for", json.dumps(people, ensure_ascii=False))
    assert found.pop("what is looked for") > 200
    for (name,) in steps.query(EVERY_TABLE):
        scan(name, "\n".join(str(row[0]) for row in steps.query(f"SELECT t::text FROM {name} AS t")))
    for path in (steps.home / "archive").rglob("*"):
        scan(path.name, path.name + (path.read_bytes().decode("latin-1") if path.is_file() else ""))
        assert path.is_dir() or path.name.endswith(".zst.age")
    for path in cluster.log_directory.rglob("*.log"):
        scan(path.name, path.read_text(errors="replace"))
    scan("our logs", logs)
    scan("statistics", str(steps.query("SELECT * FROM pg_stats")))
    return {place: count for place, count in found.items() if count}


def test_everything_first_then_what_happened_since_and_nobody_can_be_recognised(
    steps: Steps, care: Sources, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for dataset in (PATIENTS, ENCOUNTERS):
        steps.load(dataset)
        assert table(steps, dataset) == expected(care, dataset)
        assert steps.batch(dataset)["source"]["since"] is None
    refused = {reason for row in steps.quarantine(ENCOUNTERS) for reason in row["reasons"]}
    assert refused == {f"{ENCOUNTERS}.class_known", f"{ENCOUNTERS}.period_in_order"}
    first = steps.batch(ENCOUNTERS)
    assert first["superseded"] + first["repeated"] > 0, "resources repeat in an export"
    for days in (1, 2):
        care.advance(days)
        for dataset in (PATIENTS, ENCOUNTERS):
            before = steps.batch(dataset)["source"]["server_time"]
            steps.load(dataset)
            assert table(steps, dataset) == expected(care, dataset), f"{dataset} on day {care.town.day}"
            batch = steps.batch(dataset)
            assert datetime.fromisoformat(batch["source"]["since"]) == datetime.fromisoformat(before)
            assert 0 < batch["extracted"] < first["extracted"] / 3
            steps.assert_accounted(dataset)
    assert {row["state"] for row in steps.quarantine(ENCOUNTERS)} == {"open", "resolved"}, "day 2 corrected one"
    kinds = [batch["kind"] for batch in steps.batches(ENCOUNTERS)]
    assert kinds == ["load", *["deletions", "load"] * 2], "deletions come before the load of the same export"
    assert [batch["kind"] for batch in steps.batches(PATIENTS)].count("deletions") == 1
    # A deleted encounter came back on day 2: it has a version before and a version after.
    again = steps.query(
        "SELECT encounter_id FROM raw.social_health__encounters GROUP BY 1"
        " HAVING bool_or(_closed_by IN (SELECT batch_id FROM ops.batch WHERE kind = 'deletions')) AND bool_or(_closed_by IS NULL)"
    )
    assert len(again) == 1
    assert deleted_jobs(caplog, 6) == len(re.findall(r"GET /fhir/\$export 202", caplog.text)) == 6
    before_again = steps.versions(PATIENTS)
    steps.load(PATIENTS)
    assert [(one["kind"], one["state"], one["extracted"]) for one in steps.batches(PATIENTS)[-1:]] == [
        ("load", "published", 0)
    ]
    assert steps.versions(PATIENTS) == before_again
    assert traces_of_people(steps, care, cluster, caplog.text) == {}


def test_with_a_fault_in_every_fifth_request_the_tables_are_the_same(steps: Steps, care: Sources) -> None:
    care.faults = 0.2
    for days in (0, 3):
        care.advance(days)
        for dataset in (PATIENTS, ENCOUNTERS):
            for _ in range(5):
                with suppress(SourceError):  # the next run reads what this one could not
                    steps.load(dataset)
                    break
            assert table(steps, dataset) == expected(care, dataset), f"{dataset} on day {care.town.day}"
            steps.assert_accounted(dataset)


def test_the_period_of_the_controller_is_over(
    steps: Steps,
    care: Sources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("patients", "encounters"):
        text = (settings.CONTRACTS / "social_health" / f"{name}.yaml").read_text(encoding="utf-8")
        copy = tmp_path / "contracts" / "social_health" / f"{name}.yaml"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text.replace("until: 2035-12-31", "until: 2026-06-30"), encoding="utf-8")
    monkeypatch.setattr(settings, "CONTRACTS", tmp_path / "contracts")
    contract.load_each.cache_clear()
    try:
        with pytest.raises(pipeline.ControllerOver) as error:
            steps.load(PATIENTS)
    finally:
        contract.load_each.cache_clear()
    for part in (PATIENTS, "Laki 616/2021", "2022-12-31", "SOTE-TIETO-2026-01", "2026-06-30"):
        assert part in str(error.value)
    assert "/fhir" not in caplog.text, "not even asked"


def test_tokens_are_renewed_while_a_job_is_waited_for(
    asked: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "TOKEN_SECONDS", fhir.TOKEN_MARGIN + 0.2)
    monkeypatch.setattr(server, "POLLS", 6)
    [(_, keys, _)] = rows(entry(PATIENTS), Position())
    assert set(keys) == records_of(asked.town.seed, asked.town.scale, 0).current("Patient").keys()
    assert len(re.findall("POST /fhir/auth/token 200", caplog.text)) > 1


def test_a_token_that_got_lost_is_asked_for_by_another_assertion(
    asked: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, lost = server._Server.token, []

    async def token(self: Any, request: Any) -> Response:
        answer = await given(self, request)
        if not lost:
            lost.append(answer)
            return Response(status_code=503)
        return answer

    monkeypatch.setattr(server._Server, "token", token)
    asked.reset(scale=0.05)
    [(_, keys, _)] = rows(entry(PATIENTS), Position())
    assert len(keys) > 20
    assert [lost[0].status_code] == [200], "the first assertion was used up"


def test_files_with_signed_addresses_are_fetched_without_a_token(
    asked: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SIMULATORS_FHIR_SIGNED_FILES", "1")  # this server refuses a token with them
    [(candidate, keys, fetched)] = rows(entry(PATIENTS), Position())
    assert len(keys) > 20
    assert "signature" not in f"{candidate.source} {fetched.source} {caplog.text}"


@pytest.mark.parametrize("partial", [True, False])
def test_manifests_may_lead_to_further_ones(asked: Sources, *, partial: bool) -> None:
    asked.advance(3)
    records = records_of(asked.town.seed, asked.town.scale, 3)
    since = records_of(asked.town.seed, asked.town.scale, 0).at.isoformat()
    [(first, deleted, _), (second, keys, fetched)] = rows(entry(ENCOUNTERS, partial_manifests=partial), Position(since))
    assert (first.kind, second.kind) == ("deletions", "load")
    gone = {key for key, one in records.resources["Encounter"].items() if one[-1].resource is None}
    assert set(deleted) == gone
    changed = {key for key, one in records.resources["Encounter"].items() if one[-1].updated_at.isoformat() > since}
    assert set(keys) == changed - gone
    assert fetched.watermark == "2026-11-05T13:30:00.000Z"


def test_a_backfill_reads_its_window_and_leaves_the_watermark(asked: Sources) -> None:
    asked.advance(3)
    records = [records_of(asked.town.seed, asked.town.scale, day) for day in range(4)]
    window = (records[0].at, records[1].at)
    found = list(rows(entry(PATIENTS), Position("2026-11-05T13:30:00.000Z", window=window)))
    of_day_one = {
        key
        for key, one in records[3].resources["Patient"].items()
        if one[-1].resource and window[0] < one[-1].updated_at <= window[1]
    }
    assert set(found[-1][1]) == of_day_one != set()
    assert found[-1][2].watermark is None


def test_an_export_that_does_not_end_is_given_up_and_deleted(
    asked: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "POLLS", 10**6)
    with pytest.raises(SourceError, match=r"did not finish the export in 0\.005 minutes \(deadline_minutes"):
        list(rows(entry(PATIENTS, deadline_minutes=0.005), Position()))
    assert "% complete" in caplog.text
    assert deleted_jobs(caplog, 1) == 1


def test_an_export_that_failed_is_deleted(
    asked: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server._Job, "outcomes", lambda self: [server.outcome("fatal", "exception", "Aino")])
    with pytest.raises(SourceError, match="could not export: 1 × fatal exception"):
        list(rows(entry(PATIENTS), Position()))
    assert deleted_jobs(caplog, 1) == 1
    assert "Aino" not in caplog.text


def test_what_could_not_be_exported_is_asked_for_again(
    asked: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    [(_, keys, fetched)] = rows(entry(PATIENTS), Position())
    assert fetched.source["issues"] == {"information informational": 1}
    assert fetched.watermark == "2026-11-02T13:30:00.000Z"
    monkeypatch.setattr(server._Job, "outcomes", lambda self: [server.outcome("error", "timeout", "Aino")] * 2)
    [(_, same, fetched)] = rows(entry(PATIENTS), Position())
    assert same == keys
    assert fetched.source["issues"] == {"error timeout": 2}
    assert fetched.watermark is None, "the next export begins where this one did"
    assert "not everything was exported: 2 × error timeout" in caplog.text
    assert "Aino" not in caplog.text


def test_a_file_with_fewer_resources_than_the_manifest_counts_is_never_taken(
    asked: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, counted = server._Job.files, server._Server._manifest

    def manifest(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(server._Job, "files", whole)
            return counted(*arguments)

    monkeypatch.setattr(server._Job, "files", lambda self: {name: one[1:] for name, one in whole(self).items()})
    monkeypatch.setattr(server._Server, "_manifest", manifest)
    with pytest.raises(SourceError, match=r"the file has \d+ resources where the manifest says \d+"):
        list(rows(entry(PATIENTS, attempts=2), Position()))


def test_a_server_whose_clock_went_back_is_not_believed(asked: Sources) -> None:
    with pytest.raises(SourceError, match=r"the clock of “fhir” went back: this export is of 2026-11-02"):
        list(rows(entry(PATIENTS), Position("2026-11-03T13:30:00.000Z")))


def test_a_client_that_the_server_does_not_know(
    asked: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registered = server.os.environ["SIMULATORS_FHIR_CLIENTS"]
    private = register(monkeypatch)
    monkeypatch.setenv("SIMULATORS_FHIR_CLIENTS", registered)
    with pytest.raises(SourceError, match="401") as error:
        list(rows(entry(PATIENTS), Position()))
    assert private.splitlines()[1][:20] not in f"{error.value}{caplog.text}"
    for wrong in ("no key", private.replace("PRIVATE", "PUBLIC")):
        monkeypatch.setenv("CITYDATA_SOURCE_FHIR_KEY", wrong)
        with pytest.raises(settings.SettingMissing, match="CITYDATA_SOURCE_FHIR_KEY is not a private key") as missing:
            list(rows(entry(PATIENTS), Position()))
        assert wrong not in str(missing.value)
    monkeypatch.delenv("CITYDATA_SOURCE_FHIR_KEY")
    with pytest.raises(settings.SettingMissing, match=r"the private key \(PEM\) of the client “porvoo-tietoalusta”"):
        list(rows(entry(PATIENTS), Position()))


def test_recorded_resources_are_loaded_and_what_is_none_is_refused(
    steps: Steps, care: Sources, real_data: Path
) -> None:
    folder = real_data / "social-health" / "fhir"
    care.serve_recorded(PATIENTS, folder / "synthea-Patient.ndjson")
    care.serve_recorded(ENCOUNTERS, folder / "synthea-Encounter.ndjson")
    for dataset in (PATIENTS, ENCOUNTERS):
        steps.load(dataset)
        steps.assert_accounted(dataset, extracted=1)
    [(patient, code, year, home, hidden)] = table(steps, PATIENTS)
    assert (code, year, home, hidden) == (None, 2020, None, False)
    [encounter] = table(steps, ENCOUNTERS)
    assert encounter[1] == patient
    assert encounter[2:4] == ("finished", "AMB")
    care.serve_recorded(PATIENTS, folder / "fi-profile-patient.fsh")
    steps.load(PATIENTS)
    assert steps.states(PATIENTS)[-1] == "held"
    assert re.search(r"\d+ of \d+ rows are in quarantine", steps.batch(PATIENTS)["held_reason"])
    assert {tuple(reasons) for reasons in steps.reasons(PATIENTS).values()} == {("row.json",)}
    assert len(table(steps, PATIENTS)) == 1
