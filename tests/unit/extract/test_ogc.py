"""WFS and OGC API Features: what an answer must be before its features count, without a server."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from citydata import contract
from citydata.connector_options import OgcConnector
from citydata.extract import Candidate, ContentError, SourceError, ogc
from citydata.extract.web import Answer, Session, Unfit

BASE = "https://maps.example.org/api"
EPSG3067 = "<http://www.opengis.net/def/crs/EPSG/0/3067>"
Reply = tuple[int, str, dict[str, str]]


class Scripted:
    """A session whose answers are scripted, one a request; one that `check` finds unfit is followed by the next, once."""

    base = BASE
    leads_here = Session.leads_here

    def __init__(self, replies: list[Reply]) -> None:
        self.replies = replies
        self.asked: list[tuple[str, dict[str, str]]] = []

    def get(
        self,
        where: str,
        params: Any = None,
        *,
        accept: str | None = None,
        check: Callable[[Answer], None],
        statuses: Any,
    ) -> Answer:
        for attempt in (1, 2):
            self.asked.append((where, dict(params or {})))
            status, body, headers = self.replies.pop(0)
            assert status in statuses
            response = requests.Response()
            response.status_code, response.reason = status, "Reason"
            response.url = where if "://" in where else f"{BASE}/{where}"
            response.headers.update({"Date": "Tue, 24 Nov 2026 10:00:00 GMT", **headers})
            answer = Answer(response, io.BytesIO(body.encode()), len(body.encode()))
            try:
                check(answer)
            except Unfit as error:
                if attempt == 2:
                    raise SourceError(f"failed 2 times: {error}") from None
            else:
                return answer
        raise AssertionError


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[str], Scripted, dict[str, Any]]]:
    """A function that reads features from scripted answers; returns their keys, the session and what the fetch says."""

    def reading(
        *replies: Reply | str, protocol: str = "wfs", keyless: bool = False, **options: Any
    ) -> tuple[list[str], Scripted, dict[str, Any]]:
        session = Scripted([(200, one, {}) if isinstance(one, str) else one for one in replies])
        monkeypatch.setattr(ogc, "Session", lambda dataset, given: session)
        own = contract.load("gis.addresses")
        key = replace(own.columns[0], source_name="id", key=not keyless)
        connector = OgcConnector(type="ogc", protocol=protocol, connection="maps", **{"type_name": "a:talo", **options})
        one = replace(own, columns=(key,), platform=own.platform.model_copy(update={"connector": connector}))
        fetch = ogc.fetch(one, Candidate(None))
        blocks = list(ogc.parse(one, fetch.chunks, ["id"]))
        assert not session.replies, "every scripted answer was asked for"
        return [v for block in blocks for v in block.rows.column("address_id").to_pylist()], session, fetch.source

    return reading


def wfs(*ids: int | None, attributes: str = "") -> str:
    body = "".join(f"<m:member><talo>{'' if i is None else f'<id>{i}</id>'}</talo></m:member>" for i in ids)
    return f'<m:FeatureCollection xmlns:m="http://www.opengis.net/wfs/2.0" {attributes}>{body}</m:FeatureCollection>'


def hits(count: int | str) -> str:
    return wfs(attributes=f'numberMatched="{count}" numberReturned="0"')


def report(code: str, text: str = "ei onnistu") -> str:
    return (
        f'<o:ExceptionReport xmlns:o="http://www.opengis.net/ows/1.1"><o:Exception exceptionCode="{code}">'
        f"<o:ExceptionText>{text}</o:ExceptionText></o:Exception></o:ExceptionReport>"
    )


PAGED = {"page_size": 2, "sort_by": "id"}


# -- WFS -------------------------------------------------------------------------------------------------------------


def test_everything_at_once_is_compared_with_hits(read: Any) -> None:
    keys, session, source = read(hits(2), wfs(1, 2))
    assert keys == ["1", "2"]
    assert source == {
        "server_time": "2026-11-24T10:00:00+00:00", "answers": 1, "rows_read": 2, "rows_reported": 2,
    }  # fmt: skip
    [(_, first), (_, second)] = session.asked
    assert first == second | {"resultType": "hits"}
    assert second == {"service": "WFS", "version": "2.0.0", "request": "GetFeature", "typeNames": "a:talo"}
    with pytest.raises(SourceError, match="reports 3 features and sent 2"):
        read(hits(3), wfs(1, 2))


@pytest.mark.parametrize("unknown", [hits("unknown"), wfs(1, 2), "<html/>", wfs(1, attributes='numberOfFeatures="1"')])
def test_a_server_that_does_not_tell_is_read_all_the_same(read: Any, unknown: str) -> None:
    keys, _, source = read(unknown, wfs(1, 2))
    assert keys == ["1", "2"]
    assert "rows_reported" not in source


def test_pages_of_a_server_that_does_not_tell_end_with_an_empty_one(read: Any) -> None:
    keys, session, _ = read(hits("unknown"), wfs(1, 2), wfs(3), wfs(4), wfs(), **PAGED)
    assert keys == ["1", "2", "3", "4"]
    assert [asked.get("startIndex") for _, asked in session.asked] == [None, "0", "2", "3", "4"]
    assert read(hits("unknown"), wfs(), **PAGED)[0] == []
    assert read(hits(0), wfs(), **PAGED)[0] == []


def test_versions_have_their_own_words(read: Any) -> None:
    _, session, _ = read(
        hits(2), hits(5), wfs(1, 2), version="1.1.0", srs="EPSG:3880", filter="a='b'", **PAGED
    )  # fmt: skip
    assert session.asked[-1][1] == {
        "service": "WFS", "version": "1.1.0", "request": "GetFeature", "typeName": "a:talo", "srsName": "EPSG:3880",
        "sortBy": "id", "CQL_FILTER": "a='b'", "startIndex": "0", "maxFeatures": "2",
    }  # fmt: skip
    assert "CQL_FILTER" not in session.asked[1][1]
    _, session, _ = read(wfs(1), version="1.0.0")
    assert [asked.get("resultType") for _, asked in session.asked] == [None], "version 1.0.0 knows no hits"
    _, session, _ = read(hits(1), wfs(1), srs="EPSG:3880")
    assert session.asked[-1][1]["srsName"] == "urn:ogc:def:crs:EPSG::3880"


@pytest.mark.parametrize(
    ("unfit", "said"),
    [
        (report("NoApplicableCode", "kanta poikki"), "an exception report: NoApplicableCode: kanta poikki"),
        (report("NoApplicableCode", "henkilö 010190-900P"), "an exception report: NoApplicableCode: henkilö "),
        (wfs(1, 2)[:-30], "not well-formed XML"),
        (wfs(1, 2, attributes='numberReturned="3"'), "says that it has 3 features and holds 2"),
        ("<html><body>Huoltokatko</body></html>", "its root element is html"),
        ("", "the file is empty"),
        (wfs(1)[:60] + ">" + report("NoApplicableCode")[:80], "an exception report: which is not whole"),
    ],
)
def test_an_answer_that_may_be_right_the_next_time_is_asked_for_again(read: Any, unfit: str, said: str) -> None:
    assert read(hits(2), unfit, wfs(1, 2))[0] == ["1", "2"]
    with pytest.raises(SourceError, match=f"failed 2 times: .*{said}") as error:
        read(hits(2), unfit, unfit)
    assert "010190" not in str(error.value)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("code", sorted(ogc.REFUSALS))
def test_what_asking_again_does_not_change_is_not_asked_again(read: Any, status: int, code: str) -> None:
    with pytest.raises(
        SourceError, match=rf"the source refuses the request \({code}: ei onnistu\): compare the contract"
    ):
        read((status, report(code), {}))


def test_a_page_of_a_web_server_is_no_wfs(read: Any) -> None:
    with pytest.raises(SourceError, match="the source answers 404 Reason: check the address of the connection"):
        read((404, "<html/>", {}))


def test_other_features_are_held_with_the_answer(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[str] = []
    record = ogc.answers.record
    monkeypatch.setattr(ogc.answers, "record", lambda answer: recorded.append(answer.url) or record(answer))
    with pytest.raises(ContentError, match="holds talo where the contract expects kiinteisto"):
        read(hits(2), wfs(1, 2), feature="kiinteisto")
    assert len(recorded) == 1, "what was wrong is in the archive"


def test_a_reading_never_ends_quietly_before_its_last_page(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if what parses the archive were content with what the fetch found to be wrong."""
    monkeypatch.setattr(ogc, "parse", lambda contract, chunks, columns: [chunk for chunk in chunks if not chunk])
    with pytest.raises(ContentError, match="holds talo where the contract expects kiinteisto"):
        read(hits(2), wfs(1, 2), feature="kiinteisto")


