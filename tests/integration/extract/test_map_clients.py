"""The clients that geographers use read the synthetic services as they read real ones."""

import json
import os
import subprocess
import sys

import numpy as np
import pyproj
import pytest
from owslib.ogcapi.features import Features
from owslib.wfs import WebFeatureService

from simulators.buildings import Building, register_of
from tests.integration.sources import Sources

FLAT = ("ryhti:open_building", "ryhti:open_address")
GDAL = """
import json, sys
import pyogrio, shapely
meta, _, points, _ = pyogrio.raw.read(sys.argv[1], layer=sys.argv[2])
print(json.dumps({"crs": meta["crs"], "places": shapely.get_coordinates(shapely.from_wkb(points)).tolist()}))
"""
TOWN_MAP = ("rakval:ValmisRakennus", "GIS:Rakennukset")


@pytest.fixture
def standing(sources: Sources) -> tuple[Building, ...]:
    """The buildings that the services have."""
    return register_of(sources.town.seed, sources.town.scale, sources.town.day).buildings


@pytest.mark.parametrize(("version", "types"), [("1.1.0", (*TOWN_MAP, *FLAT)), ("2.0.0", FLAT)])
def test_owslib_finds_types_schemas_and_features(sources: Sources, version: str, types: tuple[str, ...]) -> None:
    service = WebFeatureService(f"{sources.address}/wfs", version=version)
    assert tuple(service.contents) == types
    assert {one.name for one in service.operations} >= {"GetCapabilities", "DescribeFeatureType", "GetFeature"}
    schema = service.get_schema("ryhti:open_building")
    assert (schema["geometry"], schema["properties"]["floor_area"]) == ("Point", "int")
    answer = service.getfeature(typename=types[0], maxfeatures=3).read()
    text = answer if isinstance(answer, str) else answer.decode()
    assert text.count(f"<{types[0]} ") == 3


def test_owslib_asks_for_a_sorted_page_in_a_box_as_json(sources: Sources, standing: tuple[Building, ...]) -> None:
    service = WebFeatureService(f"{sources.address}/wfs", version="2.0.0")
    box = (420_000, 6_690_000, 430_000, 6_700_000)
    inside = sorted(b.id for b in standing if box[0] <= b.easting <= box[2] and box[1] <= b.northing <= box[3])
    answer = service.getfeature(
        typename="ryhti:open_building", maxfeatures=5, startindex=5, sortby=["building_key"],
        bbox=(*box, "urn:ogc:def:crs:EPSG::3067"), outputFormat="application/json",
    )  # fmt: skip
    document = json.loads(answer.read())
    assert [one["properties"]["building_key"] for one in document["features"]] == inside[5:10]
    assert document["numberMatched"] == "unknown"


def test_owslib_reads_the_ogc_api(sources: Sources) -> None:
    service = Features(f"{sources.address}/ogcapi")
    assert service.feature_collections() == ["open_building", "open_address"]
    assert any(one.endswith("ogcapi-features-2/1.0/conf/crs") for one in service.conformance()["conformsTo"])
    page = service.collection_items("open_address", limit=7, bbox=[25.5, 60.3, 25.8, 60.5])
    assert len(page["features"]) == 7 < page["numberMatched"]
    for feature in page["features"]:
        east, north = feature["geometry"]["coordinates"]
        assert 25.5 <= east <= 25.8
        assert 60.3 <= north <= 60.5


@pytest.mark.parametrize(
    ("address", "layer", "swapped"),
    [
        ("WFS:{}/wfs?version=1.1.0", "ryhti:open_building", False),
        ("WFS:{}/wfs?version=2.0.0", "ryhti:open_building", False),
        ("WFS:{}/wfs?version=1.1.0", "GIS:Rakennukset", False),
        # The northing first that KuntaGML writes under a name that means the easting misleads GDAL as well.
        ("WFS:{}/wfs?version=1.1.0", "rakval:ValmisRakennus", True),
        ("OAPIF:{}/ogcapi", "open_building", False),
    ],
)
def test_gdal_reads_every_layer_where_it_is(
    sources: Sources, standing: tuple[Building, ...], address: str, layer: str, swapped: bool
) -> None:
    # A process of its own: GDAL waits for answers while it keeps Python's lock, which the server's thread needs.
    command = [sys.executable, "-c", GDAL, address.format(sources.address), layer]
    # All in one page: GDAL does not sort pages, and would read some features twice as it does from real servers.
    environment = {**os.environ, "OGR_WFS_PAGE_SIZE": "500"}
    found = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60).stdout)
    places = np.array(found["places"])
    if swapped:
        places = places[:, ::-1]
    if found["crs"] != "EPSG:3067":
        change = pyproj.Transformer.from_crs(found["crs"], "EPSG:3067", always_xy=True)
        places = np.column_stack(change.transform(places[:, 0], places[:, 1]))
    if layer == "GIS:Rakennukset":
        places = places[1:]  # after the placeholder
    expected = np.array([(b.easting, b.northing) for b in standing])
    assert len(places) == len(expected)
    order, wanted = (np.lexsort(np.round(one, 2).T) for one in (places, expected))
    assert np.abs(places[order] - expected[wanted]).max() < 0.01
