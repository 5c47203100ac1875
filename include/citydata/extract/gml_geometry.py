"""Geometries of GML 2, 3.1 and 3.2 as EWKT with easting before northing (longitude before latitude).

Numbers are kept as they are written; nothing is computed but the union of a surface's patches. Heights are left out,
because columns hold plane geometries.

In which order two coordinates stand depends on how the reference system is named (OGC 05-047r3, 07-092r3, WFS practice):
`urn:ogc:def:crs:EPSG::n` and `http://www.opengis.net/def/crs/EPSG/0/n` have the order of the authority, `EPSG:n` and
`http://www.opengis.net/gml/srs/epsg.xml#n` easting first. Sources that break this are known, so a contract can say it.
"""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyproj
import shapely
from lxml import etree

Axes = Literal["by_srs", "east_north", "north_east"]
Position = tuple[str, str]

AUTHORITY_ORDER = (
    re.compile(r"urn:(?:x-)?ogc:def:crs:EPSG:(?:[\d.]*:)?(\d{4,5})", re.IGNORECASE),
    re.compile(r"https?://www\.opengis\.net/def/crs/EPSG/[\d.]+/(\d{4,5})", re.IGNORECASE),
)
EAST_FIRST = (
    re.compile(r"EPSG:(\d{4,5})", re.IGNORECASE),
    re.compile(r"https?://www\.opengis\.net/gml/srs/epsg\.xml#(\d{4,5})", re.IGNORECASE),
)
LONGITUDE_FIRST = re.compile(
    r"CRS:84|urn:ogc:def:crs:OGC:[\d.]*:CRS84|https?://www\.opengis\.net/def/crs/OGC/[\d.]+/CRS84", re.IGNORECASE
)
WGS84 = 4326
_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?")


class GeometryError(ValueError):
    """A geometry that cannot be read. The text says why and holds at most the number that is wrong."""


@dataclass(frozen=True)
class ReferenceSystem:
    """A reference system by its EPSG number, and whether the first coordinate is the northing (or latitude)."""

    srid: int
    northing_first: bool


@functools.cache
def reference_system(name: str, axes: Axes = "by_srs") -> ReferenceSystem:
    """What a srsName says; `axes` other than by_srs overrules it. Raises GeometryError for a name that is not known."""
    text = name.strip()
    if LONGITUDE_FIRST.fullmatch(text):
        return ReferenceSystem(WGS84, axes == "north_east")
    for forms, by_authority in ((AUTHORITY_ORDER, True), (EAST_FIRST, False)):
        for form in forms:
            if found := form.fullmatch(text):
                srid = int(found[1])
                first = _first_axis(srid)
                by_name = by_authority and first == "north"
                return ReferenceSystem(srid, {"by_srs": by_name, "east_north": False}.get(axes, True))
    raise GeometryError(f"the reference system “{text[:80]}” is not known")


