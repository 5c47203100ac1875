"""Lateness, asked from the ledger."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from citydata import database, schedule

DATASETS = ["finance.accounts", "hr.people"]
BATCH = (
    "INSERT INTO ops.batch (dataset, kind, mode, contract_version, contract_hash, state, published_at)"
    " VALUES (%s, %s, 'snapshot', '1', 'x', 'published', clock_timestamp() - make_interval(hours => %s))"
)


def _late() -> dict[str, datetime | None]:
    with database.connect("engineer", autocommit=True) as connection:
        return {item.dataset: item.last for item in schedule.late(connection, DATASETS)}


@pytest.mark.usefixtures("platform")
def test_what_was_never_loaded_or_long_ago_is_late() -> None:
    assert _late() == {"finance.accounts": None, "hr.people": None}
    with database.connect("loader", autocommit=True) as connection:
        connection.execute(BATCH, ("hr.people", "load", 31))
        # Reading the keys says what was deleted, not what changed.
        connection.execute(BATCH, ("hr.people", "sweep", 1))
        connection.execute(BATCH, ("finance.accounts", "load", 29))
    late = _late()
    assert list(late) == ["hr.people"]
    assert late["hr.people"] is not None
    assert abs(datetime.now(UTC) - late["hr.people"] - timedelta(hours=31)) < timedelta(minutes=5)


def test_a_source_that_says_the_same_again_is_not_late(platform: Path) -> None:
    with database.connect("loader", autocommit=True) as connection:
        connection.execute(BATCH, ("finance.accounts", "load", 31))
        assert "finance.accounts" in _late()
        # What was taken and is not published yet, because it is held or failed, makes nothing fresh.
        for outcome, late in (("taken", True), ("repeated", False)):
            connection.execute(
                "INSERT INTO ops.arrival (dataset, file_name, bytes, content_sha256, observed_at, outcome)"
                " VALUES ('finance.accounts', 'tilit.csv', 1, 'x', clock_timestamp(), %s)",
                (outcome,),
            )
            assert ("finance.accounts" in _late()) == late, outcome
