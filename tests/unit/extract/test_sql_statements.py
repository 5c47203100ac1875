"""The statements of a reading compile for the databases that source systems have."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.dialects import mssql, oracle, postgresql

from citydata import contract
from citydata.extract import ContentError, Position, sql

SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
READINGS = {
    "everything": sql.Reading(),
    "what changed": sql.Reading(since=SINCE),
    "a window": sql.Reading(since=SINCE, until=UNTIL),
    "keys": sql.Reading(keys_only=True),
}


@pytest.mark.parametrize("dialect", [postgresql.dialect(), mssql.dialect(), oracle.dialect()], ids=lambda one: one.name)
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("dataset", ["hr.people", "hr.employments", "hr.absences"])
def test_statements_compile(dialect, reading: sql.Reading, dataset: str) -> None:  # type: ignore[no-untyped-def]
    entry = contract.load(dataset)
    query, count = (str(one.compile(dialect=dialect)) for one in sql.statements(entry, reading))
    names = sql.columns(entry, keys_only=reading.keys_only)
    assert names == ([column.source_name for column in entry.columns] if not reading.keys_only else entry.key)
    table = entry.platform.connector.table
    assert (
        query.split("WHERE")[0].split()
        == f"SELECT {', '.join(f'{table}.{name}' for name in names)} FROM {table}".split()
    )
    assert f"count(*) AS count_1 \nFROM {table}" in count
    placed = [text.split("WHERE")[1] if "WHERE" in text else "" for text in (query, count)]
    assert placed[0] == placed[1], "the count must be that of the rows that are read"
    # The first moment belongs to a window and the last one to the next window.
    for asked, comparison, word in ((reading.since, ">=", "since"), (reading.until, "<", "until")):
        found = re.findall(rf"updated_at (\S+) \S*{word}", placed[0])
        assert found == ([comparison] if asked else [])
    assert dialect.name in sql.ISOLATION


def test_the_next_reading_looks_back_over_the_overlap() -> None:
    entry = contract.load("hr.people")

    def readings(position: Position) -> list[sql.Reading]:
        return [candidate.place for candidate in sql.candidates(entry, position)]

    sweep = sql.Reading(keys_only=True)
    assert readings(Position()) == [sql.Reading(), sweep]
    assert readings(Position("2026-03-01T01:00:00+00:00", datetime.now(UTC))) == [sql.Reading(since=SINCE)]
    assert readings(Position("2026-03-01T01:00:00+00:00", datetime.now(UTC) - timedelta(days=1))) == [
        sql.Reading(since=SINCE),
        sweep,
    ]
    assert readings(Position("2026-03-05T01:00:00+00:00", window=(SINCE, UNTIL))) == [sql.Reading(SINCE, UNTIL)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0E-8"), "0.00000000"),
        (Decimal("1E+3"), "1000"),
        (Decimal("12.30"), "12.30"),
        (datetime(2026, 3, 1, 12, 0), "2026-03-01T12:00:00.000000+00:00"),  # noqa: DTZ001 - as some databases give it
        (datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2))), "2026-03-01T10:00:00.000000+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (None, None),
    ],
)
def test_a_value_of_any_database_is_the_same_text(value: Any, text: str | None) -> None:
    assert sql._text(value) == text


def test_a_value_that_no_contract_describes_is_refused_without_being_shown() -> None:
    with pytest.raises(ContentError, match="a value of type bytes") as error:
        sql._text(b"salaisuus")
    assert "salaisuus" not in str(error.value)
