"""A REST service: rows by GET in one answer, in one for each part of the dataset, or page by page.

A source that lists its parts with their versions is asked only for those that changed. An answer counts when it is whole:
what it declares has come, pages are different pages, and rows are those of the part that was asked for.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import pyarrow.compute as pc
import requests

from citydata.connector_options import RestCatalogue, RestConnector, RestParts, RestValues
from citydata.contract import Contract
from citydata.extract import (
    Block,
    Candidate,
    ContentError,
    Fetch,
    Offer,
    Position,
    SourceError,
    answers,
    document_kind,
    text_format,
)
from citydata.extract.web import Answer, Session, Unfit

ACCEPT = {
    "csv": "text/csv, */*;q=0.1",
    "json": "application/json",
    "ndjson": "application/x-ndjson, application/json;q=0.5",
    "geojson": "application/geo+json, application/json",
    "gml": "application/gml+xml, text/xml, application/xml",
}
WIDEST_RANGE = 10_000
"""A range of a catalogue with more values is a mistake of the catalogue."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}$")

Parameters = Mapping[str, str | Sequence[str]]

log = logging.getLogger(__name__)


def candidates(contract: Contract, position: Position) -> Iterator[Candidate]:
    """One reading of everything, or one of each part of the contract that the source has and that is news.

    A part that the source's catalogue does not have is logged; what was loaded of it stays. Raises SourceError when the
    catalogue cannot be read, and, after all other parts, when it does not say what it takes to ask for one.
    """
    options = _options(contract)
    if options.parts is None:
        yield Candidate(None, place=options.parameters)
    elif options.parts.catalogue is None:
        for value in options.parts.values:
            yield Candidate(None, place={**options.parameters, options.parts.parameter: str(value)}, part=[value])
    else:
        yield from _offered(contract, options, options.parts, options.parts.catalogue)


def _options(contract: Contract) -> RestConnector:
    options = contract.platform.connector
    assert isinstance(options, RestConnector)
    return options


# -- parts and their catalogue ---------------------------------------------------------------------------------------


def _offered(
    contract: Contract, options: RestConnector, parts: RestParts, catalogue: RestCatalogue
) -> Iterator[Candidate]:
    answer = Session(contract.dataset, options).get(
        catalogue.path, accept=ACCEPT["json"], check=lambda one: _check_catalogue(one, catalogue)
    )
    entries = {str(_inside(entry, catalogue.key)): entry for entry in _inside(answer.json(), catalogue.records)}
    untold = []
    for value in parts.values:
        name = f"{parts.parameter}={value}"
        entry = entries.get(str(value))
        if entry is None:
            log.warning("%s: the source does not have %s (any more); what is here stays", contract.dataset, name)
            continue
        try:
            further = {parameter: _values(entry, where) for parameter, where in catalogue.parameters.items()}
        except ValueError as error:
            untold.append(f"{name}: {error}")
            continue
        asked = {**options.parameters, parts.parameter: str(value), **further}
        version = _inside(entry, catalogue.version)
        source = {"offered": name, "version": version}
        offer = None if version is None else _offer(options, name, version, asked, answer.server_time)
        yield Candidate(None, place=asked, part=[value], source=source, offer=offer)
    if untold:
        raise SourceError(f"the catalogue {catalogue.path} does not say how to ask for {'; '.join(untold)}")


def _offer(options: RestConnector, name: str, version: Any, asked: Parameters, observed_at: datetime) -> Offer:
    """A version of a part. The moment is the catalogue's: a version that comes back after another one is news again.

    A version that is a day may change until that day is over, so that it is another one, read once more, from then on.
    """
    today = observed_at.date().isoformat()
    changing = today if _DAY.match(str(version)) and str(version) >= today else None
    content = json.dumps([options.path, asked, version, changing], sort_keys=True, default=str)
    return Offer(f"{name} ({version})", 0, observed_at, lambda: hashlib.sha256(content.encode()).hexdigest())


def _check_catalogue(answer: Answer, catalogue: RestCatalogue) -> None:
    if not isinstance(_inside(answer.json(), catalogue.records), list):
        raise Unfit("the answer is not a list of what there is")


def _inside(document: Any, path: Sequence[str]) -> Any:
    """What is at a path of keys; None where there is no such key."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _values(entry: Any, where: RestValues) -> list[str]:
    """The values of a parameter. Raises ValueError, naming the keys, when the entry does not have them."""
    if where.each:
        found = _inside(entry, where.each)
        if not isinstance(found, list) or not all(isinstance(value, str | int) for value in found):
            raise ValueError(f"{'.'.join(where.each)} is not a list")
        return [str(value) for value in found] or where.otherwise
    first, last = _inside(entry, where.first), _inside(entry, where.last)
    if type(first) is not int or type(last) is not int or not 0 <= last - first < WIDEST_RANGE:
        raise ValueError(f"{'.'.join(where.first)} and {'.'.join(where.last)} are not a range")
    return [str(value) for value in range(first, last + 1)]


# -- fetching --------------------------------------------------------------------------------------------------------


def fetch(contract: Contract, candidate: Candidate) -> Fetch:
    """Open the reading. `source` tells the server's time and, where rows are counted, the number of answers and rows."""
    result = Fetch(iter(()), dict(candidate.source))
    result.chunks = _chunks(contract, candidate.place, result)
    return result


@dataclass(frozen=True)
class _Page:
    """An answer; of documents also what it holds, its number of rows, and how many rows it declares in all."""

    answer: Answer
    document: Any
    rows: int
    declared: int | None


