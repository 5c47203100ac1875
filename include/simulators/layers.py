"""The layers that the geographic services offer: their fields, and one feature as GML or GeoJSON.

`rakval:ValmisRakennus` is KuntaGML 2.1.2 with its owners, and writes northing first although it says `EPSG:3067`, as the
towns' servers do. `GIS:Rakennukset` is a flat layer as Trimble's server writes it. `open_building` and `open_address` are
like those of the national register.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.sax.saxutils import escape

import pyproj

from simulators import Town
from simulators.buildings import Address, Building, Owner, Register, register_of

NATIONAL, LOCAL, WGS84 = 3067, 3880, 4326
SYSTEMS = (NATIONAL, LOCAL, 3879, 4258, WGS84)
GML = {"1.1.0": "http://www.opengis.net/gml", "2.0.0": "http://www.opengis.net/gml/3.2"}
RAKVAL = "http://www.paikkatietopalvelu.fi/gml/rakennusvalvonta"
YHTEISET = "http://www.paikkatietopalvelu.fi/gml/yhteiset"

Value = str | int | float | None
Point = tuple[float, float]


@functools.cache
def _transformer(srid: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(NATIONAL, srid, always_xy=True)


@functools.cache
def northing_first(srid: int) -> bool:
    """Whether the authority of a reference system names the northing (latitude) before the easting."""
    return bool(pyproj.CRS.from_epsg(srid).axis_info[0].direction == "north")


def projected(points: Sequence[Point], srid: int) -> list[Point]:
    """Points of the national projection in another reference system, easting (longitude) first."""
    if srid == NATIONAL or not points:
        return list(points)
    digits = 9 if srid in (4258, WGS84) else 3
    east, north = _transformer(srid).transform(*zip(*points, strict=True))
    return [(round(x, digits), round(y, digits)) for x, y in zip(east, north, strict=True)]


@dataclass(frozen=True)
class Srs:
    """How a geometry names its reference system, and whether its northing comes first then."""

    name: str
    srid: int
    northing_first: bool

    def text(self, point: Point) -> str:
        """The two coordinates as GML writes them."""
        east, north = (_number(coordinate) for coordinate in point)
        return f"{north} {east}" if self.northing_first else f"{east} {north}"


@dataclass(frozen=True)
class Field:
    """A field of a layer and its type in XML Schema."""

    name: str
    type: Literal["string", "int", "date"]


@dataclass(frozen=True)
class Feature:
    """One feature: its id, its fields, where it is (EPSG:3067), and what it was made of."""

    id: str
    values: dict[str, Value]
    point: Point
    origin: Building | Address | None = None


@dataclass(frozen=True)
class Layer:
    """A layer. `kind` is whose server writes it: KuntaGML, Trimble's or GeoServer."""

    name: str
    namespace: str
    title: str
    kind: Literal["kuntagml", "trimble", "geoserver"]
    srid: int
    geometry: str
    fields: tuple[Field, ...]
    features: Callable[[Town], tuple[Feature, ...]]

    @property
    def prefix(self) -> str:
        """Of its namespace."""
        return self.name.partition(":")[0]

    @property
    def local(self) -> str:
        """Its name without the prefix; the collection's id of the OGC API."""
        return self.name.partition(":")[2]

    def srs(self, version: str, requested: str | None) -> Srs:
        """How the layer's server names a reference system that was asked for, or its own one."""
        srid = srid_of(requested) if requested else self.srid
        if self.kind == "kuntagml":
            return Srs(f"EPSG:{srid}", srid, True)
        if self.kind == "trimble" or (requested and requested.upper().startswith("EPSG:")):
            return Srs(f"http://www.opengis.net/gml/srs/epsg.xml#{srid}", srid, False)
        form = "urn:x-ogc:def:crs:EPSG:" if version == "1.1.0" else "urn:ogc:def:crs:EPSG::"
        return Srs(f"{form}{srid}", srid, northing_first(srid))

    def gml(self, feature: Feature, point: Point, srs: Srs) -> str:
        """The feature's element; `point` is in the reference system of `srs`."""
        if self.kind == "kuntagml":
            assert isinstance(feature.origin, Building)
            return _kuntagml(feature.origin, point, srs)
        fields = "".join(
            f"<{self.prefix}:{field.name}>{escape(str(value))}</{self.prefix}:{field.name}>"
            for field in self.fields
            if (value := feature.values[field.name]) is not None
        )
        identity = "" if self.kind == "trimble" else f' gml:id="{feature.id}"'
        own = "" if self.kind == "trimble" else f' gml:id="{feature.id}.{self.geometry}"'
        inner = f'<gml:Point{own} srsName="{srs.name}" srsDimension="2">'
        return (
            f"<{self.name}{identity}>{fields}<{self.prefix}:{self.geometry}>{inner}<gml:pos>{srs.text(point)}</gml:pos>"
            f"</gml:Point></{self.prefix}:{self.geometry}></{self.name}>"
        )


