"""Geometries are cast to WKB in ETRS-TM35FIN, or refused with the rule that they break."""

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from citydata import geometry, town

POINT = ["Point"]


def _cast(*texts: str | None, types: list[str] = POINT, within: str = "town") -> tuple[list[str | None], list[str]]:
    """Values, and the rule that each row breaks or an empty text."""
    values, broken = geometry.national(pa.array(texts, pa.string()), types, within)
    masks = {rule: mask.to_pylist() for rule, mask in broken.items()}
    return values.to_pylist(), [" ".join(rule for rule in masks if masks[rule][n]) for n in range(len(texts))]


def _shape(value: str | None) -> shapely.Geometry:
    assert value is not None
    return shapely.from_wkb(value.removeprefix("\\x"))


def test_one_place_in_four_reference_systems_is_one_place() -> None:
    local = town.load().local_projection.removeprefix("EPSG:")
    at = shapely.Point(426_000, 6_695_000)
    texts = ["SRID=3067;POINT (426000 6695000)"]
    for code in (local, "4326", "4258"):
        there = geometry.projected(shapely.points([[426_000, 6_695_000]]), geometry.NATIONAL, f"EPSG:{code}")[0]
        texts.append(f"SRID={code};{shapely.to_wkt(there, rounding_precision=-1)}")
    values, broken = _cast(*texts)
    assert broken == [""] * 4
    assert max(_shape(value).distance(at) for value in values) < 0.01


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("SRID=3067;POINT (6695000 426000)", "bounds"),  # northing first
        ("SRID=3067;POINT (250000 6695000)", "bounds"),
        ("SRID=4326;POINT (60.39 25.66)", "bounds"),
        ("POINT (426000 6695000)", "geometry"),  # of no system
        ("SRID=9999;POINT (426000 6695000)", "geometry"),
        ("SRID=3067;POINT EMPTY", "geometry"),
        ("SRID=3067;POINT (426000", "geometry"),
        ("SRID=3067;LINESTRING (426000 6695000, 426001 6695000)", "geometry"),
        ("SRID=3067;POINT (nan 6695000)", "geometry"),
        ("", "geometry"),
    ],
)
def test_what_is_not_a_point_of_the_town_is_refused(text: str, rule: str) -> None:
    assert _cast(text) == ([None], [rule])


def test_a_ring_that_crosses_itself_is_refused() -> None:
    bow = "SRID=3067;POLYGON ((426000 6695000, 426010 6695010, 426010 6695000, 426000 6695010, 426000 6695000))"
    assert _cast(bow, types=["Polygon"]) == ([None], ["geometry"])


def test_no_geometry_is_none() -> None:
    assert _cast(None) == ([None], [""])
    assert _cast() == ([], [])


def test_the_country_is_wider_than_the_town() -> None:
    text = "SRID=3067;POINT (240000 6710000)"  # Turku
    assert _cast(text)[1] == ["bounds"]
    assert _cast(text, within="country")[1] == [""]


@given(st.lists(st.one_of(st.none(), st.text(max_size=40), st.from_regex(geometry.EWKT, fullmatch=True)), max_size=5))
def test_every_text_is_a_geometry_or_refused(texts: list[str | None]) -> None:
    values, broken = _cast(*texts)
    for text, value, rule in zip(texts, values, broken, strict=True):
        assert (value is None and not rule) == (text is None)
        assert bool(rule) == (value is None and text is not None)