def _chunks(contract: Contract, asked: Parameters, result: Fetch) -> Iterator[bytes]:
    options = _options(contract)
    rows, last = 0, None
    for page in _pages(Session(contract.dataset, options), options, asked):
        rows, last = rows + page.rows, page
        result.source.setdefault("server_time", page.answer.server_time.isoformat())
        result.source["answers"] = result.source.get("answers", 0) + 1
        yield from answers.record(page.answer)
    if last is None or options.format not in ("json", "geojson"):
        return
    result.source["rows_read"] = rows
    if last.declared is not None:
        result.source["rows_reported"] = last.declared
        if rows != last.declared:
            raise SourceError(f"the source declares {last.declared} rows but sent {rows}")
    elif options.most_rows is not None and last.rows >= options.most_rows:
        raise ContentError(
            f"the last answer has {last.rows} rows, as many as the source puts into one (most_rows): the rest is perhaps missing"
        )


def _pages(session: Session, options: RestConnector, asked: Parameters) -> Iterator[_Page]:
    paging = options.paging
    if paging is None:
        yield _asked(session, options, options.path, asked)
    elif paging.type == "link":
        yield from _linked(session, options, asked)
    else:
        yield from _counted(session, options, asked)


def _asked(session: Session, options: RestConnector, where: str, parameters: Parameters | None) -> _Page:
    """One answer that is of the contract's format."""
    answer = session.get(where, parameters, accept=ACCEPT[options.format], check=_check_of(options))
    if options.format not in ("json", "geojson"):
        return _Page(answer, None, 0, None)
    document = _document(answer)
    paths = [["features"]] if options.format == "geojson" else [records.path for records in options.records]
    lists = [_inside(document, path) for path in paths]
    declared = _inside(document, options.total) if options.total else None
    if declared is not None and not str(declared).isdigit():
        raise ContentError(f"the answer declares no number of rows at {'.'.join(options.total)}")
    rows = sum(len(found) for found in lists if isinstance(found, list))
    return _Page(answer, document, rows, None if declared is None else int(declared))


def _check_of(options: RestConnector) -> Callable[[Answer], None]:
    """What must hold of an answer whose status is right: services and proxies report their errors with 200 too."""

    def check(answer: Answer) -> None:
        if options.format in ("json", "geojson"):
            _document(answer)
            return
        head = answer.open().read(64 << 10)
        kind = document_kind.of_text(head) if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else None
        if not head.strip() or (kind and (options.format == "csv" or kind in _REPORTS)):
            raise Unfit(f"the answer is {kind or 'empty'}")

    return check


_REPORTS = {document_kind.ROOTS["html"], document_kind.ROOTS["ExceptionReport"]}


def _document(answer: Answer) -> Any:
    """The document of an answer; None for one that is nested too deeply, which parsing refuses. Raises Unfit when it is none."""
    try:
        return answer.json()
    except RecursionError:
        return None


def _linked(session: Session, options: RestConnector, asked: Parameters) -> Iterator[_Page]:
    """Follow the address of the next page until there is none."""
    assert options.paging
    page = _asked(session, options, options.path, asked)
    seen = {page.answer.url}
    yield page
    while (where := _next_address(options, page)) is not None:
        if not session.leads_here(where):
            raise ContentError("the address of the next page leads to another server")
        if where in seen:
            raise ContentError("the address of the next page is that of a page that came already")
        if len(seen) == options.paging.most_pages:
            raise ContentError(f"there are more than {options.paging.most_pages} pages (paging.most_pages)")
        seen.add(where)
        page = _asked(session, options, where, None)
        yield page


def _next_address(options: RestConnector, page: _Page) -> str | None:
    assert options.paging
    if options.paging.next:
        found = _inside(page.document, options.paging.next)
    else:
        links = requests.utils.parse_header_links(page.answer.headers.get("Link", ""))
        found = next((link["url"] for link in links if "next" in link.get("rel", "").split()), None)
    if not found:
        return None
    if not isinstance(found, str):
        raise ContentError(f"what is at {'.'.join(options.paging.next)} is not the address of a page")
    return urljoin(page.answer.url, found)


def _counted(session: Session, options: RestConnector, asked: Parameters) -> Iterator[_Page]:
    """Count pages or rows until a page is empty or everything that was declared has come.

    A page with few rows is not the last one for that: servers put fewer into a page than they are asked for.
    """
    paging = options.paging
    assert paging
    assert paging.parameter
    rows, before = 0, b""
    for number in range(paging.most_pages):
        place = paging.first + number if paging.type == "page" else rows
        page = _asked(session, options, options.path, {**asked, paging.parameter: str(place)})
        content = hashlib.sha256(page.answer.read()).digest()
        if page.rows and content == before:
            raise ContentError(f"two pages are the same: the source ignores the parameter {paging.parameter}")
        yield page
        rows, before = rows + page.rows, content
        if not page.rows or (page.declared is not None and rows >= page.declared):
            return
    raise ContentError(f"there are more than {paging.most_pages} pages (paging.most_pages)")


# -- parsing ---------------------------------------------------------------------------------------------------------


def parse(contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
    """Rows of all answers of an archived reading, numbered through."""
    options = _options(contract)
    following = 1
    for answer in answers.read(chunks):
        for block in text_format.parse(contract, options, answer.chunks, columns, following):
            numbers = [row.row_number for row in block.refused]
            if len(block.numbers):
                numbers.append(pc.max(block.numbers).as_py())
            following = max([following, *(number + 1 for number in numbers)])
            yield block


def titles_of(contract: Contract, chunks: Iterator[bytes]) -> list[str]:
    """The titles of all answers of an archived reading as their source has them."""
    options = _options(contract)
    each = (text_format.titles_of(contract, options, answer.chunks) for answer in answers.read(chunks))
    return list(dict.fromkeys(title for titles in each for title in titles))
