"""Features of a WFS (OGC 04-094, 09-025r2) or of an OGC API Features server (OGC 17-069r4), all of one type at each reading.

Servers leave out features without a word: they cap answers, lose their order between pages, ignore filters. So what
comes is counted against what the server says that there is, pages are asked for from where the last one really ended, and a
feature that comes on two pages ends the reading. The contract's rows are parsed from the archived answers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from lxml import etree

from citydata.connector_options import OgcConnector, TextFormat
from citydata.contract import Contract
from citydata.extract import (
    Block,
    Candidate,
    ContentError,
    Fetch,
    Position,
    SourceError,
    answers,
    gml_text,
    text_format,
)
from citydata.extract.web import Answer, Session, Unfit
from citydata.privacy import identity_code

MOST_PAGES = 10_000
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
GEOJSON = "application/geo+json, application/json;q=0.9"
# What asking again does not change (OWS Common 06-121r9 table 27, WFS 2.0 table 3, and WFS 1.0's own).
REFUSALS = {
    *("InvalidParameterValue", "MissingParameterValue", "OperationNotSupported", "OptionNotSupported", "InvalidValue"),
    *("VersionNegotiationFailed", "OperationParsingFailed", "LayerNotDefined", "InvalidFormat"),
}
ADVICE = "compare the contract's version, type_name, sort_by and filter with the server's capabilities"


def candidates(contract: Contract, position: Position) -> Iterator[Candidate]:
    """Everything, at each reading: these servers do not say what changed."""
    yield Candidate(None)


def fetch(contract: Contract, candidate: Candidate) -> Fetch:
    """Open the reading. `source` tells the server's time, the answers, and the features reported and received."""
    result = Fetch(iter(()), dict(candidate.source))
    result.chunks = _chunks(contract, result)
    return result


