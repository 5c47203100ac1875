"""GML documents: features become rows of text, geometries EWKT; in memory is one feature at a time.

A column's physicalName is the path of local element names below the feature's element, joined by `/`; the one of a
geometry leads to the element that holds it. White space around a text belongs to the layout and is no content. What the
contract does not name is not read: a source's features may name people who are none of our business.

A path stands for one value. A row in which it occurs more than once, or holds elements instead of a text, is refused.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa
from lxml import etree

from citydata.connector_options import TextFormat
from citydata.contract import Column, Contract
from citydata.extract import Block, ContentError, streams
from citydata.extract.gml_geometry import GeometryError, ewkt, local_name
from citydata.privacy import identity_code

PIECE = 64 << 10
ROWS = 2_000  # of a block
COLLECTIONS = {"FeatureCollection", "SimpleFeatureCollection"}
MEMBERS = {"featureMember", "featureMembers", "member"}
REPORTS = {"ExceptionReport", "ServiceExceptionReport"}
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
LONGEST_REPORT = 300
GML = ("http://www.opengis.net/gml", "http://www.opengis.net/gml/3.2")
FEATURES_FOR_TITLES = 1_000


class NotWhole(ContentError):
    """A document that may be whole and right when it is asked for again: broken off, an error's page, an exception report."""


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Yield blocks of string rows whose columns are named as in the contract, one row a feature.

    `columns` are the paths that are read. Raises ContentError for other features than the contract's and for one larger
    than `max_line_bytes`; NotWhole for what is not well-formed, an exception report, or holds fewer features than it says.
    """
    reading = _Reading(contract, options, columns, first_row)
    wanted = {options.feature, *COLLECTIONS, *MEMBERS, *REPORTS, "boundedBy", "truncatedResponse"}
    parser: Any = etree.XMLPullParser(
        events=("start", "end"), tag=[f"{{*}}{name}" for name in wanted],
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    empty, pending = True, 0
    try:
        for piece in _pieces(chunks):
            empty = False
            parser.feed(piece)
            pending += len(piece)
            for event, element in parser.read_events():
                if reading.take(event, element):
                    pending = 0
            if pending > options.max_line_bytes:
                raise ContentError(f"a feature is longer than {options.max_line_bytes} bytes (max_line_bytes)")
            if reading.full:
                yield reading.block()
        if empty:
            raise NotWhole("the file is empty")
        root = parser.close()
        for event, element in parser.read_events():
            reading.take(event, element)
    except etree.XMLSyntaxError:
        raise _not_well_formed(parser.feed_error_log, reading.reported) from None
    reading.finish(root)
    yield reading.block()


def _not_well_formed(log: Any, reported: bool) -> NotWhole:
    """The last error of the parser as its kind and place; its own text may quote the document."""
    last = log[-1] if len(log) else None
    if last is None or last.type == etree.ErrorTypes.ERR_DOCUMENT_EMPTY:
        return NotWhole("the document is not XML")
    kind = last.type_name.removeprefix("ERR_").lower().replace("_", " ")
    about = "it breaks off in an exception report" if reported else "not well-formed XML"
    return NotWhole(f"{about}: {kind} at line {last.line}, column {last.column}")


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            yield chunk[start : start + PIECE]


def report(root: etree._Element) -> str | None:
    """What an exception report says, with its code (OWS Common 06-121r9, WFS 1.0); None when the element is none."""
    if local_name(root) not in REPORTS:
        return None
    said = []
    for entry in root.iter("{*}Exception", "{*}ServiceException"):
        code = entry.get("exceptionCode") or entry.get("code") or "no code"
        locator = f" ({entry.get('locator')})" if entry.get("locator") else ""
        text = re.sub(r"\s+", " ", " ".join(str(part) for part in entry.itertext())).strip()
        said.append(f"{code}{locator}: {text or 'no text'}")
    return identity_code.mask("; ".join(said) or "no exception is named")[:LONGEST_REPORT]


class _Reading:
    """The features of one document, as the events of the parser bring them."""

    def __init__(self, contract: Contract, options: TextFormat, columns: list[str], first_row: int) -> None:
        assert options.feature
        self.feature, self.axes, self.srs = options.feature, options.axes, options.srs
        self.columns = [column for column in contract.columns if column.source_name in columns]
        self.paths = {column.name: [title.split("/") for title in column.titles] for column in self.columns}
        self.reported = False
        self._next_row = self._first = first_row
        self._count = 0
        self._open: etree._Element | None = None
        self._looked_at_root = False
        self._rows: list[list[str | None]] = []
        self._broken: dict[str, list[int]] = {}
        self._collection_srs: str | None = None

    @property
    def full(self) -> bool:
        """Whether there are enough rows for a block."""
        return len(self._rows) >= ROWS

    def take(self, event: str, element: etree._Element) -> bool:
        """Take one event of the parser; returns whether it completed a feature."""
        if not self._looked_at_root:
            self._look_at_root(element)
        name = local_name(element)
        if name in REPORTS:
            self.reported = True
            if event == "end":
                raise NotWhole(f"the document is an exception report: {report(element)}")
        if self._open is not None:
            if element is self._open and event == "end":
                self._open = None
                self._add(element)
                return True
            return False
        if event == "start":
            if name == self.feature:
                self._open = element
        elif name == "truncatedResponse":
            raise NotWhole("the source says that its answer is cut off (truncatedResponse)")
        elif name == "boundedBy":
            self._collection_srs = _srs_of(element)
        elif name in MEMBERS:
            _only(self.feature, element)
            _clear(element)
        return False

    def _look_at_root(self, element: etree._Element) -> None:
        self._looked_at_root = True
        if element.getroottree().docinfo.internalDTD is not None:
            raise ContentError("the document has a DOCTYPE, by which its text could change; GML has none")

    def _add(self, element: etree._Element) -> None:
        parent = element.getparent()
        if parent is not None and local_name(parent) in MEMBERS:
            _only(self.feature, parent)
        self._count += 1
        at = len(self._rows)
        row: list[str | None] = []
        for column in self.columns:
            found = next(filter(None, (_at(element, path) for path in self.paths[column.name])), [])
            rule = None
            if len(found) > 1:
                rule = "several_values"
            elif found and not column.settings.geometry and len(found[0]):
                rule = "nested_elements"
            if rule:
                self._broken.setdefault(rule, []).append(at)
            row.append(self._value(column, element, found, rule))
        self._rows.append(row)
        _clear(element)

    def _value(
        self, column: Column, feature: etree._Element, found: list[etree._Element], rule: str | None
    ) -> str | None:
        if rule:
            # Whoever repairs the row must see what it says; a key that says several things is none.
            texts = [(one.text or "").strip() for one in found]
            return None if column.key else " | ".join(filter(None, texts)) or None
        if not found or found[0].get(NIL) in ("true", "1"):
            return None
        if column.settings.geometry:
            own = next((child for child in feature if local_name(child) == "boundedBy"), None)
            inherited = (_srs_of(own) if own is not None else None) or self._collection_srs or self.srs
            try:
                return ewkt(found[0], inherited, self.axes)
            except GeometryError as error:
                return str(error)  # no geometry, and landing refuses the row with this text beside its key
        return (found[0].text or "").strip() or None

    def block(self) -> Block:
        """The rows since the last block."""
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in self.columns)
        arrays = {c.name: pa.array(list(values), pa.string()) for c, values in zip(self.columns, columns, strict=True)}
        numbers = pa.array(range(self._next_row, self._next_row + len(self._rows)), pa.int64())
        broken = {}
        for rule, rows in self._broken.items():
            marked = set(rows)
            broken[rule] = pa.array([at in marked for at in range(len(self._rows))], pa.bool_())
        self._next_row += len(self._rows)
        self._rows, self._broken = [], {}
        return Block(pa.RecordBatch.from_pydict(arrays), numbers, broken=broken)

    def finish(self, root: etree._Element) -> None:
        """Check at the end that the document is what it says. Raises NotWhole."""
        if not self._looked_at_root:
            self._look_at_root(root)
        name = local_name(root)
        if name not in COLLECTIONS and not self._count:
            raise NotWhole(f"the document holds no {self.feature}; its root element is {name}")
        for attribute in ("numberReturned", "numberOfFeatures"):
            said = root.get(attribute)
            if name in COLLECTIONS and said and said.isdigit() and int(said) != self._count:
                raise NotWhole(f"the document says that it has {said} features and holds {self._count}")


def _at(element: etree._Element, path: list[str]) -> list[etree._Element]:
    found = [element]
    for step in path:
        found = [child for one in found for child in one if local_name(child) == step]
    return found


def titles_of(contract: Contract, options: TextFormat, chunks: Iterator[bytes]) -> list[str]:
    """Paths below the features' elements that hold a text or a geometry, in the order in which they are met first."""
    found: dict[str, None] = {}
    events = etree.iterparse(
        cast(Any, streams.reader(chunks)), tag=f"{{*}}{options.feature}",
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        for _, feature in itertools.islice(events, FEATURES_FOR_TITLES):
            found |= dict.fromkeys(_leaves(feature, ""))
            _clear(feature)
    except etree.XMLSyntaxError:
        raise NotWhole("the document is not well-formed XML") from None
    return list(found)


def _leaves(element: etree._Element, above: str) -> Iterator[str]:
    for child in element:
        path = above + local_name(child)
        if not len(child) or etree.QName(child[0]).namespace in GML:
            yield path
        else:
            yield from _leaves(child, f"{path}/")


def _srs_of(bounds: etree._Element) -> str | None:
    """The reference system that an envelope names for what it encloses."""
    return next((str(child.get("srsName")) for child in bounds if child.get("srsName")), None)


def _only(feature: str, member: etree._Element) -> None:
    for child in member:
        if local_name(child) != feature and local_name(child) not in COLLECTIONS:
            raise ContentError(f"the document holds {local_name(child)} where the contract expects {feature}")


def _clear(element: etree._Element) -> None:
    """Let go of an element that has been read and of what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
