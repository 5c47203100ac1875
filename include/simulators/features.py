"""The town's geographic services: a WFS (1.1.0 and 2.0.0, KVP GET) at `/wfs`, and OGC API Features at `/ogcapi`.

They do what real ones do. What `sortBy` leaves open is in another order on each page; a layer gives no more than `CAP` features at
once and does not say so; version 1.1.0 answers an error with status 200; Trimble's layer ignores paging, sorting and hits;
the OGC API ignores parameters that it does not know, and one collection ignores filters too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lxml import etree
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from simulators import Town, TownNow, random_for, wfs_documents
from simulators.layers import (
    LAYERS,
    NATIONAL,
    RAKVAL,
    SYSTEMS,
    Feature,
    Layer,
    geojson,
    northing_first,
    offered,
    projected,
    srid_of,
)

CAP = 500
"""Features that a layer of GeoServer's gives at most in one answer."""
PAGE = 10
LONGEST_PAGE = 1_000
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
COLLECTIONS = {layer.local: layer for layer in LAYERS.values() if layer.kind == "geoserver"}
IGNORES_FILTERS = {"open_building"}
_COMPARISON = re.compile(r"\s*\"?(\w+)\"?\s*=\s*'((?:[^']|'')*)'\s*")


class Complaint(Exception):
    """What the service cannot do: a code, the parameter and a text."""

    def __init__(self, code: str, locator: str, text: str) -> None:
        super().__init__(text)
        self.code, self.locator, self.text = code, locator, text


