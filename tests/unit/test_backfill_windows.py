"""Windows of a backfill cover what was asked for: nothing is left out, nothing is read twice, nothing lies outside."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citydata import backfill, contract, schedule, town

MOMENTS = st.datetimes(datetime(2019, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
LENGTHS = st.timedeltas(timedelta(minutes=1), timedelta(days=120))
EVERY = st.sampled_from([None, *schedule.CALENDAR])


@settings(deadline=None, max_examples=50)
@given(MOMENTS, LENGTHS, EVERY)
def test_windows_of_time_meet_and_cover_what_was_asked_for(
    start: datetime, length: timedelta, every: str | None
) -> None:
    windows = backfill.plan(contract.load("hr.people"), start, start + length, every)
    assert (windows[0].begins_at, windows[-1].ends_at) == (start, start + length)
    assert all(window.begins_at < window.ends_at for window in windows)
    assert all(one.ends_at == other.begins_at for one, other in pairwise(windows))
    assert [window.number for window in windows] == list(range(1, len(windows) + 1))


@settings(deadline=None, max_examples=50)
@given(MOMENTS, LENGTHS)
def test_years_are_whole_and_all_that_are_touched(start: datetime, length: timedelta) -> None:
    zone = ZoneInfo(town.load().time_zone)
    windows = backfill.plan(contract.load("finance.purchase_invoices"), start, start + length)
    last = start + length - timedelta(microseconds=1)
    assert [window.part for window in windows] == [
        [year] for year in range(start.astimezone(zone).year, last.astimezone(zone).year + 1)
    ]
    for window in windows:
        local = [moment.astimezone(zone) for moment in (window.begins_at, window.ends_at)]
        assert [(at.year, at.month, at.day, at.hour) for at in local] == [(window.part[0] + n, 1, 1, 0) for n in (0, 1)]


@settings(deadline=None, max_examples=50)
@given(MOMENTS, st.sampled_from(["0 5 * * *", "30 4 * * 1", "15 * * * *", "0 6 1 * *"]))
def test_the_tick_before_is_the_last_one(moment: datetime, cron: str) -> None:
    before = schedule.tick_before(cron, moment)
    assert before < moment
    assert len(schedule.windows(cron, before, moment)) == 1, "no tick lies between"


def test_a_day_of_the_change_to_summer_time_is_a_window_of_23_hours() -> None:
    windows = schedule.windows("0 0 * * *", *schedule.window("2026-03-28", "2026-03-31"))
    assert [(end - start).total_seconds() / 3600 for start, end in windows] == [24, 23, 24]
    # The hour that spring leaves out is no window of an hourly schedule.
    windows = schedule.windows("0 * * * *", *schedule.window("2026-03-29T02:00", "2026-03-29T06:00"))
    assert [(end - start).total_seconds() / 3600 for start, end in windows] == [1, 1, 1]
    # The hour that occurs twice in autumn is in one window of an hourly schedule.
    windows = schedule.windows("0 * * * *", *schedule.window("2026-10-25T02:00", "2026-10-25T06:00"))
    assert [(end - start).total_seconds() / 3600 for start, end in windows] == [1, 2, 1, 1]


def test_what_has_no_period_is_refused() -> None:
    period = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    for dataset in ("finance.accounts", "social_health.indicator_values"):
        with pytest.raises(backfill.NotPossible, match=f"batch rebuild {dataset}"):
            backfill.plan(contract.load(dataset), *period)
    with pytest.raises(backfill.BackfillError, match="year by year"):
        backfill.plan(contract.load("finance.purchase_invoices"), *period, "month")
