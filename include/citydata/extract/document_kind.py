"""What a document is that was not expected: for errors that tell whoever dropped it. Only names of the formats are told."""

import json
import re
from typing import Any

TYPES = {
    "Topology": "TopoJSON",
    "FeatureCollection": "a GeoJSON FeatureCollection",
    "Feature": "a single GeoJSON feature",
    **dict.fromkeys(("Point", "LineString", "Polygon", "GeometryCollection"), "a GeoJSON geometry"),
    **dict.fromkeys(("MultiPoint", "MultiLineString", "MultiPolygon"), "a GeoJSON geometry"),
}
KEYS = (
    ({"class", "id", "size", "dimension"}, "JSON-stat 2, an answer of PxWeb"),
    ({"dataset"}, "JSON-stat 1, an answer of a THL cube"),
    ({"title", "variables"}, "the description of a PxWeb table"),
    ({"language", "tables"}, "a list of PxWeb tables"),
    ({"columns", "data"}, "an answer of PxWeb in its own JSON"),
    ({"resourceType"}, "a FHIR resource"),
    ({"exceptions"}, "an exception report"),
    ({"code", "description"}, "an error answer"),
    ({"title", "status"}, "an error answer"),
)
_ROOT = re.compile(rb"<(?![?!])(?:[\w.-]{1,60}:)?([\w.-]{1,60})")
ROOTS = {
    "ExceptionReport": "an OGC exception report",
    "ServiceExceptionReport": "an OGC exception report",
    "FeatureCollection": "GML",
    "WFS_Capabilities": "the capabilities of a WFS",
    "html": "an HTML page",
}


def of_text(text: bytes) -> str | None:
    """What a text is that should have been another format; None when it is not XML or JSON."""
    start = text.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<":
        root = _ROOT.search(text[: 64 << 10])
        name = root[1].decode("ascii", "replace") if root else "?"
        return ROOTS.get(name) or ROOTS.get(name.lower()) or f"XML ({name})"
    if start in (b"{", b"["):
        try:
            return of(json.loads(text)) or "JSON"
        except (ValueError, RecursionError):
            return "JSON, or cut off from it"
    return None


def of(document: Any) -> str | None:
    """What a JSON document is by its keys; None when nothing known."""
    if isinstance(document, list):
        first = document[0] if document and isinstance(document[0], dict) else {}
        return "a PxWeb folder listing" if {"id", "type", "text"} <= first.keys() else None
    if not isinstance(document, dict):
        return None
    type_ = document.get("type")
    if isinstance(type_, str) and type_ in TYPES:
        return TYPES[type_]
    return next((kind for keys, kind in KEYS if keys <= document.keys()), None)
