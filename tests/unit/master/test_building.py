"""Districts, positions and addresses of buildings follow fixed rules, and nothing is guessed."""

import random

import pyproj
import pytest
import shapely

from citydata.master import building
from citydata.master.building import AddressLink, DistrictLink, Placed

SQUARES = {"06100": shapely.box(0, 0, 1000, 1000), "06150": shapely.box(1000, 0, 2000, 1000)}


def at(name: str, east: float | None, north: float = 500, permanent_id: str | None = None) -> Placed:
    return name, permanent_id, None if east is None else shapely.Point(east, north)


def districts(*buildings: Placed, among: dict[str, shapely.Geometry] = SQUARES) -> dict[str, DistrictLink]:
    return {link.building_id: link for link in building.districts(buildings, list(among), list(among.values()))}


def test_a_point_is_in_its_district_near_one_or_in_none() -> None:
    links = districts(at("in", 500), at("near", 2150), at("far", 2201), at("nowhere", None), at("corner", 2100, 1100))
    assert links["in"] == DistrictLink("in", "06100", "inside", 0.0, None)
    assert links["near"] == DistrictLink("near", "06150", "nearest", 150.0, None)
    assert links["far"] == DistrictLink("far", None, "none", None, "no district within 200 m")
    assert links["nowhere"] == DistrictLink("nowhere", None, "none", None, "the building has no point")
    assert links["corner"].distance_m == pytest.approx(20_000**0.5)


def test_what_lies_on_a_border_or_between_two_gets_the_lower_code_whatever_their_order() -> None:
    both = {
        "06400": shapely.box(0, 0, 1000, 1000),
        "06150": shapely.box(1200, 0, 2000, 1000),
        "06100": SQUARES["06150"],
    }
    for order in (both, dict(reversed(both.items()))):
        links = districts(at("border", 1000), at("inside two", 1500), among=order)
        assert {link.district_code for link in links.values()} == {"06100"}
        assert districts(at("between", 1100), among={k: order[k] for k in order if k != "06100"})[
            "between"
        ] == DistrictLink("between", "06150", "nearest", 100.0, None)


def test_without_boundaries_or_buildings_nothing_is_linked() -> None:
    assert districts(at("a", 1), among={})["a"].reason == "there are no boundaries of districts"
    assert districts() == {}
    assert building.positions([at("a", None)]) == []
    assert building.addresses([], [at("A1", 1, permanent_id="x")]) == []


def test_every_building_gets_what_a_search_without_an_index_finds() -> None:
    chance = random.Random(3)  # noqa: S311
    areas = {
        f"{n:05d}": shapely.Point(chance.uniform(0, 5000), chance.uniform(0, 5000)).buffer(400, 4) for n in range(30)
    }
    points = [at(str(n), chance.uniform(-500, 5500), chance.uniform(-500, 5500)) for n in range(400)]
    links = districts(*points, among=areas)
    for name, _, point in points:
        inside = sorted(code for code, area in areas.items() if area.intersects(point))
        distance, nearest = min((area.distance(point), code) for code, area in areas.items())
        link = links[name]
        if inside:
            assert (link.rule, link.district_code) == ("inside", inside[0])
        elif distance <= building.NEAREST_M:
            assert (link.rule, link.district_code, link.distance_m) == ("nearest", nearest, pytest.approx(distance))
        else:
            assert (link.rule, link.district_code) == ("none", None)


def test_positions_are_in_metres_and_degrees_east_before_north() -> None:
    [found] = building.positions([("a", None, shapely.Point(425_000, 6_696_000))])
    local = pyproj.Transformer.from_crs("EPSG:3067", "EPSG:3880", always_xy=True).transform(425_000, 6_696_000)
    assert (found.local_easting, found.local_northing) == pytest.approx(local)
    assert found.local_easting > 26_000_000 > found.local_northing
    assert 25.6 < found.longitude < 25.7
    assert 60.3 < found.latitude < 60.5


def test_the_nearest_address_of_the_one_building_with_that_permanent_id() -> None:
    houses = [at("one", 0, permanent_id="P1"), at("twin", 0, permanent_id="P2"), at("other twin", 9, permanent_id="P2")]
    houses += [at("nowhere", None, permanent_id="P3"), at("without", 5)]
    known = [at("B", 30, permanent_id="P1"), at("A", 30, permanent_id="P1"), at("C", 10, permanent_id="P1")]
    known += [at("D", 0, permanent_id="P2"), at("E", 1, permanent_id="P9"), at("F", 1), at("H", 1, permanent_id="P3")]
    known += [at("G", None, permanent_id="P1")]
    assert building.addresses(houses, known) == [
        AddressLink("one", "P1", "C", 10.0, True),
        AddressLink("one", "P1", "A", 30.0, False),
        AddressLink("one", "P1", "B", 30.0, False),
        AddressLink("one", "P1", "G", None, False),
        AddressLink("nowhere", "P3", "H", None, True),
    ]