def routes(town: TownNow) -> list[BaseRoute]:
    """Routes of both services."""

    def of(answer: Callable[[Request, Town], Response]) -> Callable[[Request], Response]:
        return lambda request: answer(request, town())

    api = "/ogcapi"
    return [
        Route("/wfs", of(_wfs)),
        Route(api, of(_landing)),
        Route(f"{api}/api", of(_api)),
        Route(f"{api}/conformance", of(_conformance)),
        Route(f"{api}/collections", of(_collections)),
        Route(f"{api}/collections/{{name}}", of(_collection)),
        Route(f"{api}/collections/{{name}}/items", of(_items)),
        Route(f"{api}/collections/{{name}}/items/{{feature}}", of(_item)),
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- choosing features -----------------------------------------------------------------------------------------------


def _compared(features: Sequence[Feature], layer: Layer, text: str) -> list[Feature]:
    """Features for which a filter holds: `name='value'`, several joined by AND."""
    known = {field.name for field in layer.fields}
    chosen = list(features)
    for part in re.split(r"\bAND\b", text, flags=re.IGNORECASE):
        found = _COMPARISON.fullmatch(part)
        if not found or found[1] not in known:
            raise Complaint("InvalidParameterValue", "filter", "the filter cannot be understood")
        name, value = found[1], found[2].replace("''", "'")
        chosen = [feature for feature in chosen if str(feature.values[name]) == value]
    return chosen


def _within(features: Sequence[Feature], box: Sequence[float], srid: int) -> list[Feature]:
    west, south, east, north = box
    points = projected([feature.point for feature in features], srid)
    return [
        feature for feature, (x, y) in zip(features, points, strict=True) if west <= x <= east and south <= y <= north
    ]


def _box(text: str, srs_name: str | None, *, by_authority: bool) -> tuple[list[float], int]:
    """A box easting first, and its reference system; the name may be the fifth part (WFS)."""
    parts = text.split(",")
    name = parts[4] if len(parts) == 5 else srs_name
    try:
        numbers = [float(part) for part in parts[:4]]
        srid = srid_of(name) if name else NATIONAL
    except ValueError as error:
        raise Complaint("InvalidParameterValue", "bbox", str(error)) from None
    if len(numbers) != 4:
        raise Complaint("InvalidParameterValue", "bbox", "a box has four numbers")
    swapped = name and not name.upper().startswith("EPSG:") and not name.endswith("CRS84") and northing_first(srid)
    if by_authority and swapped:
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    return numbers, srid


# -- WFS -------------------------------------------------------------------------------------------------------------


def _wfs(request: Request, town: Town) -> Response:
    asked = {name.lower(): value for name, value in request.query_params.items()}
    version = asked.get("version") or asked.get("acceptversions", "").split(",")[0] or "2.0.0"
    known = version if version in wfs_documents.WFS else "2.0.0"
    address = str(request.url.replace(query=""))
    try:
        if asked.get("service", "WFS").upper() != "WFS":
            raise Complaint("InvalidParameterValue", "service", "the service is WFS")
        operation = asked.get("request", "").lower()
        if operation == "getcapabilities":
            return Response(wfs_documents.capabilities(known, address), media_type="text/xml")
        if known != version:
            raise Complaint("VersionNegotiationFailed", "version", f"version {version} is not supported")
        if operation == "describefeaturetype":
            return Response(
                wfs_documents.schema(version, _asked_layers(version, asked), address), media_type="text/xml"
            )
        if operation == "getfeature":
            return _get_feature(version, asked, town)
        raise Complaint("OperationNotSupported", "request", f"request {asked.get('request')} is not supported")
    except Complaint as complaint:
        report = wfs_documents.exception(known, complaint.code, complaint.locator, complaint.text)
        return Response(report, 200 if known == "1.1.0" else 400, media_type="text/xml")


def _asked_layers(version: str, asked: Mapping[str, str]) -> list[Layer]:
    layers = offered(version)
    names = asked.get("typenames") or asked.get("typename")
    if not names:
        return list(layers.values())
    for name in names.split(","):
        if name not in layers:
            raise Complaint("InvalidParameterValue", "typeName", f"Feature type {name} unknown")
    return [layers[name] for name in names.split(",")]


def _count(asked: Mapping[str, str], *names: str) -> int | None:
    text = next((asked[name] for name in names if name in asked), None)
    if text is None:
        return None
    if not text.isdigit():
        raise Complaint("InvalidParameterValue", names[0], "not a number of features")
    return int(text)


def _get_feature(version: str, asked: Mapping[str, str], town: Town) -> Response:
    layers = _asked_layers(version, asked)
    if len(layers) != 1:
        raise Complaint("MissingParameterValue", "typeName", "one feature type a request")
    layer = layers[0]
    output = asked.get("outputformat", wfs_documents.GML_FORMATS[version])
    as_json = output in (wfs_documents.JSON, "json", "application/vnd.geo+json")
    if as_json and wfs_documents.JSON not in wfs_documents.formats(version, layer):
        raise Complaint("InvalidParameterValue", "outputFormat", f"Failed to find response for output format {output}")
    if "filter" in asked:
        raise Complaint("OptionNotSupported", "filter", "filters are given as bbox or CQL_FILTER")
    recorded = town.recorded.get("gis.buildings")
    if recorded and layer.kind == "kuntagml":
        return _recorded(version, recorded, asked)
    try:
        srs = layer.srs(version, asked.get("srsname"))
    except ValueError as error:
        raise Complaint("InvalidParameterValue", "srsName", str(error)) from None
    matched = _matched(layer, asked, town)
    if asked.get("resulttype", "").lower() == "hits" and layer.kind != "trimble":
        return Response(_hits(version, len(matched)), media_type="text/xml")
    chosen = _page(layer, matched, asked, town)
    points = projected([feature.point for feature in chosen], srs.srid)
    if as_json:
        return JSONResponse(
            {
                "type": "FeatureCollection",
                "features": [geojson(layer, f, point) for f, point in zip(chosen, points, strict=True)],
                "totalFeatures": "unknown",
                "numberMatched": "unknown",
                "numberReturned": len(chosen),
                "timeStamp": _now(),
                "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{srs.srid}"}},
            }
        )
    members = [layer.gml(feature, point, srs) for feature, point in zip(chosen, points, strict=True)]
    text = wfs_documents.collection(version, layer, members, matched="unknown", returned=len(chosen), at=_now())
    return Response(text, media_type=wfs_documents.GML_FORMATS[version])


