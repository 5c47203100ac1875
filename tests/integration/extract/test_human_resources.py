"""The HR system's database: gone and back, rows that change, are late, are deleted; identity codes stay there."""

import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from citydata import contract, pipeline
from citydata.extract import SourceError
from citydata.extract import sql as tables
from citydata.service.postgres import Cluster
from simulators import hr_database
from simulators.identifiers import with_wrong_check_character
from tests.identity_codes import EVERY_TABLE, codes_in
from tests.integration.steps import Steps

PEOPLE = "hr.people"
SEED, SCALE = 7, 0.05


@pytest.fixture
def hr(cluster: Cluster, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """The synthetic HR database, which the platform knows by its reader; an administrator's connection to it."""
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS hr_source WITH (FORCE)")
        reader = hr_database.create(cluster.url(), password=secrets.token_hex(8), seed=SEED, scale=SCALE, day=0)
        monkeypatch.setenv("CITYDATA_SOURCE_HR", reader)
        with psycopg.connect(cluster.url(hr_database.DATABASE), autocommit=True) as source:
            yield source
        connection.execute("DROP DATABASE hr_source WITH (FORCE)")


def people(hr: psycopg.Connection[Any]) -> set[str]:
    return {row[0] for row in hr.execute("SELECT person_number FROM hr.person")}


def numbers(steps: Steps) -> set[str]:
    return {row[0] for row in steps.query("SELECT person_number FROM raw.hr__people WHERE _closed_by IS NULL")}


def load_and_sweep(steps: Steps) -> None:
    """Load as on the next day: the last sweep is long ago."""
    steps.execute("UPDATE ops.batch SET observed_at = observed_at - interval '1 day' WHERE kind = 'sweep'")
    steps.load(PEOPLE)


def test_the_source_is_gone_for_an_hour(
    steps: Steps, hr: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("CITYDATA_SOURCE_HR", "postgresql://hr_reader:salaisuus@127.0.0.1:1/hr_source")
        for _ in range(2):
            with pytest.raises(
                SourceError, match=r"hr\.people batch \d: .*“hr” could not be read.*citydata run"
            ) as error:
                steps.load(PEOPLE)
            assert "salaisuus" not in str(error.value)
    assert steps.states(PEOPLE) == ["failed", "failed"]
    steps.assert_accounted(PEOPLE, current=[])

    steps.load(PEOPLE)

    assert steps.states(PEOPLE) == ["failed", "failed", "published", "published"]
    assert numbers(steps) == people(hr)
    steps.assert_accounted(PEOPLE)


def test_the_source_goes_away_while_it_is_read(
    steps: Steps, hr: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_text = tables._text

    def gone(value: Any) -> str | None:
        hr.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hr_reader'")
        return as_text(value)

    with monkeypatch.context() as patch:
        patch.setattr(tables, "_text", gone)
        with pytest.raises(SourceError, match="could not be read"):
            steps.load(PEOPLE)
    assert steps.states(PEOPLE) == ["failed"]
    assert not [path for path in (steps.home / "archive").rglob("*") if path.is_file()]

    steps.load(PEOPLE)
    assert numbers(steps) == people(hr)
    steps.assert_accounted(PEOPLE)


def test_a_source_that_sends_fewer_rows_than_it_counts_is_read_again(
    steps: Steps, hr: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = tables.statements

    def cut(*arguments: Any) -> tuple[Any, Any]:
        query, count = statements(*arguments)
        return query.limit(3), count

    with monkeypatch.context() as patch:
        patch.setattr(tables, "statements", cut)
        with pytest.raises(SourceError, match=rf"reports {len(people(hr))} rows but sent 3"):
            steps.load(PEOPLE)
    steps.assert_accounted(PEOPLE, current=[])


def test_rows_that_are_deleted_while_the_table_is_read_are_of_that_reading(
    steps: Steps, hr: psycopg.Connection[Any]
) -> None:
    before = people(hr)

    def delete(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "FROM hr.person" in statement and "count" not in statement:
            hr.execute("DELETE FROM hr.person WHERE person_number = ANY(%s)", (sorted(before)[:2],))

    sa.event.listen(sa.Engine, "before_cursor_execute", delete)
    try:
        pipeline.extract_and_land(PEOPLE)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", delete)
    load, *_ = steps.batches(PEOPLE)
    assert (load["state"], load["extracted"]) == ("landed", len(before))
    assert len(people(hr)) == len(before) - 2


def test_a_row_that_claims_to_be_of_tomorrow_does_not_hide_what_changes_today(
    steps: Steps, hr: psycopg.Connection[Any]
) -> None:
    early, changed, *_ = sorted(people(hr))
    hr.execute(
        "UPDATE hr.person SET updated_at = now() + interval '2 days' WHERE person_number = %s",
        (early,),
    )
    steps.load(PEOPLE)
    hr.execute("UPDATE hr.person SET family_name = 'Uusi', updated_at = now() WHERE person_number = %s", (changed,))
    steps.load(PEOPLE)
    assert steps.query(
        "SELECT family_name FROM raw.hr__people WHERE person_number = %s AND _closed_by IS NULL", changed
    ) == [("Uusi",)]
    steps.assert_accounted(PEOPLE)


def test_a_changed_a_new_a_late_and_a_deleted_row(steps: Steps, hr: psycopg.Connection[Any]) -> None:
    steps.load(PEOPLE)
    changed, late, deleted, *_ = sorted(people(hr))
    [(newest,)] = hr.execute("SELECT max(updated_at) FROM hr.person").fetchall()
    hr.execute(
        "UPDATE hr.person SET family_name = 'Uusi', updated_at = %s WHERE person_number = %s",
        (newest + timedelta(hours=2), changed),
    )
    # Committed after our reading with a time before it: the overlap looks back for such rows.
    hr.execute(
        "UPDATE hr.person SET family_name = 'Myöhäinen', updated_at = %s WHERE person_number = %s",
        (newest - timedelta(minutes=7), late),
    )
    hr.execute("DELETE FROM hr.person WHERE person_number = %s", (deleted,))

    steps.load(PEOPLE)
    assert numbers(steps) == people(hr) | {deleted}, "a deletion is not seen by what changed"

    load_and_sweep(steps)
    assert numbers(steps) == people(hr)
    named = dict(steps.query("SELECT person_number, family_name FROM raw.hr__people WHERE _closed_by IS NULL"))  # type: ignore[arg-type]
    assert (named[changed], named[late]) == ("Uusi", "Myöhäinen")
    sweep = steps.batch(PEOPLE)
    assert (sweep["kind"], sweep["closed"], sweep["unchanged"]) == ("sweep", 1, len(people(hr)))
    steps.assert_accounted(PEOPLE)


def test_many_rows_deleted_at_once_wait_for_a_person(steps: Steps, hr: psycopg.Connection[Any]) -> None:
    steps.load(PEOPLE)
    before = numbers(steps)
    hr.execute("DELETE FROM hr.person WHERE person_number = ANY(%s)", (sorted(before)[: len(before) // 10],))
    load_and_sweep(steps)
    assert steps.states(PEOPLE)[-1] == "held"
    assert "would be closed" in steps.batch(PEOPLE)["held_reason"]
    assert numbers(steps) == before
    # Keys that were read and not published have not said what was deleted: they are read with each load until they are.
    steps.load(PEOPLE)
    assert [batch["kind"] for batch in steps.batches(PEOPLE)[-4:]] == ["load", "sweep", "load", "sweep"]
    steps.assert_accounted(PEOPLE)


def test_a_code_with_a_wrong_check_character_waits_in_quarantine_and_is_never_stored(
    steps: Steps, hr: psycopg.Connection[Any]
) -> None:
    [(number, code), *_] = hr.execute("SELECT person_number, identity_code FROM hr.person").fetchall()
    mistyped = with_wrong_check_character(code)
    hr.execute("UPDATE hr.person SET identity_code = %s WHERE person_number = %s", (mistyped, number))

    steps.load(PEOPLE)

    [refused] = steps.quarantine(PEOPLE)
    assert refused["reasons"] == ["hr.people.identity_code_valid"]
    assert refused["key"] == f'{{"person_number": "{number}"}}'
    assert mistyped not in str(refused)
    codes = dict(hr.execute("SELECT person_number, identity_code FROM hr.person").fetchall())
    stored = steps.query("SELECT person_number, identity_code, identity_code_valid FROM raw.hr__people")
    assert {name for name, _, _ in stored} == codes.keys() - {number}
    assert all(valid and re.fullmatch(r"k1:[0-9a-f]{64}", pseudonym) for _, pseudonym, valid in stored)
    assert len({pseudonym for _, pseudonym, _ in stored}) == len(set(codes.values())) - 1

    hr.execute(
        "UPDATE hr.person SET identity_code = %s, updated_at = updated_at + interval '1 day' WHERE person_number = %s",
        (code, number),
    )
    steps.load(PEOPLE)
    assert numbers(steps) == people(hr)
    assert [row["state"] for row in steps.quarantine(PEOPLE)] == ["resolved"]
    steps.assert_accounted(PEOPLE)


def test_a_refused_row_that_the_overlap_reads_again_waits_once(steps: Steps, hr: psycopg.Connection[Any]) -> None:
    [(number, code), *_] = hr.execute("SELECT person_number, identity_code FROM hr.person").fetchall()
    hr.execute(
        "UPDATE hr.person SET identity_code = %s, updated_at = (SELECT max(updated_at) FROM hr.person) WHERE person_number = %s",
        (with_wrong_check_character(code), number),
    )
    steps.load(PEOPLE)
    steps.load(PEOPLE)
    assert [row["state"] for row in steps.quarantine(PEOPLE)] == ["reprocessed", "open"]
    steps.assert_accounted(PEOPLE)


def test_no_identity_code_is_anywhere_in_the_platform(
    steps: Steps, hr: psycopg.Connection[Any], cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    somebody, second, third, *_ = sorted(people(hr))
    [(code,)] = hr.execute("SELECT identity_code FROM hr.person WHERE person_number = %s", (somebody,)).fetchall()
    # Where it does not belong: in a text, in a text of a row that is refused, in lower case, and as a key.
    hr.execute("UPDATE hr.person SET email = %s WHERE person_number = %s", (f"{code.lower()}@porvoo.example", second))
    hr.execute("UPDATE hr.person SET given_name = %s WHERE person_number = %s", (f"{code} " * 12, third))
    hr.execute(
        "INSERT INTO hr.absence SELECT 'H' || %s, employment_number, 'sick', %s, start_date, end_date, paid_share, updated_at"
        " FROM hr.absence LIMIT 1",
        (code, f"ks. {code}"),
    )
    known = {row[0].upper() for row in hr.execute("SELECT identity_code FROM hr.person")}
    assert codes_in(" ".join(known), known) == len(known)
    caplog.set_level("DEBUG")

    for dataset in (name for name in contract.load_all() if name.startswith("hr.")):
        steps.load(dataset)
        steps.assert_accounted(dataset)
    assert third in "".join(row["key"] or "" for row in steps.quarantine(PEOPLE)), "a refused row must be in the scan"

    found = {}
    tables_scanned = steps.query(EVERY_TABLE)
    assert len(tables_scanned) > 15
    for (table,) in tables_scanned:
        found[table] = sum(codes_in(row[0], known) for row in steps.query(f"SELECT t::text FROM {table} AS t"))
    for path in (steps.home / "archive").rglob("*"):
        found[path.name] = codes_in(path.name, known) + (
            codes_in(path.read_bytes().decode("latin-1"), known) if path.is_file() else 0
        )
    for path in cluster.log_directory.rglob("*.log"):
        found[path.name] = codes_in(path.read_text(errors="replace"), known)
    found["our logs"] = codes_in(caplog.text, known)
    found["statistics"] = sum(codes_in(str(row), known) for row in steps.query("SELECT * FROM pg_stats"))
    found["statements"] = sum(codes_in(str(row), known) for row in steps.query("SELECT query FROM pg_stat_activity"))
    assert {place: count for place, count in found.items() if count} == {}


def test_the_columns_of_the_table_are_compared_with_the_contract(steps: Steps, hr: psycopg.Connection[Any]) -> None:
    def columns() -> Any:
        return next(batch for batch in reversed(steps.batches(PEOPLE)) if batch["kind"] == "load")["source"]["columns"]

    steps.load(PEOPLE)
    assert columns() == {"added": [], "missing": []}
    hr.execute('ALTER TABLE hr.person ADD COLUMN union_fee numeric, ADD COLUMN "010190-123A" text')
    load_and_sweep(steps)
    assert columns() == {"added": ["?", "union_fee"], "missing": []}
    assert numbers(steps) == people(hr)
    hr.execute('ALTER TABLE hr.person DROP COLUMN union_fee, DROP COLUMN "010190-123A", DROP COLUMN email')
    with pytest.raises(SourceError, match="could not be read"):
        steps.load(PEOPLE)
    assert steps.states(PEOPLE)[-1] == "failed"
    assert columns() == {"added": [], "missing": ["email"]}
    assert all("columns" not in batch["source"] for batch in steps.batches(PEOPLE) if batch["kind"] == "sweep")
