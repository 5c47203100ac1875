"""Buildings: where they are in each reference system, in which district, and which of their addresses is the nearest.

dbt's database reads no geometry, so what follows from it is computed here. The district of a building is, in this order:

1. `inside`: the district that the building's point lies in or on the border of; of several the one with the lowest code.
2. `nearest`: the nearest district, when it is no further than `NEAREST_M` metres: coasts are drawn more simply than houses.
3. `none`, with the reason.

An address belongs to the building whose permanent id it gives; a permanent id that two buildings have identifies neither.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import shapely
from psycopg import Connection, sql

from citydata import geometry, town

NEAREST_M = 200.0
WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Position:
    """A building's point: metres in EPSG:3067 and in the town's local projection, degrees in WGS 84."""

    building_id: str
    easting: float
    northing: float
    local_easting: float
    local_northing: float
    longitude: float
    latitude: float


@dataclass(frozen=True)
class DistrictLink:
    """The district that a building was linked to, how, and how far it is from it in metres."""

    building_id: str
    district_code: str | None
    rule: str
    distance_m: float | None
    reason: str | None


@dataclass(frozen=True)
class AddressLink:
    """An address of a building, its distance in metres where both have a point, and whether it is the nearest one."""

    building_id: str
    permanent_building_id: str
    address_id: str
    distance_m: float | None
    is_nearest: bool


Placed = tuple[str, str | None, Any]
"""Id, permanent building id and point (None where there is none)."""


def positions(buildings: Iterable[Placed]) -> list[Position]:
    """The points of buildings in all reference systems; those without a point have none."""
    placed = [(name, point) for name, _, point in buildings if point is not None]
    names = [name for name, _ in placed]
    east, north = shapely.get_coordinates([point for _, point in placed]).reshape(-1, 2).T
    here = geometry.transformer(geometry.NATIONAL, town.load().local_projection)
    columns = [east, north, *here.transform(east, north)]
    columns += geometry.transformer(geometry.NATIONAL, WGS84).transform(east, north)
    return [Position(name, *(float(one) for one in values)) for name, *values in zip(names, *columns, strict=True)]


def districts(buildings: Sequence[Placed], codes: Sequence[str], boundaries: Sequence[Any]) -> list[DistrictLink]:
    """Link every building to a district by the rules of this module."""
    order = sorted(range(len(codes)), key=lambda at: codes[at])
    codes, shapes = [codes[at] for at in order], np.array([boundaries[at] for at in order], dtype=object)
    tree = shapely.STRtree(shapes)
    points = np.array([point for *_, point in buildings], dtype=object)
    inside: dict[int, int] = {}
    near: dict[int, tuple[int, float]] = {}
    if len(shapes) and len(points):
        for at, found in tree.query(points, predicate="intersects").T:
            inside[at] = min(found, inside.get(at, found))
        outside = np.array([at for at in range(len(points)) if points[at] is not None and at not in inside], dtype=int)
        if len(outside):
            pairs, distances = tree.query_nearest(
                points[outside], max_distance=NEAREST_M, return_distance=True, all_matches=True
            )
            for (at, found), distance in zip(pairs.T, distances, strict=True):
                near[outside[at]] = min((found, float(distance)), near.get(outside[at], (found, float(distance))))

    def link(at: int, name: str) -> DistrictLink:
        if at in inside:
            return DistrictLink(name, codes[inside[at]], "inside", 0.0, None)
        if at in near:
            found, distance = near[at]
            return DistrictLink(name, codes[found], "nearest", distance, None)
        if points[at] is None:
            return DistrictLink(name, None, "none", None, "the building has no point")
        reason = f"no district within {NEAREST_M:.0f} m" if codes else "there are no boundaries of districts"
        return DistrictLink(name, None, "none", None, reason)

    return [link(at, name) for at, (name, *_) in enumerate(buildings)]


def addresses(buildings: Iterable[Placed], listed: Iterable[Placed]) -> list[AddressLink]:
    """Link addresses (`listed`, with the permanent id of their building) to buildings."""
    buildings = list(buildings)
    times = Counter(permanent_id for _, permanent_id, _ in buildings if permanent_id)
    of = {known: (name, point) for name, known, point in buildings if known and times[known] == 1}
    found: dict[str, list[tuple[float | None, str, str]]] = defaultdict(list)
    for address_id, permanent_id, point in listed:
        if permanent_id in of:
            name, where = of[permanent_id]
            distance = None if point is None or where is None else float(shapely.distance(point, where))
            found[name].append((distance, address_id, permanent_id or ""))
    links = []
    for name, entries in found.items():
        entries.sort(key=lambda entry: (entry[0] is None, entry[0] or 0.0, entry[1]))
        links += [
            AddressLink(name, permanent_id, address_id, distance, place == 0)
            for place, (distance, address_id, permanent_id) in enumerate(entries)
        ]
    return links


TABLES = {
    "building_position": """
