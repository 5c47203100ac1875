"""What is proposed of texts reads them as they were meant; what they leave open is said."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citydata import formats, town
from citydata.drafting import profile
from citydata.drafting.profile import Profile

DAYS = st.lists(st.dates(date(1900, 1, 1), date(2099, 12, 31)), min_size=1, max_size=30)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive as asked
AMOUNTS = st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1, max_size=30)


def seen(*texts: str | None, title: str = "x") -> Profile:
    return profile.profile(pa.array(texts, pa.string()), title)


def read(found: Profile, texts: list[str]) -> list[Any]:
    """The texts as a contract with this profile reads them."""
    done = formats.caster(profile.cast_column(found), town.load().time_zone)(pa.array(texts, pa.string()))
    assert done.broken == {}
    return done.values.to_pylist()


@pytest.mark.parametrize(
    "shape", ["{0:%Y-%m-%d}", "{0:%d.%m.%Y}", "{0.day}.{0.month}.{0.year}", "{0:%m/%d/%Y}", "{0:%Y.%m.%d}"]
)
@settings(deadline=None)
@given(days=DAYS)
def test_days_are_read_as_they_were_written_or_the_order_is_open(shape: str, days: list[date]) -> None:
    texts = [shape.format(day) for day in days]
    found = seen(*texts)
    assert found.type == "date"
    both = shape in ("{0:%d.%m.%Y}", "{0.day}.{0.month}.{0.year}", "{0:%m/%d/%Y}") and all(
        day.day <= 12 for day in days
    )
    assert bool(found.undecided) == both
    if not both:
        assert read(found, texts) == days


@settings(deadline=None)
@given(amounts=AMOUNTS, decimal=st.sampled_from(".,"), thousands=st.sampled_from(["", " ", "\u00a0", "'"]))
def test_amounts_are_read_as_they_were_written(amounts: list[Decimal], decimal: str, thousands: str) -> None:
    texts = [f"{one:,.2f}".replace(",", "#").replace(".", decimal).replace("#", thousands) for one in amounts]
    found = seen(*texts)
    assert found.undecided == {}
    assert found.type == (
        "integer" if all(text.endswith("00") for text in texts) and not thousands else "number"
    ) or all(text[-2:] == "00" for text in texts)
    assert [Decimal(value) for value in read(found, texts)] == amounts


@settings(deadline=None)
@given(st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=30))
def test_whole_numbers_are_read(numbers: list[int]) -> None:
    texts = [str(number) for number in numbers]
    found = seen(*texts)
    assert found.type == "integer"
    assert read(found, texts) == numbers


@settings(deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_moments_are_read(moments: list[datetime]) -> None:
    texts = [moment.isoformat(timespec="microseconds") for moment in moments]
    assert read(seen(*texts), texts) == moments


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=30))
def test_whatever_comes_is_read_or_open(texts: list[str]) -> None:
    found = seen(*texts)
    if not found.undecided and found.type != "string":
        read(found, [text for text in texts if text not in found.settings.get("nulls", [])])


@pytest.mark.parametrize(
    ("texts", "key", "both"),
    [
        (["01.02.2026", "03.04.2026"], "format", ("dd.MM.yyyy", "MM.dd.yyyy")),
        (["1/2/2026"], "format", ("d/M/yyyy", "M/d/yyyy")),
        (["1,234", "5,678"], "number", ("decimal", "thousands")),
        (["1.234"], "number", ("decimal", "thousands")),
        (["01.02.2026 10:00"], "format", ("dd.MM.yyyy HH:mm", "MM.dd.yyyy HH:mm")),
    ],
)
def test_what_the_sample_leaves_open_is_said(texts: list[str], key: str, both: tuple[str, str]) -> None:
    found = seen(*texts)
    assert list(found.undecided) == [key]
    assert all(word in found.undecided[key] for word in both)
    assert (found.options | found.settings)[key] is None, "the contract is left empty there"


@pytest.mark.parametrize(
    ("texts", "kind", "options", "settings"),
    [
        (["13.2.2026", "1.12.2026"], "date", {"format": "d.M.yyyy"}, {}),
        (["1 234,50", "7,1"], "number", {}, {"number": {"decimal": ",", "thousands": [" "]}, "precision": 14, "scale": 2}),
        (["1.234,5", "1"], "number", {}, {"number": {"decimal": ",", "thousands": ["."]}, "precision": 14, "scale": 1}),
        (["Kyllä", "Ei", None], "boolean", {}, {"true": ["Kyllä"], "false": ["Ei"]}),
        (["ja", "nej"], "boolean", {}, {"true": ["ja"], "false": ["nej"]}),
        (["06100", "00100"], "string", {"pattern": r"^\d{5}$"}, {}),
        (["1", "..", "2", "NULL"], "integer", {"format": "i32"}, {"nulls": ["..", "NULL"]}),
        (["2026.0", "2025.0"], "integer", {"format": "i32"}, {"number": {"decimal": ".", "zeros": True}}),
        (["a", "", "b"], "string", {"maxLength": 10}, {"nulls": [""]}),
        (["31.2.2026"], "string", {"maxLength": 20}, {}),
        (["12 %"], "string", {"maxLength": 10}, {}),
    ],
)  # fmt: skip
def test_formats(texts: list[str | None], kind: str, options: dict[str, Any], settings: dict[str, Any]) -> None:
    found = seen(*texts)
    assert (found.type, found.options, found.settings) == (kind, options, settings)


def test_digits_under_the_title_of_a_code_are_a_text() -> None:
    assert seen("4340", "4342", title="Tilin numero").type == "string"
    assert seen("4340", "4342", title="Väkiluku").type == "integer"


def test_a_column_without_a_value_is_a_text_and_says_so() -> None:
    found = seen(None, None)
    assert (found.type, found.complete) == ("string", False)
    assert "no row" in found.notes[0]
