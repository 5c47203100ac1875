"""Titles of delimited text that are no plain names of columns: they hold delimiters, or values."""

import csv
import io
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from citydata import contract, formats
from citydata.connector_options import Unpivot
from citydata.contract import Contract
from citydata.extract import Block, ContentError, csv_text
from simulators import statistics_files

AREAS = contract.load("statistics.postal_code_areas")
POPULATION = contract.load("statistics.population_by_postal_area")
YEARS = b"posti_alue,X2021,X2022\n"
REAL = statistics_files.files(seed=1, scale=1, day=0, datasets=[AREAS.dataset], faults=False)
[SAMPLE] = [b"".join(content.splitlines(keepends=True)[:40]) for content in REAL.values()]


def parsed(entry: Contract, content: bytes) -> list[Block]:
    pieces = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    names = [column.source_name for column in entry.columns]
    return list(csv_text.parse(entry, entry.platform.connector, iter(pieces), names))  # type: ignore[arg-type]


def rows(blocks: list[Block], entry: Contract) -> list[tuple[Any, ...]]:
    names = [column.name for column in entry.columns]
    return [
        row for block in blocks for row in zip(*(block.rows.column(name).to_pylist() for name in names), strict=True)
    ]


# -- titles that hold the delimiter ----------------------------------------------------------------------------------------


def test_a_header_whose_titles_hold_delimiters_is_known_to_the_letter() -> None:
    header = SAMPLE.removeprefix(csv_text.BYTE_ORDER_MARK).splitlines()[0].decode()
    assert len(next(csv.reader(io.StringIO(header)))) == 21
    assert len(AREAS.columns) == 19
    read = rows(parsed(AREAS, SAMPLE), AREAS)
    assert len(read) == 39
    assert {len(row[0]) for row in read} == {5}
    assert {row[3]: row[4] for row in read}["638"] == "Porvoo"


def test_what_is_no_delimited_text_is_called_what_it_is() -> None:
    document = b'{"class": "dataset", "id": [], "size": [], "dimension": {}}'
    for entry in (AREAS, POPULATION):
        with pytest.raises(ContentError, match=r"; the file is JSON-stat 2, an answer of PxWeb$"):
            parsed(entry, document)


@pytest.mark.parametrize(
    "header",
    [
        b"Postal code area,Name\r\n",
        SAMPLE.splitlines()[0].replace(b"Region", b"region", 1),
        SAMPLE.splitlines()[0].replace(b"development, transport", b"development transport"),
        SAMPLE.splitlines()[0].replace(
            b"Municipality,Name of the municipality", b"Name of the municipality,Municipality"
        ),
    ],
    ids=["another", "another letter", "mended", "another order"],
)
def test_any_other_header_holds_the_batch(header: bytes) -> None:
    with pytest.raises(ContentError, match="not the contract's source names in their order, to the letter"):
        parsed(AREAS, header + b"\r\n" + SAMPLE.split(b"\r\n", 1)[1])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The file with bytes replaced, removed, inserted or repeated below its header, or cut."""
    head, _, body = SAMPLE.partition(b"\n")
    text = bytearray(body)
    for _ in range(draw(st.integers(0, 8))):
        at, length = draw(st.integers(0, len(text))), draw(st.sampled_from((0, 0, 1, 2, 200)))
        text[at : at + length] = draw(
            st.sampled_from((b"\n", b"\r", b"\r\n", b"\0", b'"', b",", b"\xff", b"\xc3", b"\n\n", b'""', b"\\", b""))
            | st.binary(max_size=3)
        )
    return head + b"\n" + bytes(text[: draw(st.sampled_from((None, None, None, len(text) // 2)))])


@given(mutated())
@example(SAMPLE.replace(b"\r\n", b"\r\n\xff,too few and no UTF-8\r\n", 1))
@settings(max_examples=150, deadline=None)
def test_every_line_is_a_row_or_refused_whatever_happens(content: bytes) -> None:
    blocks = parsed(AREAS, content)
    lines = {
        number
        for number, line in enumerate(content.split(b"\n"), 1)
        if number > 1 and line.strip(b"\r")  # blank lines are no rows
    }
    numbers = [number for block in blocks for number in block.numbers.to_pylist()]
    numbers += [row.row_number for block in blocks for row in block.refused]
    assert sorted(numbers) == sorted(lines)
    for block in blocks:
        for column in AREAS.columns:
            done = formats.caster(column, "Europe/Helsinki")(block.rows.column(column.name))
            assert len(done.values) == len(block.rows)


# -- titles that are values ------------------------------------------------------------------------------------------------


def test_each_title_that_is_a_value_makes_a_row_of_each_line() -> None:
    blocks = parsed(POPULATION, YEARS + b"KOKO,10,12\n00100,4,\n")
    assert rows(blocks, POPULATION) == [
        ("KOKO", "2021", "10"), ("00100", "2021", "4"), ("KOKO", "2022", "12"), ("00100", "2022", None),
    ]  # fmt: skip
    assert [block.numbers.to_pylist() for block in blocks] == [[2, 3], [2, 3]]


def test_a_line_that_cannot_be_split_is_refused_once() -> None:
    blocks = parsed(POPULATION, YEARS + b"00100,4\n00120,5,6\n00130,7,8,9\n")
    assert rows(blocks, POPULATION) == [("00120", "2021", "5"), ("00120", "2022", "6")]
    assert [(row.row_number, row.rule) for block in blocks for row in block.refused] == [
        (2, "column_count"), (4, "column_count"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"posti_alue,year,population\n", "no column has a title like “X(\\d{4})”"),
        (b"posti_alue,X2022,X22\n", "unknown: X22"),
        (b"posti_alue,X2022,X2022\n", "two columns have a title like “X(\\d{4})” for the same value"),
        (b"alue,X2022\n", "missing: posti_alue; unknown: alue"),
        (b"posti_alue,X2022,population\n", "repeated: population"),
    ],
)
def test_other_titles_hold_the_batch(header: bytes, complaint: str) -> None:
    with pytest.raises(ContentError, match=re.escape(complaint)):
        parsed(POPULATION, header + b"00100,1,2\n")


@pytest.mark.parametrize(
    ("titles", "complaint"), [("X(", "not a pattern"), ("X", "exactly one group"), ("(X)(Y)", "one")]
)
def test_a_pattern_of_titles_says_which_part_is_the_value(titles: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Unpivot(titles=titles, name="year", value="population")


# -- integers with a fraction of zeros -------------------------------------------------------------------------------------


def test_integers_may_have_a_fraction_of_zeros_where_the_contract_says_so() -> None:
    [year] = [column for column in contract.load("statistics.municipalities").columns if column.name == "year"]
    done = formats.caster(year, "Europe/Helsinki")(
        pa.array(["2026.0", "2026", "2026.00", "2026.5", "2026.", "2026.05", "20260.0", None, "1899.0"])
    )
    assert done.values.to_pylist() == [2026, 2026, 2026, None, None, None, None, None, None]
    assert done.broken["format"].to_pylist() == [False] * 3 + [True] * 4 + [False, True]
    [plain] = [column for column in POPULATION.columns if column.name == "population"]
    assert formats.caster(plain, "Europe/Helsinki")(pa.array(["12.0"])).broken["format"].to_pylist() == [True]
