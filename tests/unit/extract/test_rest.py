"""REST services: what is asked for, how pages follow each other, and what is not believed."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from citydata import contract
from citydata.connector_options import RestConnector, RestValues
from citydata.contract import Contract
from citydata.extract import ContentError, Position, SourceError, pace, rest
from simulators import web

READINGS = contract.read(Path(__file__).parents[2] / "contracts" / "trial" / "readings.yaml")
PAGED = {"parts": None, "parameters": {}}
METERS = [
    {"id": 1, "changed": "2026-11-01", "from": 1, "to": 3, "kinds": ["day", "night"]},
    {"id": 2, "changed": "2026-11-01", "from": 5, "to": 5, "kinds": []},
]

Reply = Callable[[Request], Response]


class Service:
    """A server whose replies a test chooses."""

    def __init__(self) -> None:
        self.reply: Reply = lambda request: Response(status_code=404)
        self.asked: list[str] = []
        self.listening = threading.Event()
        self.server = web.Server(self.answer, listening=lambda address: self.listening.set())

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        self.asked.append(f"{request.url.path}?{request.url.query}")
        await self.reply(request)(scope, receive, send)


@pytest.fixture(scope="module")
def _served() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.server.run, daemon=True)
    thread.start()
    assert made.listening.wait(10)
    yield made
    made.server.should_exit = True
    thread.join(10)


@pytest.fixture
def service(_served: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The server; nobody else asks it, so that there is no pace to keep and no database to keep it in."""
    monkeypatch.setattr(pace, "wait", lambda name, per_second: None)
    monkeypatch.setattr(pace, "postpone", lambda name, seconds: None)
    monkeypatch.setenv("CITYDATA_SOURCE_TRIAL", f"http://reader:geheim@{_served.server.address.partition('//')[2]}/api")
    _served.asked.clear()
    return _served


def asking(**changes: Any) -> Contract:
    """The trial contract with another way of asking."""
    options = {**READINGS.platform.connector.model_dump(exclude_unset=True), "attempts": 2, **changes}
    platform = READINGS.platform.model_copy(update={"connector": RestConnector(**options)})
    return replace(READINGS, platform=platform)


def row(meter: int, day: int, value: float = 1.5) -> dict[str, Any]:
    """A row as the service writes it."""
    return {"meter": meter, "day": day, "reading": {"value": value, "quality": "good"}, "links": {"self": "/x"}}


