"""Whatever happens to the bytes of an answer of Sotkanet: it is refused as a whole, or each of its rows is accounted for."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citydata import contract, formats, town
from citydata.connector_options import RestConnector, TextFormat
from citydata.contract import Contract
from citydata.extract import ContentError, Position, SourceError, answers, rest, text_format
from citydata.extract.web import Unfit
from simulators import sotkanet

VALUES = contract.load("social_health.indicator_values")
DELIMITED = {"value": "primary value", "absolute_value": "absolute value"}
DELIMITED_VALUES = replace(
    VALUES,
    columns=tuple(replace(column, source_name=DELIMITED.get(column.name, column.name)) for column in VALUES.columns),
    platform=VALUES.platform.model_copy(
        update={"connector": RestConnector(type="rest", connection="sotkanet", path="csv", format="csv")}
    ),
)


class Answered:
    """What archiving and checking ask of an answer."""

    status, reason = 200, "OK"
    url, content_type = "https://source.example/rest/1.1/json?indicator=4", "application/json"
    server_time = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __init__(self, body: bytes) -> None:
        self._body, self.bytes = body, len(body)
        self.headers = {"Content-Type": self.content_type}

    def open(self) -> io.BytesIO:
        """The body."""
        return io.BytesIO(self._body)

    def json(self) -> Any:
        """As `web.Answer` does."""
        try:
            return json.loads(self._body)
        except ValueError:
            raise Unfit("the answer is not JSON") from None


def _rows() -> list[sotkanet.Value]:
    rows = sotkanet.values(1, 0.05, sotkanet.INDICATORS[1], 0)
    return [row for row in rows if row.year == 2024][:12]


REGIONS_BODY = json.dumps(sotkanet.regions(0.05)[:6], ensure_ascii=False).encode()
LISTED_BODY = json.dumps(
    [sotkanet.indicator_of(one, 0) for one in sotkanet.INDICATORS[:3]], ensure_ascii=False
).encode()
VALUES_BODY = json.dumps([sotkanet._as_json(row) for row in _rows()]).encode()
DELIMITED_BODY = "\n".join([sotkanet.CSV_HEADER, *map(sotkanet._as_csv, _rows()), ""]).encode()

CASES = {
    "regions": (contract.load("social_health.regions"), REGIONS_BODY),
    "indicators": (contract.load("social_health.indicators"), LISTED_BODY),
    "values": (VALUES, VALUES_BODY),
    "delimited": (DELIMITED_VALUES, DELIMITED_BODY),
}


@st.composite
def _damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """The body after up to three injuries: bytes changed, taken away, put in or doubled."""
    found = bytearray(body)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found)))
        length = draw(st.integers(0, 40))
        piece = draw(
            st.sampled_from([b"", b"\0", b"null", b'"', b"]", b"\xff", b"1e9", b"-", b";", b"\r\n", b",{}", bytes(found[at : at + length])])
            | st.binary(max_size=6)
        )  # fmt: skip
        found[at : at + draw(st.sampled_from([0, 1, length]))] = piece
    return bytes(found)


def _chunks(body: bytes) -> Iterator[bytes]:
    made: Any = Answered(body)
    return answers.record(made)


def _received(entry: Contract, body: bytes) -> int | None:
    """How many rows a body has, by the standard library's own reading; None where that says nothing."""
    if entry is DELIMITED_VALUES:
        return None
    return len(json.loads(body.decode("utf-8-sig")))


def _check_accounted(entry: Contract, body: bytes) -> None:
    zone = town.load().time_zone
    columns = [column.source_name for column in entry.columns]
    try:
        blocks = list(rest.parse(entry, _chunks(body), columns))
    except ContentError:
        return
    numbers = [number for block in blocks for number in block.numbers.to_pylist()]
    numbers += [refused.row_number for block in blocks for refused in block.refused]
    assert len(set(numbers)) == len(numbers)
    if (received := _received(entry, body)) is not None:
        assert sorted(numbers) == list(range(1, received + 1))
    else:  # every line but the header and blank ones
        lines = body.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        assert sorted(numbers) == [n for n, line in enumerate(lines, 1) if n > 1 and line.strip(b"\r")]
    for block in blocks:
        for column in entry.columns:
            if column.name not in block.rows.schema.names:
                continue
            texts = block.rows.column(column.name)
            done = formats.caster(column, zone)(texts)
            lost = pc.and_(pc.is_valid(texts), pc.is_null(done.values))
            for broken in done.broken.values():
                lost = pc.and_(lost, pc.invert(broken))
            assert not pc.any(lost).as_py(), f"a value of {column.name} became nothing, and no rule says so"


def test_a_header_with_a_line_break_of_its_own_is_refused() -> None:
    with pytest.raises(ContentError, match="not one line"):
        list(
            rest.parse(
                DELIMITED_VALUES, _chunks(b"\r" + DELIMITED_BODY), [c.source_name for c in DELIMITED_VALUES.columns]
            )
        )


@pytest.mark.parametrize("case", CASES)
def test_whole_answers_are_read(case: str) -> None:
    entry, body = CASES[case]
    blocks = list(rest.parse(entry, _chunks(body), [column.source_name for column in entry.columns]))
    assert sum(len(block.rows) for block in blocks) == {"regions": 6, "indicators": 3}.get(case, 12)
    _check_accounted(entry, body)


# pyarrow cannot show the handler a short line that is not UTF-8 and says so; such lines are then sorted out one by one.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=100, deadline=None)
@given(st.data())
@pytest.mark.parametrize("case", CASES)
def test_damaged_answers_lose_nothing_silently(case: str, data: st.DataObject) -> None:
    entry, body = CASES[case]
    _check_accounted(entry, data.draw(_damaged(body)))


class Catalogue:
    """A session that gets one answer, asked once."""

    body = b""

    def __init__(self, *_: object) -> None: ...

    def get(self, where: str, *, accept: str, check: Any) -> Any:
        """The body, when it passes the check."""
        answer = Answered(self.body)
        try:
            check(answer)
        except Unfit as error:
            raise SourceError(str(error)) from None
        return answer


@settings(max_examples=100, deadline=None)
@given(_damaged(LISTED_BODY))
def test_a_damaged_catalogue_is_an_error_of_the_source(body: bytes) -> None:
    with mock.patch.object(rest, "Session", Catalogue), mock.patch.object(Catalogue, "body", body):
        try:
            found = list(rest.candidates(VALUES, Position()))
        except SourceError:
            return
    assert all(candidate.part and candidate.place["indicator"] == str(candidate.part[0]) for candidate in found)


@pytest.mark.parametrize(
    ("dataset", "name", "reason"),
    [
        ("social_health.indicator_values", "thl-cube.shape.json", "JSON-stat 1, an answer of a THL cube"),
        ("social_health.indicator_values", "thl-cube-dimensions.shape.jsonp", "not JSON"),
        ("statistics.municipalities", "thl-cube.shape.csv", "the columns are not the contract's"),
    ],
)
def test_answers_of_other_services_are_refused_with_what_they_are(
    real_data: Path, dataset: str, name: str, reason: str
) -> None:
    entry = contract.load(dataset)
    options = entry.platform.connector
    assert isinstance(options, TextFormat)
    chunks = iter([(real_data / "social-health" / name).read_bytes()])
    with pytest.raises(ContentError, match=reason):
        list(text_format.parse(entry, options, chunks, [column.source_name for column in entry.columns]))