def test_a_feature_that_comes_twice_ends_the_reading(read: Any) -> None:
    with pytest.raises(SourceError, match="1 features of a page came on an earlier one"):
        read(hits(4), wfs(1, 2), wfs(2, 3), **PAGED)
    assert read(hits(3), wfs(1, None), wfs(None), hits(3), **PAGED)[0] == ["1", None, None], (
        "without a key none is another"
    )
    with pytest.raises(SourceError, match="1 features of a page"):
        read(hits(4), wfs(1, 2), wfs(1, 2), keyless=True, **PAGED)
    assert read(hits(4), wfs(1, 2), wfs(2, 2), hits(4), keyless=True, **PAGED)[0] == ["1", "2", "2", "2"]


def test_a_source_that_changed_while_it_was_read_is_read_again(read: Any) -> None:
    assert read(hits(3), wfs(1, 2), wfs(3), hits(3), **PAGED)[0] == ["1", "2", "3"]
    with pytest.raises(SourceError, match="content changed while its pages were read"):
        read(hits(3), wfs(1, 2), wfs(3), hits(4), **PAGED)


def test_a_filter_must_leave_something_out(read: Any) -> None:
    assert read(hits(1), hits(5), wfs(1), filter="a='b'")[2]["rows_without_filter"] == 5
    with pytest.raises(SourceError, match="reports 5 features with the contract's filter and without it"):
        read(hits(5), hits(5), filter="a='b'")
    assert read(hits(0), hits(0), wfs(), filter="a='b'")[0] == []
    assert read(hits("unknown"), wfs(1), filter="a='b'")[0] == ["1"]