def _matched(layer: Layer, asked: Mapping[str, str], town: Town) -> list[Feature]:
    features: list[Feature] = list(layer.features(town))
    if "cql_filter" in asked:
        if "bbox" in asked:
            raise Complaint("InvalidParameterValue", "bbox", "bbox and cql_filter are mutually exclusive")
        features = _compared(features, layer, asked["cql_filter"])
    if "bbox" in asked:
        features = _within(features, *_box(asked["bbox"], None, by_authority=True))
    return features


def _page(layer: Layer, matched: list[Feature], asked: Mapping[str, str], town: Town) -> list[Feature]:
    most = _count(asked, "count", "maxfeatures")
    if layer.kind == "trimble":
        return matched[:most]
    start = _count(asked, "startindex") or 0
    if layer.kind == "geoserver":
        random_for(town.seed, "order of a page", start).shuffle(matched)
    for part in reversed(asked.get("sortby", "").split(",")):
        name, _, direction = part.strip().replace("+", " ").partition(" ")
        name = name.rpartition("/")[2].rpartition(":")[2]
        if name and name not in {field.name for field in layer.fields}:
            raise Complaint("InvalidParameterValue", "sortBy", f"{name} is not a property")
        if name:
            matched.sort(key=_sort_key(name), reverse=direction.upper().startswith("D"))
    if layer.kind == "geoserver":
        most = min(most if most is not None else CAP, CAP)
    return matched[start:][:most]


def _sort_key(name: str) -> Callable[[Feature], tuple[bool, Any]]:
    return lambda feature: (feature.values[name] is not None, feature.values[name] or 0)


def _hits(version: str, count: int) -> str:
    said = f'numberOfFeatures="{count}"' if version == "1.1.0" else f'numberMatched="{count}" numberReturned="0"'
    space = wfs_documents.WFS[version]
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<wfs:FeatureCollection xmlns:wfs="{space}" timeStamp="{_now()}" {said}/>'


def _recorded(version: str, path: Path, asked: Mapping[str, str]) -> Response:
    """A recorded answer as it is; hits count its features."""
    content = path.read_bytes()
    if asked.get("resulttype", "").lower() == "hits":
        found = etree.fromstring(content).iter(f"{{{RAKVAL}}}ValmisRakennus")
        return Response(_hits(version, sum(1 for _ in found)), media_type="text/xml")
    return Response(content, media_type=wfs_documents.GML_FORMATS[version])


# -- OGC API Features ------------------------------------------------------------------------------------------------


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/") + "/ogcapi"


def _link(href: str, rel: str, title: str, kind: str = "application/json") -> dict[str, str]:
    return {"href": href, "rel": rel, "type": kind, "title": title}


def _landing(request: Request, town: Town) -> Response:
    base = _base(request)
    return JSONResponse(
        {
            "title": "Porvoon paikkatietopalvelu",
            "description": "Buildings and addresses of a synthetic town",
            "links": [
                _link(base, "self", "This document"),
                _link(f"{base}/api", "service-desc", "API", "application/vnd.oai.openapi+json;version=3.0"),
                _link(f"{base}/conformance", "conformance", "Conformance"),
                _link(f"{base}/collections", "data", "Collections"),
            ],
        }
    )


def _api(request: Request, town: Town) -> Response:
    limit = {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE}
    parameters = [{"name": "limit", "in": "query", "required": False, "schema": limit}]
    answer = {"get": {"parameters": parameters, "responses": {"200": {"description": "features"}}}}
    paths = {f"/collections/{name}/items": answer for name in COLLECTIONS}
    document = {
        "openapi": "3.0.2",
        "info": {"title": "Porvoon paikkatietopalvelu", "version": "1.0.0"},
        "servers": [{"url": _base(request)}],
        "paths": paths,
    }
    return JSONResponse(document, media_type="application/vnd.oai.openapi+json;version=3.0")


def _conformance(request: Request, town: Town) -> Response:
    parts = ("1/1.0/conf/core", "1/1.0/conf/oas30", "1/1.0/conf/geojson", "2/1.0/conf/crs")
    return JSONResponse({"conformsTo": [f"http://www.opengis.net/spec/ogcapi-features-{part}" for part in parts]})