def offered(version: str) -> dict[str, Layer]:
    """The layers of a version of WFS: the towns' servers speak 1.1.0 only."""
    return {name: layer for name, layer in LAYERS.items() if version == "1.1.0" or layer.kind == "geoserver"}


def srid_of(name: str) -> int:
    """The EPSG number in any form of a reference system's name; ValueError for one that the server does not have."""
    if name.upper().endswith("CRS84"):
        return WGS84
    digits = name.replace("#", ":").replace("/", ":").rpartition(":")[2]
    if not digits.isdigit() or int(digits) not in SYSTEMS:
        raise ValueError(f"unsupported reference system {name}")
    return int(digits)


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _register(town: Town) -> Register:
    return register_of(town.seed, town.scale, town.day)


# -- KuntaGML --------------------------------------------------------------------------------------------------------


def _kuntagml(b: Building, point: Point, srs: Srs) -> str:
    """A building in the order of rakennusvalvonta 2.1.2."""
    number = (
        f"<rakval:valtakunnallinenNumero>{b.permanent_id}</rakval:valtakunnallinenNumero>" if b.permanent_id else ""
    )
    fuel = f"<rakval:lammonlahde><rakval:polttoaine>{b.fuel}</rakval:polttoaine></rakval:lammonlahde>" if b.fuel else ""
    owners = "".join(_owner(owner, b) for owner in b.owners)
    return f"""<rakval:ValmisRakennus gml:id="valmisrakennus.{b.number}"><rakval:rakennustieto><rakval:Rakennus>
<yht:yksilointitieto>{b.id}</yht:yksilointitieto>
<yht:alkuHetki>{b.completed}T00:00:00+02:00</yht:alkuHetki>
<rakval:sijaintitieto><rakval:Sijainti><yht:piste>
 <gml:Point srsDimension="2" srsName="{srs.name}" axisLabels="x y"><gml:pos>{srs.text(point)}</gml:pos></gml:Point>
</yht:piste></rakval:Sijainti></rakval:sijaintitieto>
<rakval:rakennuksenTiedot>
<rakval:rakennustunnus>{number}<rakval:kiinttun>{b.property_id}</rakval:kiinttun><rakval:rakennusnro>{b.ordinal:03d}</rakval:rakennusnro>\
<rakval:aanestysalue>{1 + b.number % 12:03d}</rakval:aanestysalue></rakval:rakennustunnus>
<rakval:kayttotarkoitus>{escape(b.use)}</rakval:kayttotarkoitus>
<rakval:tilavuus>{b.volume}</rakval:tilavuus>
<rakval:kokonaisala>{b.gross_floor_area}</rakval:kokonaisala>
<rakval:kellarinpinta-ala>{b.basement_area}</rakval:kellarinpinta-ala>
<rakval:kerrosluku>{b.floors}</rakval:kerrosluku>
<rakval:kerrosala>{b.floor_area}</rakval:kerrosala>
<rakval:rakentamistapa>paikalla</rakval:rakentamistapa>
<rakval:kantavaRakennusaine><rakval:rakennusaine>{b.material}</rakval:rakennusaine></rakval:kantavaRakennusaine>
<rakval:lammitystapa>{b.heating}</rakval:lammitystapa>
{fuel}
</rakval:rakennuksenTiedot>
<rakval:rakentajatyyppi>muu</rakval:rakentajatyyppi>
{owners}
</rakval:Rakennus></rakval:rakennustieto></rakval:ValmisRakennus>
"""


def _owner(owner: Owner, building: Building) -> str:
    place = building.place
    home = (
        f"<yht:osoite><yht:osoitenimi><yht:teksti>Esimerkkitie</yht:teksti></yht:osoitenimi><yht:osoitenumero>"
        f"{1 + building.number % 90}</yht:osoitenumero><yht:postinumero>{place.postal_code}</yht:postinumero>"
        f"<yht:postitoimipaikannimi>{place.name_fi}</yht:postitoimipaikannimi></yht:osoite>"
    )
    if owner.company_id:
        return (
            f"<rakval:omistaja><yht:yritys><yht:nimi>{escape(owner.family_name)}</yht:nimi><yht:liikeJaYhteisotunnus>"
            f"{owner.company_id}</yht:liikeJaYhteisotunnus></yht:yritys><rakval:omistajalaji><rakval:omistajalaji>"
            "kiinteistö oy</rakval:omistajalaji></rakval:omistajalaji></rakval:omistaja>"
        )
    protected = "<yht:turvakieltoKytkin>true</yht:turvakieltoKytkin>" if owner.protected else ""
    return (
        f"<rakval:omistaja><yht:henkilo><yht:nimi><yht:etunimi>{owner.given_name}</yht:etunimi><yht:sukunimi>"
        f"{owner.family_name}</yht:sukunimi></yht:nimi>{home}</yht:henkilo>{protected}<rakval:omistajalaji>"
        "<rakval:omistajalaji>muu yksityinen henkilö tai perikunta</rakval:omistajalaji></rakval:omistajalaji></rakval:omistaja>"
    )