def _first_axis(srid: int) -> str:
    try:
        system = pyproj.CRS.from_epsg(srid)
    except pyproj.exceptions.CRSError:
        raise GeometryError(f"there is no reference system EPSG:{srid}") from None
    directions = [axis.direction for axis in system.axis_info[:2]]
    if sorted(directions) != ["east", "north"]:
        raise GeometryError(f"EPSG:{srid} does not count east and north")
    return directions[0]


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace, or without a prefix that nobody has declared."""
    return str(element.tag).rpartition("}")[2].rpartition(":")[2]


def ewkt(holder: etree._Element, inherited: str | None, axes: Axes) -> str | None:
    """The geometry inside `holder` as `SRID=n;…`; None when it holds nothing.

    `inherited` names the reference system of geometries that do not name one. Raises GeometryError for anything that is
    not one geometry of straight lines.
    """
    if len(holder) == 0:
        if (holder.text or "").strip():
            raise GeometryError("there is a text where a geometry should be")
        return None
    if len(holder) > 1:
        raise GeometryError(f"there are {len(holder)} elements where one geometry should be")
    reading = _Reading()
    shape = reading.shape(holder[0], None)
    name = reading.srs_name or inherited
    if name is None:
        raise GeometryError("neither the geometry nor the contract (srs) says which reference system it is in")
    system = reference_system(name, axes)
    return f"SRID={system.srid};{shape.wkt(system.northing_first)}"


@dataclass(frozen=True)
class _Shape:
    """A geometry before its axes are put in order. `parts` are the rings of polygons, or lines, or points."""

    kind: Literal["POINT", "LINESTRING", "POLYGON"]
    members: list[list[list[Position]]]
    many: bool = False
    patches: bool = False

    def wkt(self, northing_first: bool) -> str:
        bodies = [self._body(member, northing_first) for member in self.members]
        if self.patches and len(bodies) > 1:
            try:
                return str(shapely.union_all(shapely.from_wkt([f"POLYGON{body}" for body in bodies])).wkt)
            except shapely.errors.GEOSException:
                raise GeometryError("the patches of a surface do not make one") from None
        return f"MULTI{self.kind}({','.join(bodies)})" if self.many else f"{self.kind}{bodies[0]}"

    def _body(self, member: list[list[Position]], northing_first: bool) -> str:
        east, north = (1, 0) if northing_first else (0, 1)
        lines = ["(" + ",".join(f"{at[east]} {at[north]}" for at in line) + ")" for line in member]
        return f"({','.join(lines)})" if self.kind == "POLYGON" else lines[0]


# What a GML object may say of itself besides its coordinates.
_ASIDE = {"name", "description", "descriptionReference", "identifier", "metaDataProperty", "boundedBy"}
_COLLECTIONS = {
    "MultiPoint": ("POINT", {"pointMember", "pointMembers"}),
    "MultiLineString": ("LINESTRING", {"lineStringMember", "lineStringMembers"}),
    "MultiCurve": ("LINESTRING", {"curveMember", "curveMembers"}),
    "MultiPolygon": ("POLYGON", {"polygonMember", "polygonMembers"}),
    "MultiSurface": ("POLYGON", {"surfaceMember", "surfaceMembers"}),
}


class _Reading:
    """Reads one geometry and remembers in which reference system it says that it is."""

    def __init__(self) -> None:
        self.srs_name: str | None = None

    def shape(self, element: etree._Element, dimension: int | None) -> _Shape:
        kind = local_name(element)
        dimension = self._enter(element, dimension)
        if kind in _COLLECTIONS:
            return self._collection(element, dimension)
        simple: dict[str, Callable[[], _Shape]] = {
            "Point": lambda: _Shape("POINT", [[self._positions(element, dimension, exactly=1)]]),
            "LineString": lambda: _Shape("LINESTRING", [[self._positions(element, dimension, least=2)]]),
            "Curve": lambda: _Shape("LINESTRING", [[self._curve(element, dimension)]]),
            "Polygon": lambda: _Shape("POLYGON", [self._rings(element, dimension)]),
            "Surface": lambda: self._surface(element, dimension),
        }
        if kind not in simple:
            raise GeometryError(f"a {kind} is not a geometry of straight lines that can be kept")
        return simple[kind]()

    def _enter(self, element: etree._Element, dimension: int | None) -> int | None:
        """Note what an element says about its coordinates; the inner ones hold to the outer."""
        if name := element.get("srsName"):
            if self.srs_name is not None and reference_system(name) != reference_system(self.srs_name):
                raise GeometryError("the parts of a geometry are in different reference systems")
            self.srs_name = name
        text = element.get("srsDimension") or element.get("dimension")
        if text is None:
            return dimension
        if text not in ("2", "3"):
            raise GeometryError("coordinates have two or three dimensions")
        return int(text)

    def _children(self, element: etree._Element, *expected: str) -> Iterator[etree._Element]:
        for child in element:
            name = local_name(child)
            if name in expected:
                yield child
            elif name not in _ASIDE:
                raise GeometryError(f"a {local_name(element)} holds a {name}")

    def _collection(self, element: etree._Element, dimension: int | None) -> _Shape:
        wanted, names = _COLLECTIONS[local_name(element)]
        members: list[list[list[Position]]] = []
        for holder in self._children(element, *names):
            if len(holder) == 0:
                raise GeometryError(f"a {local_name(holder)} holds no geometry but perhaps a reference to one")
            for child in holder:
                shape = self.shape(child, dimension)
                if shape.kind != wanted or shape.many or (shape.patches and len(shape.members) > 1):
                    raise GeometryError(f"a {local_name(element)} holds a {local_name(child)}")
                members += shape.members
        if not members:
            raise GeometryError(f"a {local_name(element)} is empty")
        return _Shape(wanted, members, many=True)  # type: ignore[arg-type]

    def _curve(self, element: etree._Element, dimension: int | None) -> list[Position]:
        line: list[Position] = []
        for segments in self._children(element, "segments"):
            for segment in self._children(segments, "LineStringSegment"):
                if segment.get("interpolation", "linear") != "linear":
                    raise GeometryError("a segment is not a straight line")
                line = _joined(line, self._positions(segment, self._enter(segment, dimension), least=2))
        if not line:
            raise GeometryError("a Curve is empty")
        return line

    def _surface(self, element: etree._Element, dimension: int | None) -> _Shape:
        patches = [
            self._rings(patch, self._enter(patch, dimension))
            for holder in self._children(element, "patches", "polygonPatches")
            for patch in self._children(holder, "PolygonPatch")
        ]
        if not patches:
            raise GeometryError("a Surface is empty")
        return _Shape("POLYGON", patches, patches=True)

    def _rings(self, element: etree._Element, dimension: int | None) -> list[list[Position]]:
        outer = [self._ring(b, dimension) for b in self._boundaries(element, "exterior", "outerBoundaryIs")]
        inner = [self._ring(b, dimension) for b in self._boundaries(element, "interior", "innerBoundaryIs")]
        if len(outer) != 1:
            raise GeometryError(f"a {local_name(element)} has {len(outer)} outer boundaries")
        return outer + inner

    def _boundaries(self, element: etree._Element, *names: str) -> list[etree._Element]:
        every = self._children(element, "exterior", "outerBoundaryIs", "interior", "innerBoundaryIs")
        return [child for child in every if local_name(child) in names]

    def _ring(self, boundary: etree._Element, dimension: int | None) -> list[Position]:
        line: list[Position] = []
        for ring in self._children(boundary, "LinearRing", "Ring"):
            if line:
                raise GeometryError("a boundary holds several rings")
            within = self._enter(ring, dimension)
            if local_name(ring) == "LinearRing":
                line = self._positions(ring, within, least=4)
                continue
            for member in self._children(ring, "curveMember"):
                for child in self._children(member, "LineString", "Curve"):
                    line = _joined(line, self.shape(child, within).members[0][0])
        if not line:
            raise GeometryError("a boundary is empty")
        return line

    def _positions(
        self, element: etree._Element, dimension: int | None, *, exactly: int | None = None, least: int = 1
    ) -> list[Position]:
        found: list[Position] = []
        for child in self._children(element, "pos", "posList", "coordinates", "coord", "pointProperty", "pointRep"):
            name = local_name(child)
            own = self._enter(child, dimension)
            if name in ("pointProperty", "pointRep"):
                for point in self._children(child, "Point"):
                    found += self.shape(point, own).members[0][0]
            elif name == "coordinates":
                found += _tuples(child)
            elif name == "coord":
                found.append(_position([_text(part) for part in self._children(child, "X", "Y", "Z")], None))
            else:
                numbers = _text(child).split()
                size = own or (len(numbers) if name == "pos" else 2)
                if name == "pos" or not numbers or len(numbers) % size:
                    found.append(_position(numbers, size))
                else:
                    found += [_position(numbers[at : at + size], size) for at in range(0, len(numbers), size)]
        if (exactly is not None and len(found) != exactly) or len(found) < least:
            raise GeometryError(f"a {local_name(element)} has {len(found)} positions")
        return found


def _joined(line: list[Position], further: list[Position]) -> list[Position]:
    """A line that goes on where it ended; the shared position stands once."""
    if line and line[-1] != further[0]:
        raise GeometryError("the segments of a curve do not join")
    return line + further[1:] if line else further


def _text(element: etree._Element) -> str:
    if len(element):
        raise GeometryError(f"a {local_name(element)} holds a {local_name(element[0])}")
    return element.text or ""


def _position(numbers: list[str], dimension: int | None) -> Position:
    if len(numbers) not in ((2, 3) if dimension is None else (dimension,)) or len(numbers) not in (2, 3):
        raise GeometryError(f"a position has {len(numbers)} numbers")
    for number in numbers:
        if not _NUMBER.fullmatch(number):
            raise GeometryError(f"“{number[:40]}” is not a coordinate")
    return numbers[0], numbers[1]


def _tuples(element: etree._Element) -> list[Position]:
    """gml:coordinates, whose signs for decimals, numbers and tuples can be chosen."""
    decimal, between, after = element.get("decimal", "."), element.get("cs", ","), element.get("ts", " ")
    text = _text(element)
    tuples = text.split() if after.isspace() else [one.strip() for one in text.split(after) if one.strip()]
    # A blank as the sign between numbers means any white space, as everywhere in XML.
    return [
        _position([n.replace(decimal, ".") for n in (one.split() if between.isspace() else one.split(between))], None)
        for one in tuples
    ]