# -- OGC API Features ------------------------------------------------------------------------------------------------


def page(*ids: int, following: str | None = None, crs: str | None = EPSG3067, **members: Any) -> Reply:
    features = [{"type": "Feature", "geometry": None, "properties": {"id": i}} for i in ids]
    links = [{"rel": "self", "href": BASE}] + ([{"rel": "next", "href": following}] if following else [])
    document = {"type": "FeatureCollection", "features": features, "links": links} | members
    return 200, json.dumps(document), {"Content-Crs": crs} if crs else {}


API = {"protocol": "features", "type_name": "talot", "srs": "EPSG:3067"}


def test_pages_are_those_that_the_server_links(read: Any) -> None:
    nine = {"numberMatched": 3}
    keys, session, source = read(
        page(1, **nine), page(1, 2, following=f"{BASE}/x?cursor=a%2Fb", **nine), page(3, **nine), page(1, **nine),
        **API, page_size=2,
    )  # fmt: skip
    assert (keys, source["rows_reported"]) == (["1", "2", "3"], 3)
    crs = "http://www.opengis.net/def/crs/EPSG/0/3067"
    assert session.asked[1] == ("collections/talot/items", {"crs": crs, "limit": "2"})
    assert session.asked[2] == (f"{BASE}/x?cursor=a%2Fb", {}), "to the letter"
    keys, _, source = read(page(1), page(1, following="items?b"), page(), **API)
    assert keys == ["1"]
    assert "rows_reported" not in source
    assert read(page(1, crs=None), page(1, crs=None), **{**API, "srs": None})[0] == ["1"]


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ([page(1, following="https://elsewhere.example.org/x")], "leads to another server"),
        ([page(1, following="http://maps.example.org/api/x")], "leads to another server"),
        ([page(1, following=f"{BASE}/collections/talot/items")], "that of an earlier one"),
        ([page(1, following="x"), page(2, following="x")], "that of an earlier one"),
        ([page(1, following="x"), page(1)], "1 features of a page came on an earlier one"),
        ([page(1, 2, numberMatched=3)], "reports 3 features and sent 2"),
        (
            [page(1, crs="<http://www.opengis.net/def/crs/EPSG/0/3880>")],
            "answers in the reference system .*3880 and was asked for",
        ),
        ([page(1, crs=None)], "answers in the reference system .*CRS84 and was asked for"),
        ([(400, '{"description": "filter of 010190-900P"}', {})], r"refuses the request \(filter of "),
        ([(400, "[]", {})], "no reason is given"),
        ([page(1, numberReturned=2)] * 2, "says that it has 2 features and holds 1"),
        ([(200, "[]", {})] * 2, "is not a collection of features"),
        ([(200, "<html/>", {})] * 2, "the answer is not JSON"),
    ],
)
def test_pages_that_do_not_belong_together_are_not_taken(read: Any, replies: list[Reply], said: str) -> None:
    first = page(1, **({"numberMatched": 3} if "reports 3" in said else {}))
    with pytest.raises(SourceError, match=said) as error:
        read(first, *replies, **API)
    assert "010190" not in str(error.value)


def test_another_field_is_held(read: Any) -> None:
    other = json.dumps(
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None, "properties": {"x": 1}}]}
    )
    with pytest.raises(ContentError):
        read((200, other, {"Content-Crs": EPSG3067}), (200, other, {"Content-Crs": EPSG3067}), **API)
