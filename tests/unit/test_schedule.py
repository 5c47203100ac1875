"""What follows from contracts without Airflow."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from citydata import schedule


@pytest.mark.parametrize(
    ("cron", "word"),
    [
        ("30 4 * * *", "daily_0430"),
        ("0 5 * * 1", "weekly_mon_0500"),
        ("0 5 * * 7", "weekly_sun_0500"),
        ("0 4 1 * *", "monthly_1_0400"),
        ("15 * * * *", "hourly_15"),
        ("*/10 * * * *", "every_10_minutes"),
        ("0 5 * * 1-5", "0_5_any_any_1-5"),
        ("0 5,17 * * *", "0_5-and-17_any_any_any"),
        ("0 */4 * * *", "0_any-per-4_any_any_any"),
        ("0 5 * * mon#1", "0_5_any_any_mon-nth-1"),
    ],
)
def test_cadence(cron: str, word: str) -> None:
    assert schedule.cadence(cron) == word


@pytest.mark.parametrize(
    ("cron", "hours"), [("30 4 * * *", 24), ("0 5 * * 1-5", 72), ("*/30 * * * *", 0.5), ("0 5,17 * * *", 12)]
)
def test_longest_interval(cron: str, hours: float) -> None:
    assert schedule.longest_interval(cron) == timedelta(hours=hours)


def test_deadline_is_what_the_promise_leaves_after_an_interval() -> None:
    [finance] = [extract for extract in schedule.extracts() if extract.system == "finance"]
    assert finance.dag_id == "extract_finance"
    assert finance.deadline == timedelta(hours=min(entry.sla_hours for entry in finance.contracts) - 24)


def test_deadline_is_of_the_strictest_promise_and_never_less_than_an_hour() -> None:
    entry = schedule.extracts()[0].contracts[0]

    def daily(*promised: float) -> schedule.Extract:
        return schedule.Extract(
            entry.system, None, "30 4 * * *", tuple(replace(entry, sla_hours=hours) for hours in promised)
        )

    assert daily(30, 26).deadline == timedelta(hours=2)
    assert daily(12).deadline == timedelta(hours=1)


def test_window() -> None:
    # Without an offset the town's clock counts: 00:00 in Finnish summer is 21:00 UTC of the day before.
    assert schedule.window("2026-07-01T00:00:00", "2026-07-02T00:00:00+00:00") == (
        datetime(2026, 6, 30, 21, tzinfo=UTC),
        datetime(2026, 7, 2, tzinfo=UTC),
    )
    start, end = schedule.window("2026-07-01T00:00:00Z", None)
    assert start == datetime(2026, 7, 1, tzinfo=UTC)
    assert abs(end - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-01-02", "2026-01-01"), ("2026-01-01", "2026-01-01"), ("yesterday", None)],
)
def test_a_window_that_is_none(start: str, end: str | None) -> None:
    with pytest.raises(ValueError, match=r"from|isoformat"):
        schedule.window(start, end)


def test_documentation_is_a_table_even_with_bars_in_texts() -> None:
    entry = schedule.extracts()[0].contracts[0]
    lines = [line for line in schedule.documentation(entry).splitlines() if line.startswith("| ")]
    assert len(lines) == len(entry.columns) + 1
    assert schedule._cell("a|b\nc") == "a\\|b c"