def _described(request: Request, layer: Layer) -> dict[str, Any]:
    here = f"{_base(request)}/collections/{layer.local}"
    west, south = map(float, wfs_documents.BOUNDS[0].split())
    east, north = map(float, wfs_documents.BOUNDS[1].split())
    return {
        "id": layer.local,
        "title": layer.title,
        "itemType": "feature",
        "extent": {"spatial": {"bbox": [[west, south, east, north]], "crs": CRS84}},
        "crs": [CRS84, *(f"{EPSG}{srid}" for srid in SYSTEMS)],
        "storageCrs": f"{EPSG}{layer.srid}",
        "links": [
            _link(here, "self", layer.title),
            _link(f"{here}/items", "items", layer.title, "application/geo+json"),
        ],
    }


def _collections(request: Request, town: Town) -> Response:
    described = [_described(request, layer) for layer in COLLECTIONS.values()]
    return JSONResponse(
        {"links": [_link(f"{_base(request)}/collections", "self", "Collections")], "collections": described}
    )


def _problem(status: int, text: str) -> Response:
    return JSONResponse({"code": str(status), "description": text}, status, media_type="application/problem+json")


def _collection(request: Request, town: Town) -> Response:
    layer = COLLECTIONS.get(request.path_params["name"])
    return JSONResponse(_described(request, layer)) if layer else _problem(404, "there is no such collection")


def _items(request: Request, town: Town) -> Response:
    layer = COLLECTIONS.get(request.path_params["name"])
    if layer is None:
        return _problem(404, "there is no such collection")
    asked = dict(request.query_params)
    try:
        crs, srid, swapped = _answered_crs(asked.get("crs", CRS84))
        features: list[Feature] = list(layer.features(town))
        if "filter" in asked and layer.local not in IGNORES_FILTERS:
            features = _compared(features, layer, asked["filter"])
        if "bbox" in asked:
            features = _within(features, *_box(asked["bbox"], asked.get("bbox-crs", CRS84), by_authority=True))
        limit = min(_count(asked, "limit") or PAGE, LONGEST_PAGE)
        offset = _count(asked, "offset") or 0
    except Complaint as complaint:
        return _problem(400, complaint.text)
    chosen = features[offset:][:limit]
    here = f"{_base(request)}/collections/{layer.local}/items"
    links = [_link(f"{here}?{urlencode(asked)}", "self", layer.title, "application/geo+json")]
    if offset + limit < len(features):
        following = urlencode({**asked, "offset": offset + limit, "limit": limit})
        links.append(_link(f"{here}?{following}", "next", "The next page", "application/geo+json"))
    document = {
        "type": "FeatureCollection",
        "timeStamp": _now(),
        "numberMatched": len(features),
        "numberReturned": len(chosen),
        "links": links,
        "features": _as_geojson(layer, chosen, srid, swapped),
    }
    return _geojson_answer(document, crs)


def _item(request: Request, town: Town) -> Response:
    layer = COLLECTIONS.get(request.path_params["name"])
    found = [f for f in layer.features(town) if f.id == request.path_params["feature"]] if layer else []
    if layer is None or not found:
        return _problem(404, "there is no such feature")
    try:
        crs, srid, swapped = _answered_crs(request.query_params.get("crs", CRS84))
    except Complaint as complaint:
        return _problem(400, complaint.text)
    return _geojson_answer(_as_geojson(layer, found, srid, swapped)[0], crs)


def _answered_crs(name: str) -> tuple[str, int, bool]:
    """The name of a reference system, its number, and whether this strict server writes its northing first."""
    try:
        srid = srid_of(name)
    except ValueError as error:
        raise Complaint("InvalidParameterValue", "crs", str(error)) from None
    return name, srid, name != CRS84 and northing_first(srid)


def _as_geojson(layer: Layer, features: Sequence[Feature], srid: int, swapped: bool) -> list[dict[str, Any]]:
    points = projected([feature.point for feature in features], srid)
    return [
        geojson(layer, feature, (y, x) if swapped else (x, y)) for feature, (x, y) in zip(features, points, strict=True)
    ]


def _geojson_answer(document: dict[str, Any], crs: str) -> Response:
    text = json.dumps(document, ensure_ascii=False)
    return Response(text, media_type="application/geo+json", headers={"Content-Crs": f"<{crs}>"})