CREATE TABLE IF NOT EXISTS master_link.building_position (
    building_id text PRIMARY KEY,
    easting double precision NOT NULL,
    northing double precision NOT NULL,
    local_easting double precision NOT NULL,
    local_northing double precision NOT NULL,
    longitude double precision NOT NULL,
    latitude double precision NOT NULL
)
""",
    "building_district": """
CREATE TABLE IF NOT EXISTS master_link.building_district (
    building_id text PRIMARY KEY,
    district_code text,
    rule text NOT NULL CHECK (rule IN ('inside', 'nearest', 'none')),
    distance_m double precision,
    reason text,
    CHECK ((district_code IS NULL) = (rule = 'none')),
    CHECK ((reason IS NOT NULL) = (rule = 'none'))
)
""",
    "building_address": """
CREATE TABLE IF NOT EXISTS master_link.building_address (
    building_id text NOT NULL,
    permanent_building_id text NOT NULL,
    address_id text PRIMARY KEY,
    distance_m double precision,
    is_nearest boolean NOT NULL
)
""",
}
STAGING = ("stg_gis__buildings", "stg_gis__addresses", "stg_gis__postal_areas")
"""Staging models that are matched."""
BUILDINGS = "SELECT building_id, permanent_building_id, geometry FROM staging.stg_gis__buildings ORDER BY building_id"
ADDRESSES = "SELECT address_id, permanent_building_id, geometry FROM staging.stg_gis__addresses ORDER BY address_id"
DISTRICTS = "SELECT postal_code, NULL, geometry FROM staging.stg_gis__postal_areas ORDER BY postal_code"


def prepare(connection: Connection[Any]) -> None:
    """Make the tables of links where they are missing."""
    for table in TABLES.values():
        connection.execute(table)


def match(connection: Connection[Any]) -> int:
    """Replace what is known of buildings from their geometry by what staging shows now; returns how many there are."""
    buildings = _placed(connection, BUILDINGS)
    areas = _placed(connection, DISTRICTS)
    _replace(connection, "building_position", positions(buildings))
    _replace(
        connection,
        "building_district",
        districts(buildings, [code for code, *_ in areas], [area for *_, area in areas]),
    )
    _replace(connection, "building_address", addresses(buildings, _placed(connection, ADDRESSES)))
    return len(buildings)


def _placed(connection: Connection[Any], query: str) -> list[Placed]:
    rows = connection.execute(query).fetchall()
    shapes = shapely.from_wkb([None if wkb is None else bytes(wkb) for *_, wkb in rows])
    return [(name, permanent_id, shape) for (name, permanent_id, _), shape in zip(rows, shapes, strict=True)]


def _replace(connection: Connection[Any], name: str, links: Sequence[Position | DistrictLink | AddressLink]) -> None:
    table = sql.Identifier("master_link", name)
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
        for link in links:
            copy.write_row(astuple(link))
    connection.execute(sql.SQL("ANALYZE {}").format(table))
