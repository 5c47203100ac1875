"""Where the records of JSON, GeoJSON and GML are, and which fields they have."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lxml import etree

from citydata import geometry as geometry_of
from citydata.connector_options import OgcConnector, TextFormat
from citydata.contract import Contract
from citydata.drafting import sample
from citydata.drafting.sample import DraftError, Sample
from citydata.extract import ContentError, document_kind, gml_text, is_title, json_text, ogc, text_format
from citydata.extract.gml_geometry import local_name

DEPTH = 4
"""How deep lists of records are looked for."""
FEATURES = 2_000
GEOMETRY = "geometry"
SHAPES = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon")
GML = "http://www.opengis.net/gml"


def read(text: bytes, connector: dict[str, Any], *, whole: bool = True) -> Sample:
    """Read the sample of a JSON, GeoJSON or GML text; `connector` says where it is, and gets what is found out.

    Raises DraftError for a document whose records cannot be found.
    """
    start = text.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    try:
        if start == b"<":
            return gml(text, connector, whole=whole)
        if not whole:
            raise DraftError(f"the document is larger than {sample.BYTES} bytes; ask the source for a part of it")
        return _json(text, connector)
    except ContentError as error:
        raise DraftError(f"it cannot be read: {error}") from None


def _json(text: bytes, connector: dict[str, Any]) -> Sample:
    document = json_text.document(iter([text]))
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        return geojson(text, document, connector)
    lists = sorted(_lists(document), key=lambda found: -len(found[1]))
    if not lists:
        kind = document_kind.of(document)
        raise DraftError(f"no list of records is in the document{f'; it is {kind}' if kind else ''}")
    path, records = lists[0]
    entry: dict[str, Any] = {"path": path}
    if all(isinstance(record, dict) for record in records):
        titles = list(dict.fromkeys(name for record in records[: sample.ROWS] for name in _leaves(record)))
    else:
        entry["value"] = "value"
        titles = ["value"]
    options = connector | {"format": "json", "records": [entry]}
    sample.check_titles(path, "key")
    others = [".".join(place) or "the document" for place, _ in lists[1:] if all(map(is_title, place))]
    notes = (f"there are other lists: {', '.join(others[:5])}",) if others else ()
    return _parsed(text, options, titles, notes=notes)


def _lists(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[list[str], list[Any]]]:
    """Lists of records, and of plain values where there is no record, with the keys that lead to them."""
    if isinstance(node, list):
        if node and (
            all(isinstance(item, dict) for item in node) or not any(isinstance(item, dict | list) for item in node)
        ):
            yield list(path), node
    elif isinstance(node, dict) and len(path) < DEPTH:
        for key, value in node.items():
            yield from _lists(value, (*path, key))


def _leaves(record: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def geojson(text: bytes, document: Any, connector: dict[str, Any]) -> Sample:
    """Read the sample of a FeatureCollection."""
    features = document.get("features")
    features = features if isinstance(features, list) else []
    properties = (
        f["properties"]
        for f in features[: sample.ROWS]
        if isinstance(f, dict) and isinstance(f.get("properties"), dict)
    )
    titles = list(dict.fromkeys(name for one in properties for name in one))
    shaped = any(isinstance(feature, dict) and feature.get("geometry") for feature in features)
    geometry = None
    if shaped:
        geometry = GEOMETRY if GEOMETRY not in titles else "feature.geometry"
        titles.append(geometry)
    if not titles:
        raise DraftError("the collection has no feature with properties")
    options = connector if connector.get("type") == "ogc" else connector | {"format": "geojson"}
    return _parsed(text, options, titles, geometry)


def gml(text: bytes, connector: dict[str, Any], *, whole: bool = True) -> Sample:
    """Read the sample of a feature collection in GML."""
    feature, paths, geometry, repeated = _features(text)
    options = dict(connector)
    if connector.get("type") != "ogc":
        options |= {"format": "gml", "feature": feature}
    elif feature != str(connector["type_name"]).rpartition(":")[2]:
        options["feature"] = feature
    sample.check_titles((feature, *repeated), "element")
    notes = tuple(f"the element {path} occurs several times in a feature and is left out" for path in repeated)
    titles = [*paths, *([geometry] if geometry else [])]
    if not titles:
        raise DraftError(f"features {feature} hold no element with a text")
    read = _parsed(text, options, titles, geometry, whole=whole, notes=notes)
    if geometry is None or _lies_in_the_country(read):
        return read
    for axes in ("east_north", "north_east"):
        said = f"coordinates lie in the country only when they are read {axes.replace('_', ' before ')}"
        other = _parsed(text, options | {"axes": axes}, titles, geometry, whole=whole, notes=(*notes, said))
        if _lies_in_the_country(other):
            return other
    return read


def _lies_in_the_country(read: Sample) -> bool:
    """Whether any geometry of the sample does, or there is none."""
    [texts] = [one.texts for one in read.fields if one.geometry]
    values, _ = geometry_of.national(texts, SHAPES, "country")
    return bool(texts.null_count == len(texts) or values.null_count < len(values))


def _features(text: bytes) -> tuple[str, list[str], str | None, list[str]]:
    """Local name of the features, paths of their texts, the path of their geometry, and paths that occur several times."""
    parser: Any = etree.XMLPullParser(
        events=("end",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    names: Counter[str] = Counter()
    paths: dict[str, None] = {}
    geometries: dict[str, None] = {}
    repeated: dict[str, None] = {}
    try:
        for position in range(0, len(text), 1 << 16):
            parser.feed(text[position : position + (1 << 16)])
            for _, element in parser.read_events():
                parent = element.getparent()
                if local_name(element) in gml_text.REPORTS:
                    raise DraftError(f"the source answers with an exception report: {gml_text.report(element)}")
                if parent is None or local_name(parent) not in gml_text.MEMBERS:
                    continue
                names[local_name(element)] += 1
                found = list(_texts(element))
                for path, is_geometry in found:
                    (geometries if is_geometry else paths)[path] = None
                repeated |= dict.fromkeys(
                    path for path, count in Counter(path for path, _ in found).items() if count > 1
                )
                element.clear()
            if sum(names.values()) >= FEATURES:
                break
    except etree.XMLSyntaxError:
        raise DraftError("it is not well-formed XML") from None
    if not names:
        raise DraftError("it holds no feature: no element inside member or featureMember")
    geometry = next(iter(geometries), None)
    return names.most_common(1)[0][0], [path for path in paths if path not in repeated], geometry, list(repeated)


def _texts(element: etree._Element, above: str = "") -> Iterator[tuple[str, bool]]:
    """Paths of the texts below a feature's element, and of its geometries (True)."""
    for child in element:
        if not isinstance(child.tag, str) or local_name(child) == "boundedBy":
            continue
        path = f"{above}{local_name(child)}"
        if any(isinstance(inner.tag, str) and inner.tag.startswith(f"{{{GML}") for inner in child):
            yield path, True
        elif len(child):
            yield from _texts(child, f"{path}/")
        else:
            yield path, False


