"""What a format accepts round-trips exactly, what it does not say is refused; Python's own types are the oracle."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citydata import formats
from citydata.contract import Column, ColumnSettings

HELSINKI = ZoneInfo("Europe/Helsinki")
LOCAL_TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31))  # noqa: DTZ001 - as a clock on the wall says
PG_TYPES = {"string": "text", "date": "date", "timestamp": "timestamptz", "boolean": "boolean"}


def column(kind: str, options: dict[str, Any] | None = None, pg_type: str = "", **settings: Any) -> Column:
    own = ColumnSettings(description_sv="x", description_en="x", **settings)
    return Column(
        name="x",
        source_name="x",
        type=kind,
        pg_type=pg_type or PG_TYPES.get(kind, f"numeric({own.precision},{own.scale})"),
        required=False,
        key=False,
        classification="internal",
        personal_data=None,
        volatile=False,
        description_fi="x",
        description_sv="x",
        description_en="x",
        options=options or {},
        settings=own,
    )


def reader(one: Column) -> Callable[[str], Any]:
    """A function that casts one text and returns its value, or the name of the rule that it broke."""
    cast = formats.caster(one, "Europe/Helsinki")

    def read(text: str) -> Any:
        done = cast(pa.array(["", text, None], pa.string()))
        assert not any(mask[2].as_py() for mask in done.broken.values()), "a missing value breaks no format"
        assert done.values[2].as_py() is None, "a missing value stays missing"
        broken = [rule for rule, mask in done.broken.items() if mask[1].as_py()]
        if broken:
            assert done.values[1].as_py() is None
            return broken
        return done.values[1].as_py()

    return read


DATE = reader(column("date", {"format": "yyyy-MM-dd"}))
FINNISH = reader(column("date", {"format": "d.M.yyyy"}))
LOCAL = reader(column("timestamp", {"format": "yyyy-MM-dd HH:mm:ss"}))
ZONED = reader(column("timestamp", {"format": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}))
AMOUNT = reader(column("number", number={"decimal": ",", "thousands": [" ", "\u00a0"]}))
PLAIN = reader(column("number", precision=6, scale=3))
WHOLE = reader(column("number", precision=4, scale=0))
FLAG = reader(column("boolean", true=["K", "kyllä"], false=["E"]))
INTEGERS = {size: reader(column("integer", pg_type=size)) for size in ("smallint", "integer", "bigint")}


@given(st.dates())
def test_every_date_round_trips(day: date) -> None:
    assert DATE(day.isoformat()) == day
    assert FINNISH(f"{day.day}.{day.month}.{day.year:04}") == day
    assert FINNISH(f"{day.day:02}.{day.month:02}.{day.year:04}") == day


@given(st.integers(0, 40), st.integers(0, 15), st.integers(1, 3000))
def test_a_date_exists_or_is_refused(day: int, month: int, year: int) -> None:
    try:
        expected: Any = date(year, month, day)
    except ValueError:
        expected = ["format"]
    assert FINNISH(f"{day}.{month}.{year:04}") == expected
    assert DATE(f"{year:04}-{month:02}-{day:02}") == expected


@given(st.text("0123456789.-/ T:e", max_size=12))
def test_a_text_that_is_no_date_is_refused(text: str) -> None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        assert DATE(text) == ["format"]
    if not re.fullmatch(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}", text):
        assert FINNISH(text) == ["format"]


@pytest.mark.parametrize(
    "text", ["today", "now", "infinity", "2026-2-1", "20260201", " 2026-02-01", "2026-02-01\n", "2026-02-01T00:00", "0000-01-01"]
)  # fmt: skip
def test_what_postgresql_would_guess_is_refused(text: str) -> None:
    assert DATE(text) == ["format"]


@given(LOCAL_TIMES.map(lambda moment: moment.replace(microsecond=0)))
def test_a_local_time_is_helsinkis_or_refused_where_the_clock_skips_or_doubles(moment: datetime) -> None:
    first, second = (moment.replace(tzinfo=HELSINKI, fold=fold).astimezone(UTC) for fold in (0, 1))
    exists = first.astimezone(HELSINKI).replace(tzinfo=None) == moment
    assert LOCAL(f"{moment:%Y-%m-%d %H:%M:%S}") == (first if exists and first == second else ["format"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("refuse", ["format"]),
        ("earliest", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("latest", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_the_hour_that_autumn_doubles_is_the_contracts_choice(choice: str, expected: Any) -> None:
    read = reader(column("timestamp", {"format": "yyyy-MM-dd HH:mm:ss"}, doubledHour=choice))
    assert read("2026-10-25 03:30:00") == expected
    assert read("2026-10-25 02:59:59") == datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)
    assert read("2026-10-25 04:00:00") == datetime(2026, 10, 25, 2, tzinfo=UTC)


@pytest.mark.parametrize("choice", ["refuse", "earliest", "latest"])
def test_the_hour_that_spring_skips_does_not_exist(choice: str) -> None:
    read = reader(column("timestamp", {"format": "yyyy-MM-dd HH:mm:ss"}, doubledHour=choice))
    assert read("2026-03-29 03:30:00") == ["format"]
    assert read("2026-03-29 02:59:59") == datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
    assert read("2026-03-29 04:00:00") == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_a_zone_of_its_own() -> None:
    read = reader(column("timestamp", {"format": "yyyy-MM-dd HH:mm:ss", "defaultTimezone": "UTC"}))
    assert read("2026-03-29 03:30:00") == datetime(2026, 3, 29, 3, 30, tzinfo=UTC)


@given(
    LOCAL_TIMES,
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes)),
)
def test_a_zoned_time_round_trips(moment: datetime, offset: timedelta) -> None:
    sign, minutes = "-" if offset < timedelta() else "+", abs(int(offset.total_seconds())) // 60
    text = f"{moment.isoformat(timespec='microseconds')}{sign}{minutes // 60:02}:{minutes % 60:02}"
    assert ZONED(text) == moment.replace(tzinfo=UTC) - offset


@pytest.mark.parametrize(
    "text", ["2026-02-01T10:00:00+02:00", "2026-02-01 10:00:00.000000+02:00", "2026-02-01T24:00:00.000000Z", "2026-02-01T10:00:00.000000"]
)  # fmt: skip
def test_a_time_written_otherwise_is_refused(text: str) -> None:
    assert ZONED(text) == ["format"]


def finnish(amount: Decimal, separator: str) -> str:
    return f"{amount:,f}".replace(",", separator).replace(".", ",")


@given(st.decimals("-999999999999.99", "999999999999.99", places=2), st.sampled_from(["", " ", "\u00a0"]))
def test_every_amount_round_trips(amount: Decimal, separator: str) -> None:
    assert AMOUNT(finnish(amount, separator)) == amount


@given(st.decimals("-9999999999999999", "9999999999999999", places=3))
def test_an_amount_that_does_not_fit_is_refused_and_never_rounded(amount: Decimal) -> None:
    assert AMOUNT(finnish(amount, " ")) == ["format"], "three decimals are one too many"
    fits = abs(amount) < 1000
    assert PLAIN(f"{amount:f}") == (amount if fits else ["format"])


@given(st.text("0123456789 ,.-+eNa\u00a0_", max_size=10))
def test_a_text_is_an_amount_exactly_when_the_grammar_says_so(text: str) -> None:
    grammar = r"-?([0-9]{1,12}|[0-9]{1,3}( [0-9]{3})+|[0-9]{1,3}(\u00a0[0-9]{3})+)(,[0-9]{1,2})?"
    fits = re.fullmatch(grammar, text) and len(re.sub(r"\D", "", text.partition(",")[0])) <= 12
    plain = text.replace(" ", "").replace("\u00a0", "").replace(",", ".")
    assert AMOUNT(text) == (Decimal(plain) if fits else ["format"])


@given(st.integers(-20_000, 20_000))
def test_a_number_without_decimals(value: int) -> None:
    assert WHOLE(str(value)) == (value if abs(value) < 10_000 else ["format"])
    assert WHOLE(f"{value}.0") == ["format"]


@given(
    st.one_of(
        st.integers(),
        st.sampled_from([2**power + more for power in (15, 31, 63) for more in (-1, 0, 1)]).flatmap(
            lambda n: st.sampled_from([n, -n])
        ),
    )
)
def test_an_integer_fits_its_type_or_is_refused(value: int) -> None:
    for bits, size in ((16, "smallint"), (32, "integer"), (64, "bigint")):
        fits = -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
        assert INTEGERS[size](str(value)) == (value if fits else ["format"])


@pytest.mark.parametrize("text", ["1.0", "1 000", "+1", "0x1F", "1_000", "१", " 1", "1e3", "--1", "-"])
def test_a_text_that_is_no_integer_is_refused(text: str) -> None:
    assert INTEGERS["bigint"](text) == ["format"]


@pytest.mark.parametrize(
    ("text", "value"), [("K", True), ("kyllä", True), ("E", False), ("k", ["format"]), ("true", ["format"]), ("1", ["format"])]
)  # fmt: skip
def test_a_boolean_is_what_the_contract_lists(text: str, value: Any) -> None:
    assert FLAG(text) == value


@pytest.mark.parametrize(
    ("bounds", "value"),
    [
        ({"minimum": 0}, ["format"]),
        ({"maximum": -5}, -5),
        ({"minimum": -5, "maximum": -5}, -5),
        ({"maximum": -6}, ["format"]),
    ],
)
def test_bounds_of_a_contract(bounds: dict[str, int], value: Any) -> None:
    assert reader(column("integer", bounds, pg_type="integer"))("-5") == value
    assert reader(column("number", bounds))("-5") == value


def test_a_pattern_is_about_the_whole_text_and_a_length_about_characters() -> None:
    assert reader(column("string", {"pattern": "a|b"}))("ab") == ["pattern"]
    assert reader(column("string", {"pattern": "a|b"}))("b\n") == ["pattern"]
    assert reader(column("string", {"maxLength": 3}))("äöå") == "äöå"
    assert reader(column("string", {"maxLength": 3}))("äöåä") == ["length"]
    assert reader(column("string", {"minLength": 2}))("ä") == ["length"]


@pytest.mark.parametrize("kind", ["string", "date", "number", "integer"])
def test_only_the_contracts_texts_mean_nothing(kind: str) -> None:
    options = {"format": "yyyy-MM-dd"} if kind == "date" else {}
    size = "integer" if kind == "integer" else ""
    read = reader(column(kind, options, pg_type=size, nulls=["NULL", "..", "-"]))
    assert [read(text) for text in ("NULL", "..", "-")] == [None, None, None]
    other = "NULL " if kind == "string" else ["format"]
    assert read("NULL ") == other


def test_an_unknown_letter_in_a_pattern_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"“w” in the format “yyyy-ww” is not supported; known: yyyy"):
        formats.pattern("yyyy-ww")