def read(entry: Contract, number: int = 0) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a candidate, with their numbers, and what the fetch says of its source."""
    candidate = list(rest.candidates(entry, Position()))[number]
    fetch = rest.fetch(entry, candidate)
    found = []
    for block in rest.parse(entry, fetch.chunks, [column.source_name for column in entry.columns]):
        found += [
            {**values, "n": n} for values, n in zip(block.rows.to_pylist(), block.numbers.to_pylist(), strict=True)
        ]
        found += [{"refused": one.rule, "n": one.row_number} for one in block.refused]
    return found, fetch.source


def days(rows: list[dict[str, Any]]) -> list[str]:
    """The days of rows that came in order, numbered from 1."""
    assert [one["n"] for one in rows] == list(range(1, len(rows) + 1))
    return [one["day"] for one in rows]


# -- parts -------------------------------------------------------------------------------------------------------------


def test_parts_are_asked_for_as_the_catalogue_says(service: Service) -> None:
    def reply(request: Request) -> Response:
        if request.url.path == "/api/meters":
            return JSONResponse({"meters": [*METERS, {"id": 3, "changed": "x"}]})
        return JSONResponse({"rows": [row(int(request.query_params["meter"]), 1)]})

    service.reply = reply
    rows, source = read(asking(), 0)
    assert rows == [{"meter": "1", "day": "1", "value": "1.5", "n": 1}]
    assert (source["offered"], source["version"], source["rows_read"]) == ("meter=1", "2026-11-01", 1)
    assert rows != read(asking(), 1)[0]
    assert service.asked == [
        "/api/meters?",
        "/api/rows?unit=kWh&meter=1&days=1&days=2&days=3&kinds=day&kinds=night",
        "/api/meters?",
        "/api/rows?unit=kWh&meter=2&days=5&kinds=all",
    ]


def test_an_offer_is_another_one_when_version_or_question_are(service: Service) -> None:
    def digests(**changes: Any) -> list[str]:
        changed = [METERS[0] | changes, METERS[1]]
        service.reply = lambda request: JSONResponse({"meters": changed})
        offers = [one.offer for one in rest.candidates(asking(), Position())]
        return [offer.digest() for offer in offers if offer]

    before = digests()
    assert digests() == before
    assert len(set(before)) == 2
    for change in ({"changed": "2026-11-02"}, {"to": 4}, {"kinds": ["day"]}):
        after = digests(**change)
        assert after[0] != before[0]
        assert after[1] == before[1]
    assert len(digests(changed=None)) == 1  # a part without a version is read each time


@pytest.mark.parametrize(
    ("version", "again"), [("2026-11-24", True), ("2026-11-25", True), ("2026-11-23", False), ("7", False)]
)
def test_a_day_that_is_not_over_is_read_once_more(version: str, again: bool) -> None:
    """Two changes of one day have the same version."""
    moments = [
        datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((24, 4), (24, 23), (25, 4), (26, 4), (27, 4))
    ]
    digests = [rest._offer(rest._options(asking()), "meter=1", version, {}, moment).digest() for moment in moments]
    assert digests[0] == digests[1]
    assert (digests[1] != digests[2]) is again
    assert digests[3] == digests[4]


def test_a_part_that_the_catalogue_does_not_have_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.reply = lambda request: JSONResponse({"meters": METERS[1:]})
    with caplog.at_level(logging.WARNING):
        assert [one.part for one in rest.candidates(asking(), Position())] == [[2]]
    assert "trial.readings: the source does not have meter=1 (any more)" in caplog.text


@pytest.mark.parametrize(
    "broken", [{"from": None}, {"to": "3"}, {"to": 0}, {"to": 10**9}, {"kinds": "day"}, {"kinds": [{}]}]
)
def test_a_part_whose_question_is_not_told_does_not_stop_the_others(service: Service, broken: dict[str, Any]) -> None:
    service.reply = lambda request: JSONResponse({"meters": [METERS[0] | broken, METERS[1]]})
    found = rest.candidates(asking(), Position())
    assert next(found).part == [2]
    with pytest.raises(
        SourceError, match=r"does not say how to ask for meter=1: (from and to are not a range|kinds is not a list)"
    ):
        next(found)


def test_a_catalogue_that_is_none_is_asked_for_again(service: Service) -> None:
    service.reply = lambda request: JSONResponse({"meters": METERS} if len(service.asked) > 1 else {"error": "busy"})
    assert len(list(rest.candidates(asking(), Position()))) == 2
    service.reply = lambda request: JSONResponse([])
    with pytest.raises(SourceError, match="the answer is not a list of what there is"):
        list(rest.candidates(asking(), Position()))


def test_parts_without_a_catalogue_are_all_read(service: Service) -> None:
    entry = asking(parts={"parameter": "meter", "values": [1, 2]})
    assert [(one.part, one.offer, one.place) for one in rest.candidates(entry, Position())] == [
        ([1], None, {"unit": "kWh", "meter": "1"}),
        ([2], None, {"unit": "kWh", "meter": "2"}),
    ]
    assert service.asked == []


# -- pages -------------------------------------------------------------------------------------------------------------


def test_links_in_the_document_are_followed(service: Service) -> None:
    def reply(request: Request) -> Response:
        page = int(request.query_params.get("page", 1))
        following = [None, f"{service.server.address}/api/rows?page=2", "?page=3", ""][page if page < 3 else 0]
        return JSONResponse({"rows": [row(1, page)], "paging": {"next": following}, "count": 3})

    service.reply = reply
    rows, source = read(asking(**PAGED, paging={"type": "link", "next": ["paging", "next"]}, total=["count"]))
    assert days(rows) == ["1", "2", "3"]
    assert (source["answers"], source["rows_read"], source["rows_reported"]) == (3, 3, 3)


def test_links_in_the_header_are_followed(service: Service) -> None:
    def reply(request: Request) -> Response:
        page = int(request.query_params.get("page", 1))
        link = '</api/rows?page=1>; rel="first", </api/rows?page=2>; rel="next"' if page == 1 else ""
        return JSONResponse({"rows": [row(1, page), row(2, page)]}, headers={"Link": link})

    service.reply = reply
    assert days(read(asking(**PAGED, paging={"type": "link"}))[0]) == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("following", "complaint"),
    [
        ("http://192.0.2.1/api/rows", "another server"),
        ("/api/rows", "a page that came already"),
        (17, "is not the address of a page"),
    ],
)
def test_a_link_that_leads_astray_is_not_followed(service: Service, following: Any, complaint: str) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, 1)], "next": following})
    with pytest.raises(ContentError, match=complaint):
        read(asking(**PAGED, paging={"type": "link", "next": ["next"]}))


def test_links_without_end_are_given_up(service: Service) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, 1)], "next": f"?after={len(service.asked)}"})
    with pytest.raises(ContentError, match="more than 3 pages"):
        read(asking(**PAGED, paging={"type": "link", "next": ["next"], "most_pages": 3}))


@pytest.mark.parametrize("declared", [False, True])
def test_pages_are_counted_until_one_is_empty_or_all_rows_came(service: Service, declared: bool) -> None:
    """Pages of the service hold fewer rows than it could: their size says nothing."""

    def reply(request: Request) -> Response:
        page = int(request.query_params["page"])
        return JSONResponse({"rows": [row(1, 10 * page + n) for n in range(2 if page < 3 else 0)], "total": 4})

    service.reply = reply
    rows, source = read(
        asking(**PAGED, paging={"type": "page", "parameter": "page"}, total=["total"] if declared else [])
    )
    assert days(rows) == ["10", "11", "20", "21"]
    assert source["answers"] == (2 if declared else 3)


def test_offsets_count_the_rows_that_came(service: Service) -> None:
    everything = [row(1, day) for day in range(7)]

    def reply(request: Request) -> Response:
        start = int(request.query_params["offset"])
        return JSONResponse({"rows": everything[start : start + 3]})

    service.reply = reply
    entry = asking(parts=None, parameters={"limit": "1000"}, paging={"type": "offset", "parameter": "offset"})
    assert days(read(entry)[0]) == [str(day) for day in range(7)]
    assert [question.partition("?")[2] for question in service.asked] == [
        f"limit=1000&offset={start}" for start in (0, 3, 6, 7)
    ]


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_source_that_ignores_the_page_is_not_believed(service: Service, kind: str) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, 1)]})
    with pytest.raises(ContentError, match="two pages are the same: the source ignores the parameter page"):
        read(asking(**PAGED, paging={"type": kind, "parameter": "page"}))


# -- whole answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [1, 3])
def test_as_many_rows_come_as_were_declared(service: Service, came: int) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, day) for day in range(came)], "total": 2})
    with pytest.raises(SourceError, match=f"declares 2 rows but sent {came}"):
        read(asking(**PAGED, total=["total"]))


def test_what_is_declared_is_a_number(service: Service) -> None:
    service.reply = lambda request: JSONResponse({"rows": [], "total": "many"})
    with pytest.raises(ContentError, match="declares no number of rows at total"):
        read(asking(**PAGED, total=["total"]))


def test_a_full_answer_is_perhaps_cut_off(service: Service) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, day) for day in range(3)]})
    with pytest.raises(ContentError, match=r"3 rows, as many as the source puts into one \(most_rows\)"):
        read(asking(**PAGED, most_rows=3))
    assert len(read(asking(**PAGED, most_rows=4))[0]) == 3


def test_a_full_last_page_is_believed_when_the_total_agrees(service: Service) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, day) for day in range(3)], "total": 3})
    assert len(read(asking(**PAGED, most_rows=3, total=["total"]))[0]) == 3


HTML = b"<!DOCTYPE html><html><body>Palvelussa on katko</body></html>"


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        ("json", HTML),
        ("json", b'{"rows": [{"meter": 1'),
        ("json", b""),
        ("csv", HTML),
        ("csv", b"<?xml version='1.0'?><error/>"),
        ("csv", b" \n"),
        ("gml", HTML),
        ("gml", b"<ows:ExceptionReport xmlns:ows='http://www.opengis.net/ows/1.1'/>"),
    ],
)
def test_an_answer_of_another_format_is_asked_for_again(service: Service, format_: str, body: bytes) -> None:
    service.reply = lambda request: Response(body)
    with pytest.raises(SourceError, match=r"GET /api/rows failed 2 times: the answer is .*(HTML|JSON|XML|OGC|empty)"):
        read(asking(**PAGED, format=format_, feature="row"))


def test_an_error_page_in_between_does_no_harm(service: Service) -> None:
    service.reply = lambda request: (
        Response(HTML, media_type="text/html") if len(service.asked) == 1 else JSONResponse({"rows": [row(1, 1)]})
    )
    assert len(read(asking(**PAGED))[0]) == 1


def test_delimited_answers_are_read_too(service: Service) -> None:
    service.reply = lambda request: Response("meter;day;reading.value\n1;1;1.5\n1;x\n1;2;\n", media_type="text/csv")
    rows, source = read(asking(**PAGED, format="csv"))
    assert rows == [
        {"meter": "1", "day": "1", "value": "1.5", "n": 2},
        {"meter": "1", "day": "2", "value": None, "n": 4},
        {"refused": "column_count", "n": 3},
    ]
    assert "rows_read" not in source


def test_another_field_is_a_change_of_the_source(service: Service) -> None:
    service.reply = lambda request: JSONResponse({"rows": [row(1, 1) | {"colour": "red"}]})
    with pytest.raises(ContentError, match="unknown: colour"):
        read(asking(**PAGED))


# -- contracts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"parts": {"parameter": "meter", "values": [1, 1]}}, "names a part twice"),
        ({"parts": {"parameter": "meter", "values": []}}, "at least 1 item"),
        ({"paging": {"type": "page"}}, "pages and offsets, which need it"),
        ({"paging": {"type": "link", "parameter": "page"}}, "pages and offsets, which need it"),
        ({"format": "csv", "total": ["total"]}, "for the formats json and geojson"),
        ({"format": "csv", "most_rows": 5}, "for the formats json and geojson"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        asking(**changes)


@pytest.mark.parametrize("values", [{}, {"first": ["from"]}, {"each": ["kinds"], "first": ["from"], "last": ["to"]}])
def test_values_of_a_catalogue_are_a_list_or_a_range(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give `each`, or `first` and `last`"):
        RestValues(**values)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("values: [1, 2]", 'values: ["1", 2]', "of the type of the scope's column meter"),
        ("columns: [meter]", "columns: [value]", "of the type of the scope's column value"),
        ("columns: [meter]", "columns: [meter, day]", "whose scope is one key"),
        ("{type: keys, columns: [meter]}", "{type: everything}", "whose scope is one key"),
    ],
)
def test_parts_are_values_of_the_scopes_column(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    text = READINGS.path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "trial" / "readings.yaml"
    path.parent.mkdir()
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(contract.ContractError, match=complaint):
        contract.read(path)
