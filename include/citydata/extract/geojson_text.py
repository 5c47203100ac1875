"""GeoJSON (RFC 7946): features become rows of text, their geometries EWKT with easting (longitude) first.

Coordinates are kept as they are written. They are in the reference system that the document's `crs` names (GeoJSON of
2008), else in the contract's `srs`, else in longitude and latitude. Heights are left out: columns hold plane geometries.
What is no geometry by the standard stays as its JSON, which landing refuses in the row's name.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from citydata.connector_options import TextFormat
from citydata.contract import Contract
from citydata.extract import Block, ColumnsDiffer, ContentError, Refused, gml_geometry, json_text, titles
from citydata.extract.json_text import Number

# How deep positions lie in the coordinates of a type.
DEPTHS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Yield one block with the features of a FeatureCollection, in the document's order.

    `columns` are names of properties, and that of the geometry column. What is not a feature with properties is refused.
    Raises ContentError for another document, a reference system that is not known, properties that the contract does not
    know, and geometries that it has no column for.
    """
    whole = json_text.document(chunks)
    features = _features(whole)
    srid = _srid(options, whole)
    column = next((one for one in contract.columns if one.settings.geometry), None)
    rows: list[dict[str, str | None]] = []
    numbers, geometries, refused = [], [], []
    for number, feature in enumerate(features, first_row):
        if not _is_feature(feature):
            refused.append(Refused(number, "feature", json_text.as_text(feature) or "null"))
            continue
        numbers.append(number)
        names = titles.today(contract, feature["properties"])
        rows.append(dict(zip(names, map(json_text.as_text, feature["properties"].values()), strict=True)))
        geometries.append(_ewkt(feature.get("geometry"), srid))
    if column is None and any(geometries):
        raise ColumnsDiffer("the features have geometries, and the contract has no column for them", added=["geometry"])
    properties = [name for name in columns if column is None or name != column.source_name]
    fields = {name for row in rows for name in row}
    json_text.check_fields(contract, None, fields, properties, any_rows=bool(rows))
    arrays = {
        one.name: pa.array(geometries if one is column else [row.get(one.source_name) for row in rows], pa.string())
        for one in contract.columns
        if one.source_name in columns
    }
    yield Block(pa.RecordBatch.from_pydict(arrays), pa.array(numbers, pa.int64()), refused)


def titles_of(contract: Contract, options: TextFormat, chunks: Iterator[bytes]) -> list[str]:
    """The properties of a document's features as they stand in it, and the geometry by its column's name."""
    features = _features(json_text.document(chunks))
    properties = dict.fromkeys(name for one in features if _is_feature(one) for name in one["properties"])
    return [*properties, *(column.source_name for column in contract.columns if column.settings.geometry)]


def _features(whole: Any) -> list[Any]:
    features = whole.get("features") if isinstance(whole, dict) and whole.get("type") == "FeatureCollection" else None
    if not isinstance(features, list):
        raise json_text.otherwise("the document is no GeoJSON FeatureCollection with a list of features", whole)
    return features


def _is_feature(feature: Any) -> bool:
    return (
        isinstance(feature, dict) and feature.get("type") == "Feature" and isinstance(feature.get("properties"), dict)
    )


def _srid(options: TextFormat, whole: dict[str, Any]) -> int:
    """EPSG number of the document's reference system. The axes are east, north whatever its name says elsewhere."""
    if "crs" not in whole:
        name: Any = options.srs or "CRS:84"
    else:
        crs = whole["crs"]
        properties = crs.get("properties") if isinstance(crs, dict) else None
        name = properties.get("name") if isinstance(properties, dict) else None
        if not isinstance(name, str):
            raise ContentError("the document's `crs` does not name a reference system")
    try:
        return gml_geometry.reference_system(name, "east_north").srid
    except gml_geometry.GeometryError as error:
        raise ContentError(str(error)) from None


def _ewkt(geometry: Any, srid: int) -> str | None:
    if geometry is None:
        return None
    try:
        kind = geometry["type"]
        text = _nested(geometry["coordinates"], DEPTHS[kind])
    except (KeyError, TypeError, ValueError):
        return json_text.as_text(geometry)
    return f"SRID={srid};{kind.upper()} {text if DEPTHS[kind] else f'({text})'}"


def _nested(coordinates: Any, depth: int) -> str:
    """Coordinates as WKT writes them. Raises ValueError for what is not lists, `depth` deep, of positions."""
    if not isinstance(coordinates, list):
        raise ValueError("no coordinates")
    if depth:
        return "(" + ", ".join(_nested(item, depth - 1) for item in coordinates) + ")"
    if len(coordinates) < 2 or not all(isinstance(number, Number) for number in coordinates):
        raise ValueError("no position")
    return f"{coordinates[0]} {coordinates[1]}"
