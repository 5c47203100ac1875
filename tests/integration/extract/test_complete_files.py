"""A file is taken when it is complete, once, by content."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from citydata import contract, ops, pipeline
from citydata.extract import SourceError, files
from tests.integration.steps import Steps

HEADER = "Koodi;Nimi;Talousarvio;Voimassa\n"
CENTRES = "trial.cost_centres"
ONE, TWO = ("1000", "Hallinto", None, None), ("2000", "Koulut", None, None)
FIRST = HEADER + "1000;Hallinto;;\n"
BOTH = FIRST + "2000;Koulut;;\n"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def arrivals(steps: Steps, dataset: str = CENTRES) -> list[tuple[str, str]]:
    return steps.query("SELECT file_name, outcome FROM ops.arrival WHERE dataset = %s ORDER BY arrival_id", dataset)  # type: ignore[return-value]


def test_a_repeated_file_is_noted_and_not_taken_again(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", BOTH, at=NOON)
    trial.load(CENTRES)
    before = trial.versions(CENTRES)
    trial.drop("kustannuspaikat-2.csv", BOTH, at=NOON + timedelta(hours=1))

    assert trial.load(CENTRES) == []
    assert trial.load(CENTRES) == []

    assert arrivals(trial) == [("kustannuspaikat-1.csv", "taken"), ("kustannuspaikat-2.csv", "repeated")]
    assert trial.versions(CENTRES) == before
    assert trial.states(CENTRES) == ["published"]
    trial.assert_accounted(CENTRES, current=[ONE, TWO], extracted=2)


def test_a_content_that_comes_back_after_another_is_news(trial: Steps) -> None:
    for hour, content in enumerate((BOTH, BOTH.replace("Koulut", "Lukiot"), BOTH)):
        trial.drop("kustannuspaikat.csv", content, at=NOON + timedelta(hours=hour))
        trial.load(CENTRES)
    assert [batch["changed"] for batch in trial.batches(CENTRES)] == [0, 1, 1]
    trial.assert_accounted(CENTRES, current=[ONE, TWO], extracted=2)


def test_a_content_that_comes_back_after_a_rejected_one_or_one_of_another_scope_is_no_news(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", BOTH, at=NOON)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", FIRST, at=NOON + timedelta(hours=1))
    trial.load(CENTRES)
    pipeline.decide(trial.batch(CENTRES)["batch_id"], release=False, person="omistaja", reason="katkennut")
    trial.drop("kustannuspaikat-3.csv", BOTH, at=NOON + timedelta(hours=2))
    assert trial.load(CENTRES) == []
    assert trial.states(CENTRES) == ["published", "rejected"]

    for hour, indicator in enumerate((127, 181, 127)):
        trial.drop(
            f"mittarit-{hour}.csv", f"indicator;year;value\n{indicator};2025;1\n", at=NOON + timedelta(hours=hour)
        )
        trial.load("trial.measures")
    assert [outcome for _, outcome in arrivals(trial, "trial.measures")] == ["taken", "taken", "repeated"]


def test_a_file_without_its_done_file_is_still_being_written(trial: Steps) -> None:
    path = trial.drop("kustannuspaikat.csv", FIRST, done=False)
    assert trial.load(CENTRES) == []
    assert trial.batches(CENTRES) == []
    path.write_text(BOTH)
    path.with_name(path.name + ".done").touch()
    trial.load(CENTRES)
    trial.assert_accounted(CENTRES, current=[ONE, TWO], extracted=2)


def test_a_file_that_settles_is_taken_when_it_has_not_changed_for_the_set_time(trial: Steps) -> None:
    path = trial.drop("asettuva.csv", "Koodi;Nimi\n1000;Hallinto\n", done=False)
    assert trial.load("trial.settling") == []
    assert trial.batches("trial.settling") == []
    settled = datetime.now(UTC) - timedelta(seconds=61)
    os.utime(path, (settled.timestamp(), settled.timestamp()))
    trial.load("trial.settling")
    trial.assert_accounted("trial.settling", current=[ONE[:2]], extracted=1)


def test_a_file_that_grows_while_it_is_read_fails_and_is_taken_when_it_is_complete(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trial.drop("kustannuspaikat.csv", FIRST, at=NOON)
    chunks = files._chunks

    def growing(file: files.File) -> Iterator[bytes]:
        yield next(chunks(file))
        with path.open("a") as writer:
            writer.write("2000;Koulut;;\n")
        yield from chunks(file)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_chunks", growing)
        with pytest.raises(
            SourceError, match=r"trial\.cost_centres batch 1: .*changed while it was read.*citydata run"
        ):
            trial.load(CENTRES)
    assert trial.states(CENTRES) == ["failed"]
    trial.assert_accounted(CENTRES, current=[], extracted=0)

    trial.load(CENTRES)
    assert trial.states(CENTRES) == ["failed", "published"]
    trial.assert_accounted(CENTRES, current=[ONE, TWO], extracted=2)
    assert not list((trial.home / "archive").rglob("*.part"))


def test_a_file_that_is_written_over_while_it_is_read_is_not_taken(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trial.drop("kustannuspaikat.csv", FIRST, at=NOON)
    monkeypatch.setattr(files, "CHUNK", 16)
    [file] = files.complete(contract.load(CENTRES))
    chunks = files._chunks(file)
    next(chunks)
    path.write_text(FIRST.replace("Hallinto", "Hallitus"))
    with pytest.raises(SourceError, match="changed while it was read"):
        list(chunks)


def test_what_arrived_together_is_taken_in_the_order_in_which_the_source_wrote_it(trial: Steps) -> None:
    trial.drop("kustannuspaikat-a.csv", BOTH, at=NOON)
    trial.drop("kustannuspaikat-b.csv", FIRST, at=NOON - timedelta(hours=1))
    trial.load(CENTRES)
    assert [batch["stale"] for batch in trial.batches(CENTRES)] == [0, 0]
    trial.assert_accounted(CENTRES, current=[ONE, TWO], extracted=2)


def test_parts_and_notes_beside_a_file_are_no_files(trial: Steps) -> None:
    for name in ("a.csv", "b.csv.part", "c.csv.tmp", "d.csv.manifest.json"):
        trial.drop(name, FIRST)
    entry = contract.load(CENTRES)
    everything = entry.platform.connector.model_copy(update={"pattern": "*"})
    entry = replace(entry, platform=entry.platform.model_copy(update={"connector": everything}))
    assert [file.name for file in files.complete(entry)] == ["a.csv"]


def test_a_manifest_says_when_the_file_is_complete_and_how_many_rows_it_has(trial: Steps) -> None:
    path = trial.drop("lueteltu.csv", "Koodi;Nimi\n1000;Hallinto\n", done=False)
    assert trial.load("trial.listed") == []
    manifest = path.with_name(path.name + ".manifest.json")
    manifest.write_text(json.dumps({"rows": 2}))

    assert trial.load("trial.listed") == []
    assert trial.batch("trial.listed")["held_reason"] == "the manifest says 2 rows, the file has 1"
    trial.assert_accounted("trial.listed", current=[], extracted=0)

    path.write_text("Koodi;Nimi\n1000;Hallinto\n2000;Koulut\n")
    trial.load("trial.listed")
    trial.assert_accounted("trial.listed", current=[ONE[:2], TWO[:2]], extracted=2)


def test_a_batch_that_must_be_held_is_held_also_after_a_crash(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trial.drop("lueteltu.csv", "Koodi;Nimi\n1000;Hallinto\n", done=False)
    path.with_name(path.name + ".manifest.json").write_text(json.dumps({"rows": 2}))
    with monkeypatch.context() as patch:
        patch.setattr(ops, "hold", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            trial.load("trial.listed")
    assert trial.load("trial.listed") == []
    assert trial.states("trial.listed") == ["failed", "held"]
    trial.assert_accounted("trial.listed", current=[], extracted=0)


def test_a_manifest_with_another_checksum_is_not_this_files(trial: Steps) -> None:
    path = trial.drop("lueteltu.csv", "Koodi;Nimi\n1000;Hallinto\n", done=False)
    path.with_name(path.name + ".manifest.json").write_text(json.dumps({"rows": 1, "sha256": "0" * 64}))
    assert trial.load("trial.listed") == []
    assert "sha256" in trial.batch("trial.listed")["held_reason"]
    trial.assert_accounted("trial.listed", current=[], extracted=0)


def test_a_manifest_that_is_none_is_an_error_that_names_it(trial: Steps) -> None:
    path = trial.drop("lueteltu.csv", "Koodi;Nimi\n", done=False)
    path.with_name(path.name + ".manifest.json").write_text("rows: 1")
    with pytest.raises(SourceError, match=r"trial\.listed: lueteltu\.csv\.manifest\.json is not a manifest"):
        pipeline.extract_and_land("trial.listed")