def _parsed(
    text: bytes,
    options: dict[str, Any],
    titles: Sequence[str],
    geometry: str | None = None,
    *,
    whole: bool = True,
    notes: Iterable[str] = (),
) -> Sample:
    sample.check_titles(titles)
    contract = sample.provisional(options, titles, geometry)
    fields, refused, all_of_it = sample.taken(contract, _blocks(contract, text, titles, whole), geometry)
    return Sample(options, fields, refused, whole and all_of_it, tuple(notes))


def _blocks(contract: Contract, text: bytes, titles: Sequence[str], whole: bool) -> Iterator[Any]:
    connector = contract.platform.connector
    options = ogc.format_of(connector) if isinstance(connector, OgcConnector) else connector
    assert isinstance(options, TextFormat)
    try:
        yield from text_format.parse(contract, options, iter([text]), list(titles))
    except ContentError:
        if whole:
            raise  # of a part that was cut off the end is missing


def is_ndjson(text: bytes) -> bool:
    """Whether the first line is a JSON object of its own and another one begins in the next."""
    first, _, rest = text.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    if not rest.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(json_text.document(iter([first])), dict)
    except ContentError:
        return False


def ndjson(text: bytes, connector: dict[str, Any], *, whole: bool) -> Sample:
    """Read the sample of lines of JSON."""
    if not whole:
        text = text[: text.rfind(b"\n") + 1]
    titles: dict[str, None] = {}
    for line in itertools.islice(text.splitlines(), sample.ROWS):
        with contextlib.suppress(ContentError):  # such a line is refused, and counted below
            record = json_text.document(iter([line]))
            titles |= dict.fromkeys(_leaves(record)) if isinstance(record, dict) else {}
    if not titles:
        raise DraftError("no line of it is a JSON object with fields")
    return _parsed(text, connector | {"format": "ndjson"}, list(titles), whole=whole)