def parse(contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
    """Rows of all answers of an archived reading, numbered through."""
    row = 1
    for answer in answers.read(chunks):
        for block in text_format.parse(contract, format_of(_options(contract)), answer.chunks, columns, row):
            row += len(block.rows) + len(block.refused)
            yield block


def titles_of(contract: Contract, chunks: Iterator[bytes]) -> list[str]:
    """The titles of all answers of an archived reading as their source has them."""
    options = format_of(_options(contract))
    each = (text_format.titles_of(contract, options, answer.chunks) for answer in answers.read(chunks))
    return list(dict.fromkeys(title for titles in each for title in titles))


def _options(contract: Contract) -> OgcConnector:
    options = contract.platform.connector
    assert isinstance(options, OgcConnector)
    return options


def format_of(options: OgcConnector) -> TextFormat:
    """How the answers are read."""
    if options.protocol == "features":
        return TextFormat(format="geojson", srs=options.srs)
    feature = options.feature or options.type_name.rpartition(":")[2]
    return TextFormat(
        format="gml", feature=feature, srs=options.srs, axes=options.axes, max_line_bytes=options.max_feature_bytes
    )


@dataclass(frozen=True)
class _Page:
    """An answer with features: what identifies each (None where the key is missing), and what follows it."""

    answer: Answer
    identities: list[tuple[Any, ...] | None]
    reported: int | None = None
    following: str | None = None
    wrong: ContentError | None = None  # it is whole, but not what the contract says


def _chunks(contract: Contract, result: Fetch) -> Iterator[bytes]:
    options = _options(contract)
    server = (_Wfs if options.protocol == "wfs" else _Features)(contract, options)
    source = result.source
    reported = server.reported()
    if reported is not None and options.filter:
        source["rows_without_filter"] = everything = server.reported(filtered=False)
        if reported == everything and reported:
            raise SourceError(
                f"the source reports {reported} features with the contract's filter and without it: it ignores the filter,"
                " or the filter is not needed and can be left out"
            )
    received = _Received(bool(contract.key))
    for page in server.pages(reported, received):
        source.setdefault("server_time", page.answer.server_time.isoformat())
        source["answers"] = source.get("answers", 0) + 1
        yield from answers.record(page.answer)
        if page.wrong:
            raise page.wrong
    source["rows_read"] = received.count
    if reported is None:
        return
    source["rows_reported"] = reported
    if received.count != reported:
        raise SourceError(
            f"the source reports {reported} features and sent {received.count}: it sends no more at once (set page_size and"
            " sort_by in the contract), or its content changed meanwhile"
        )
    if source["answers"] > 1 and server.reported() != reported:
        raise SourceError("the source's content changed while its pages were read; they are read again")


class _Received:
    """What came until now."""

    def __init__(self, keyed: bool) -> None:
        self.count = 0
        self._keyed = keyed
        self._seen: set[Any] = set()

    def take(self, page: _Page) -> None:
        """Count a page. Raises SourceError when a feature of it, or without a key all of it, came on an earlier page."""
        self.count += len(page.identities)
        if not page.identities:
            return
        if self._keyed:
            new: set[Any] = {identity for identity in page.identities if identity is not None}
        else:
            new = {tuple(page.identities)}
        if again := len(new & self._seen):
            raise SourceError(
                f"{again} features of a page came on an earlier one: the source ignores the paging (leave page_size out), or"
                " its order is not stable (sort_by must be unique)"
            )
        self._seen |= new


class _Server:
    """One source that is being read."""

    def __init__(self, contract: Contract, options: OgcConnector) -> None:
        self.contract, self.options = contract, options
        self.session = Session(contract.dataset, options)
        self.format = format_of(options)
        self.columns = [column.source_name for column in contract.columns]
        self.identity = contract.key or [column.name for column in contract.columns]

    def reported(self, *, filtered: bool = True) -> int | None:
        """How many features the source says that it has; None when it does not say."""
        raise NotImplementedError

    def pages(self, reported: int | None, received: _Received) -> Iterator[_Page]:
        """The answers that hold all features, each counted in `received`."""
        raise NotImplementedError

    def _identities(self, answer: Answer) -> list[tuple[Any, ...] | None]:
        found: list[tuple[Any, ...] | None] = []
        body = answer.open()
        chunks = iter(lambda: body.read(1 << 20), b"")
        for block in text_format.parse(self.contract, self.format, chunks, self.columns):
            for row in zip(*(block.rows.column(name).to_pylist() for name in self.identity), strict=True):
                found.append(None if self.contract.key and None in row else row)
            found += [None] * len(block.refused)
        return found


# -- WFS -------------------------------------------------------------------------------------------------------------


class _Wfs(_Server):
    """KVP GET. Version 1.0.0 has no hits; paging by startIndex is WFS 2.0, and what some 1.1.0 servers do as well."""

    def reported(self, *, filtered: bool = True) -> int | None:
        if self.options.version == "1.0.0":
            return None
        answer = self._get(self._question(filtered=filtered) | {"resultType": "hits"}, _check_xml)
        return _hits(answer)

    def pages(self, reported: int | None, received: _Received) -> Iterator[_Page]:
        size = self.options.page_size
        if size is None:
            page = self._page({})
            received.take(page)
            yield page
            return
        word = "count" if self.options.version == "2.0.0" else "maxFeatures"
        for _ in range(MOST_PAGES):
            page = self._page({"startIndex": str(received.count), word: str(size)})
            received.take(page)
            if page.identities or page.wrong or not received.count:
                yield page
            if page.wrong or not page.identities or received.count == reported:
                return
        raise SourceError(f"the source sent more than {MOST_PAGES} pages")

    def _page(self, parameters: dict[str, str]) -> _Page:
        found: list[_Page] = []

        def check(answer: Answer) -> None:
            _check_xml(answer)
            try:
                found.append(_Page(answer, self._identities(answer)))
            except gml_text.NotWhole as error:
                raise Unfit(str(error)) from None
            except ContentError as error:
                found.append(_Page(answer, [], wrong=error))

        self._get(self._question() | parameters, check)
        return found[-1]

    def _get(self, question: dict[str, str], check: Callable[[Answer], None]) -> Answer:
        return self.session.get("", question, check=check, statuses=(200, 400, 404))

    def _question(self, *, filtered: bool = True) -> dict[str, str]:
        options = self.options
        newer = options.version == "2.0.0"
        question = {
            "service": "WFS",
            "version": options.version,
            "request": "GetFeature",
            "typeNames" if newer else "typeName": options.type_name,
        }
        if options.srs:
            question["srsName"] = f"urn:ogc:def:crs:EPSG::{options.srs.partition(':')[2]}" if newer else options.srs
        if options.sort_by:
            question["sortBy"] = options.sort_by
        if options.filter and filtered:
            question["CQL_FILTER"] = options.filter
        return question


def _hits(answer: Answer) -> int | None:
    """The number that hits give; None when the server does not know it, or ignored resultType and sent features."""
    count = None
    try:
        for _, element in etree.iterparse(answer.open(), events=("start",), resolve_entities=False, no_network=True):
            name = gml_text.local_name(element)
            if name in gml_text.MEMBERS:
                return None
            if name in gml_text.COLLECTIONS and count is None:
                said = element.get("numberMatched") or element.get("numberOfFeatures") or ""
                count = int(said) if said.isdigit() else None
    except etree.XMLSyntaxError:
        return None
    return count


def _check_xml(answer: Answer) -> None:
    """Whether an answer is what was asked for: servers report errors with status 200 too."""
    body = answer.open()
    head = body.read(64 << 10)
    if re.search(rb"<(?:[\w.-]+:)?(?:ServiceExceptionReport|ExceptionReport)\b", head):
        text, code = _reported(head + body.read(1 << 20))
        if REFUSALS & code:
            raise SourceError(f"the source refuses the request ({text}): {ADVICE}")
        raise Unfit(f"an exception report: {text}")
    if answer.status != 200:
        raise SourceError(
            f"the source answers {answer.status} {answer.reason}: check the address of the connection; {ADVICE}"
        )


def _reported(document: bytes) -> tuple[str, set[str]]:
    """What an exception report says, and its codes."""
    try:
        root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError:
        return "which is not whole", set()
    codes = {
        str(one.get("exceptionCode") or one.get("code")) for one in root.iter("{*}Exception", "{*}ServiceException")
    }
    return gml_text.report(root) or "inside other content", codes


# -- OGC API Features ------------------------------------------------------------------------------------------------


class _Features(_Server):
    """Pages as the server links them."""

    def reported(self, *, filtered: bool = True) -> int | None:
        return self._asked(self._items, self._question(filtered=filtered) | {"limit": "1"}).reported

    def pages(self, reported: int | None, received: _Received) -> Iterator[_Page]:
        question = self._question()
        if self.options.page_size:
            question["limit"] = str(self.options.page_size)
        page = self._asked(self._items, question)
        seen = {page.answer.url}
        while True:
            received.take(page)
            yield page
            if page.wrong or page.following is None:
                return
            if page.following in seen or len(seen) == MOST_PAGES:
                raise SourceError("the address of the next page is that of an earlier one, or pages do not end")
            seen.add(page.following)
            page = self._asked(page.following, None)

    @property
    def _items(self) -> str:
        return f"collections/{self.options.type_name}/items"

    def _question(self, *, filtered: bool = True) -> dict[str, str]:
        question = {}
        if self.options.srs:
            question["crs"] = self._crs
        if self.options.filter and filtered:
            question |= {"filter": self.options.filter, "filter-lang": "cql2-text"}
        return question

    @property
    def _crs(self) -> str:
        return EPSG + self.options.srs.partition(":")[2] if self.options.srs else CRS84

    def _asked(self, where: str, question: dict[str, str] | None) -> _Page:
        found: list[_Page] = []

        def check(answer: Answer) -> None:
            found.append(self._checked(answer))

        self.session.get(where, question, accept=GEOJSON, check=check, statuses=(200, 400))
        return found[-1]

    def _checked(self, answer: Answer) -> _Page:
        document = answer.json()
        if answer.status != 200:
            said = document.get("description") or document.get("detail") if isinstance(document, dict) else None
            text = identity_code.mask(str(said or "no reason is given"))[: gml_text.LONGEST_REPORT]
            raise SourceError(f"the source refuses the request ({text}): compare the contract with its collections")
        features = document.get("features") if isinstance(document, dict) else None
        if not isinstance(features, list):
            raise Unfit("the answer is not a collection of features")
        returned = document.get("numberReturned")
        if isinstance(returned, int) and returned != len(features):
            raise Unfit(f"the answer says that it has {returned} features and holds {len(features)}")
        answered = answer.headers.get("Content-Crs", f"<{CRS84}>").strip("<> ")
        if answered != self._crs:
            raise SourceError(
                f"the source answers in the reference system {answered[:100]} and was asked for {self._crs}"
            )
        matched = document.get("numberMatched")
        following = self._following(answer, document)
        reported = matched if isinstance(matched, int) else None
        try:
            return _Page(answer, self._identities(answer), reported, following)
        except ContentError as error:
            return _Page(answer, [], reported, following, wrong=error)

    def _following(self, answer: Answer, document: dict[str, Any]) -> str | None:
        links = document.get("links")
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("href"), str):
                where = urljoin(answer.url, link["href"])
                if not self.session.leads_here(where):
                    raise SourceError("the address of the next page leads to another server than the connection's")
                return where
        return None
