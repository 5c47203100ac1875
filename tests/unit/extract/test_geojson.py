"""GeoJSON: every feature becomes a row or is refused, whatever happens to the document."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from citydata import contract, formats
from citydata.extract import Block, ContentError, geojson_text

AREAS = contract.load("gis.postal_areas")
RING = [[25.1, 60.1], [25.2, 60.1], [25.2, 60.2], [25.1, 60.1]]
NATIONAL = [[400_000.5, 6_700_000], [401_000, 6_700_000], [401_000, 6_701_000], [400_000.5, 6_700_000]]


def feature(code: str = "06100", geometry: Any = None, **properties: Any) -> dict[str, Any]:
    polygon = {"type": "Polygon", "coordinates": [RING]}
    own = {"kunta": "Malli", "postinumeroalue": code} | properties
    return {"type": "Feature", "properties": own, "geometry": polygon if geometry is None else geometry}


def collection(*features: Any, **members: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features)} | members).encode()


def parsed(content: bytes) -> Block:
    """The one block of a document that arrives in pieces."""
    pieces = [content[start : start + 100] for start in range(0, len(content), 100)]
    names = [column.source_name for column in AREAS.columns]
    [block] = geojson_text.parse(AREAS, AREAS.platform.connector, iter(pieces), names)  # type: ignore[arg-type]
    return block


def rows(block: Block) -> list[tuple[Any, ...]]:
    return list(zip(*(block.rows.column(name).to_pylist() for name in block.rows.schema.names), strict=True))


def cast(block: Block) -> tuple[list[Any], dict[str, list[bool]]]:
    """Geometries as landing casts them, and which rows it refuses by which rule."""
    [column] = [column for column in AREAS.columns if column.name == "geometry"]
    done = formats.caster(column, "Europe/Helsinki")(block.rows.column("geometry"))
    return done.values.to_pylist(), {rule: mask.to_pylist() for rule, mask in done.broken.items()}


def test_properties_by_name_and_geometry_as_it_is_written() -> None:
    block = parsed(collection(feature("06100"), feature("06150", {"type": "Point", "coordinates": [25.5, 60.0, 12.5]})))
    assert rows(block) == [
        ("06100", "Malli", "SRID=4326;POLYGON ((25.1 60.1, 25.2 60.1, 25.2 60.2, 25.1 60.1))"),
        ("06150", "Malli", "SRID=4326;POINT (25.5 60.0)"),
    ]
    assert block.numbers.to_pylist() == [1, 2]


@pytest.mark.parametrize("kind", sorted(geojson_text.DEPTHS))
def test_every_type_is_the_one_that_shapely_reads(kind: str) -> None:
    coordinates: Any = [25.5, 60.25]
    for depth in range(geojson_text.DEPTHS[kind]):
        coordinates = (
            RING if depth == 0 and geojson_text.DEPTHS[kind] > 1 else [coordinates, *([[26, 61]] * (depth == 0))]
        )
    geometry = {"type": kind, "coordinates": coordinates}
    [(_, _, text)] = rows(parsed(collection(feature(geometry=geometry))))
    wkt = text.removeprefix("SRID=4326;")
    assert shapely.from_wkt(wkt).equals_exact(shapely.from_geojson(json.dumps(geometry)), 0)


@pytest.mark.parametrize(
    ("members", "srid"),
    [
        ({}, 4326),
        ({"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}, 4326),
        ({"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3067"}}}, 3067),
        ({"crs": {"type": "name", "properties": {"name": "EPSG:3880"}}}, 3880),
    ],
)
def test_the_documents_reference_system(members: dict[str, Any], srid: int) -> None:
    """GeoJSON has east before north whatever the reference system says elsewhere."""
    polygon = {"type": "Polygon", "coordinates": [NATIONAL]}
    [(_, _, text)] = rows(parsed(collection(feature(geometry=polygon), **members)))
    assert text.startswith(f"SRID={srid};POLYGON ((400000.5 6700000, ")


@pytest.mark.parametrize(
    "crs", [None, {}, {"type": "link"}, {"properties": {"name": 5}}, {"properties": {"name": "x"}}]
)
def test_a_reference_system_that_is_not_known_is_not_guessed(crs: Any) -> None:
    with pytest.raises(ContentError, match="reference system"):
        parsed(collection(feature(), crs=crs))


def test_what_is_no_feature_is_refused_and_the_others_are_read() -> None:
    broken = [{"type": "Feature", "properties": None, "geometry": None}, 7, "x", {"properties": {}}, None]
    block = parsed(collection(feature("06100"), *broken, feature("06150")))
    assert block.rows.column("postal_code").to_pylist() == ["06100", "06150"]
    assert block.numbers.to_pylist() == [1, 7]
    assert [(row.row_number, row.rule) for row in block.refused] == [(number, "feature") for number in range(2, 7)]
    assert [row.text for row in block.refused][1:3] == ["7", "x"]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[["25.1", 60.1], *RING[1:-1], ["25.1", 60.1]]]},
        {"type": "Point", "coordinates": ["25 60", 61]},
        {"type": "Polygon", "coordinates": [[[25.1, 60.1], [25.2, None], [25.2, 60.2], [25.1, 60.1]]]},
        {"type": "Polygon", "coordinates": [RING[:-1]]},
        {"type": "Polygon", "coordinates": [[[25, 60], [26, 61], [26, 60], [25, 61], [25, 60]]]},
        {"type": "Polygon", "coordinates": RING},
        {"type": "Polygon", "coordinates": [[[float("nan"), 60], *RING, [float("nan"), 60]]]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": "Circle", "coordinates": [25, 60]},
        {"type": ["Polygon"], "coordinates": [RING]},
        {"coordinates": [RING]},
        "POLYGON ((25.1 60.1))",
        ["Polygon"],
        5,
    ],
    ids=str,
)
def test_an_invalid_geometry_is_refused_with_its_key(geometry: Any) -> None:
    block = parsed(collection(feature("06100"), feature("06150", geometry)))
    values, broken = cast(block)
    assert block.rows.column("postal_code").to_pylist() == ["06100", "06150"]
    assert broken == {"geometry": [False, True]}
    assert values[0]
    assert values[1] is None


def test_a_missing_geometry_is_missing() -> None:
    block = parsed(collection(feature("06100"), feature("06150") | {"geometry": None}))
    values, broken = cast(block)
    assert values[1] is None
    assert broken == {"required": [False, True]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (json.dumps(feature()), "no GeoJSON FeatureCollection .*; the document is a single GeoJSON feature"),
        ('{"type": "FeatureCollection", "features": {}}', "no GeoJSON FeatureCollection with a list of features"),
        ('{"type": "Topology", "arcs": []}', "the document is TopoJSON"),
        ('{"type": "Polygon", "coordinates": []}', "the document is a GeoJSON geometry"),
        ('{"resourceType": "OperationOutcome"}', "the document is a FHIR resource"),
        ('{"exceptions": [{"code": "x"}]}', "the document is an exception report"),
        ('{"code": "x", "description": "y"}', "the document is an error answer"),
        ('{"type": "about:blank", "title": "x", "status": 404}', "the document is an error answer"),
        ('{"class": "dataset", "id": [], "size": [], "dimension": {}}', "the document is JSON-stat 2, an answer of PxWeb"),
        ('{"title": "x", "variables": []}', "the document is the description of a PxWeb table"),
        ('{"columns": [], "data": []}', "the document is an answer of PxWeb in its own JSON"),
        ('{"language": "sv", "tables": []}', "the document is a list of PxWeb tables"),
        ('[{"id": "x", "type": "t", "text": "y"}]', "the document is a PxWeb folder listing"),
        ('[{"id": "x"}]', "no GeoJSON FeatureCollection with a list of features$"),
        ("[]", "no GeoJSON FeatureCollection with a list of features$"),
        ('<?xml version="1.0"?><ows:ExceptionReport xmlns:ows="x"/>', "not JSON: .*; the file is an OGC exception report"),
        ("<html><body>busy</body></html>", "the file is an HTML page"),
        ("postinumeroalue;kunta\n06100;Malli\n", "not JSON: .* at line 1, column 1$"),
        (collection(feature(lisa="x")), "unknown: lisa"),
        (collection({"type": "Feature", "properties": {"kunta": "Malli"}, "geometry": None}), "missing: postinumeroalue"),
        ('{"type": "FeatureCollection", "type": "x"}', "one name twice"),
        ('{"features": "\\ud800"}', "half a character"),
        ("[" * 100_000, "nested too deeply"),
        ("", "the file is empty"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_another_document_is_held_with_what_it_is(content: str | bytes, complaint: str) -> None:
    with pytest.raises(ContentError, match=complaint):
        parsed(content.encode() if isinstance(content, str) else content)


def test_a_geometry_that_the_contract_has_no_column_for_is_not_dropped() -> None:
    codes = contract.load("statistics.population_by_postal_area")
    names = [column.source_name for column in codes.columns]
    content = {"posti_alue": "06100", "year": 2022, "population": 5}
    polygon = {"type": "Polygon", "coordinates": [RING]}
    for geometry, complaint in ((None, None), (polygon, "geometries, and the contract has no column for them")):
        one = {"type": "Feature", "properties": content, "geometry": geometry}
        blocks = geojson_text.parse(codes, AREAS.platform.connector, iter([collection(one)]), names)  # type: ignore[arg-type]
        if complaint:
            with pytest.raises(ContentError, match=complaint):
                next(blocks)
        else:
            assert rows(next(blocks)) == [("06100", "2022", "5")]


def test_no_feature_is_no_row() -> None:
    assert rows(parsed(collection())) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*at, name))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*at, index))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A collection in which something was replaced, removed or repeated, or whose bytes were cut or changed."""
    document: Any = json.loads(collection(feature("06100"), feature("06150"), feature("06200")))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([one for one in _places(document) if one] or [()]))
        if not place:
            break  # everything was removed
        owner = document
        for step in place[:-1]:
            owner = owner[step]
        match draw(st.sampled_from(("replace", "remove", "repeat"))):
            case "replace":
                owner[place[-1]] = draw(JSON)
            case "remove":
                del owner[place[-1]]
            case "repeat" if isinstance(owner, list):
                owner.append(owner[place[-1]])
    content = bytearray(json.dumps(document).encode())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(content[: draw(st.sampled_from((None, None, len(content) // 2)))])


@given(mutated())
@settings(max_examples=150, deadline=None)
def test_every_feature_is_a_row_or_refused_whatever_happens(content: bytes) -> None:
    try:
        block = parsed(content)
    except ContentError:
        return
    features = json.loads(content.decode("utf-8-sig"))["features"]
    assert len(block.rows) + len(block.refused) == len(features)
    numbers = [*block.numbers.to_pylist(), *(row.row_number for row in block.refused)]
    assert sorted(numbers) == list(range(1, len(features) + 1))
    values, broken = cast(block)
    refused = [any(mask[index] for mask in broken.values()) for index in range(len(values))]
    assert [value is None for value in values] == refused, "a row that is not refused has a geometry"
    for column in AREAS.columns[:2]:
        formats.caster(column, "Europe/Helsinki")(pa.array(block.rows.column(column.name).to_pylist(), pa.string()))