@functools.lru_cache(maxsize=4)
def _own_buildings(seed: int, scale: float, day: int) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"valmisrakennus.{b.number}", {"yksilointitieto": b.id}, (b.easting, b.northing), b)
        for b in register_of(seed, scale, day).buildings
    )


# -- flat layers -----------------------------------------------------------------------------------------------------


def _map_buildings(town: Town) -> tuple[Feature, ...]:
    """The buildings of the town's map, after a placeholder that means nothing."""
    nothing: dict[str, Value] = {
        "Id": 0,
        "Tunnus": None,
        "Kayttotarkoitus": " Ei tietoa",
        "Kayttotarkoitus_koodi": "0",
        "Kerrosala": 0,
    }
    features = [Feature("0", nothing, (425_000.0, 6_696_000.0))]
    for b in _register(town).buildings:
        code, _, name = b.use.partition(" ")
        values: dict[str, Value] = {
            "Id": b.number,
            "Tunnus": b.permanent_id,
            "Kayttotarkoitus": f" {name}",
            "Kayttotarkoitus_koodi": code,
            "Kerrosala": b.floor_area,
        }
        features.append(Feature(str(b.number), values, (b.easting, b.northing), b))
    return tuple(features)


def _open_buildings(town: Town) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            f"open_building.{b.number}",
            {
                "building_key": b.id,
                "permanent_building_identifier": b.permanent_id,
                "property_identifier": b.property_id,
                "main_purpose": b.use[:3],
                "completion_date": b.completed.isoformat(),
                "floor_area": b.floor_area,
                "volume": b.volume,
                "municipality_number": b.place.municipality,
            },
            (b.easting, b.northing),
            b,
        )
        for b in _register(town).buildings
    )


def _open_addresses(town: Town) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            f"open_address.{a.number}",
            {
                "address_key": f"A{a.number:09d}",
                "permanent_building_identifier": a.building,
                "property_identifier": a.property_id,
                "municipality_number": a.place.municipality,
                "address_name_fin": a.street_fi,
                "address_name_swe": a.street_sv,
                "number_part_of_address_number": a.house.partition(" ")[0],
                "subdivision_letter_of_address_number": a.house.partition(" ")[2] or None,
                "postal_code": a.place.postal_code,
                "postal_office_fin": a.place.name_fi,
                "postal_office_swe": a.place.name_sv,
            },
            (a.easting, a.northing),
            a,
        )
        for a in _register(town).addresses
    )


def _texts(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "string") for name in names)


RYHTI = "http://www.example.org/ryhti_building"
LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer(
            "rakval:ValmisRakennus", RAKVAL, "Valmiit rakennukset", "kuntagml", NATIONAL, "piste",
            _texts("yksilointitieto"), lambda town: _own_buildings(town.seed, town.scale, town.day),
        ),
        Layer(
            "GIS:Rakennukset", "http://www.tekla.com/schemas/GIS", "Kantakartan rakennukset", "trimble", LOCAL, "Geometry",
            (Field("Id", "int"), *_texts("Tunnus", "Kayttotarkoitus", "Kayttotarkoitus_koodi"), Field("Kerrosala", "int")),
            _map_buildings,
        ),
        Layer(
            "ryhti:open_building", RYHTI, "Avoimet rakennukset", "geoserver", NATIONAL, "location",
            (
                *_texts("building_key", "permanent_building_identifier", "property_identifier", "main_purpose"),
                Field("completion_date", "date"), Field("floor_area", "int"), Field("volume", "int"),
                *_texts("municipality_number"),
            ),
            _open_buildings,
        ),
        Layer(
            "ryhti:open_address", RYHTI, "Avoimet osoitteet", "geoserver", NATIONAL, "location",
            _texts(
                "address_key", "permanent_building_identifier", "property_identifier", "municipality_number",
                "address_name_fin", "address_name_swe", "number_part_of_address_number",
                "subdivision_letter_of_address_number", "postal_code", "postal_office_fin", "postal_office_swe",
            ),
            _open_addresses,
        ),
    )
}  # fmt: skip


def geojson(layer: Layer, feature: Feature, point: Point) -> dict[str, Any]:
    """The feature as GeoJSON; the order of the two coordinates is the caller's."""
    return {
        "type": "Feature",
        "id": feature.id,
        "geometry": {"type": "Point", "coordinates": list(point)},
        "geometry_name": layer.geometry,
        "properties": feature.values,
    }
