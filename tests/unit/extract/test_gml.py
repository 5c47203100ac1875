"""GML whatever it is: every form of geometry and reference system, documents cut and mutated, nothing lost without a word."""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from citydata import contract, geometry
from citydata.connector_options import TextFormat
from citydata.extract import Block, ContentError, gml_text
from citydata.extract.gml_geometry import GeometryError, ewkt, reference_system

GML = 'xmlns:gml="http://www.opengis.net/gml"'
BUILDINGS = contract.load("gis.buildings")
BELOW = "rakennustieto/Rakennus"


# -- reference systems and the order of coordinates ------------------------------------------------------------------

NAMES = {
    "EPSG:{}": False,
    "http://www.opengis.net/gml/srs/epsg.xml#{}": False,
    "urn:ogc:def:crs:EPSG::{}": True,
    "urn:ogc:def:crs:EPSG:6.9:{}": True,
    "urn:x-ogc:def:crs:EPSG:{}": True,
    "http://www.opengis.net/def/crs/EPSG/0/{}": True,
}
"""Forms of a name, and whether two coordinates then stand in the order of the authority."""
NORTH_FIRST = {3067: False, 3873: True, 3877: True, 3879: True, 3880: True, 3885: True, 4258: True, 4326: True}


@pytest.mark.parametrize(("name", "srid"), list(itertools.product(NAMES, NORTH_FIRST)))
def test_the_order_of_coordinates_follows_from_the_form_of_the_name(name: str, srid: int) -> None:
    system = reference_system(name.format(srid))
    assert (system.srid, system.northing_first) == (srid, NAMES[name] and NORTH_FIRST[srid])
    assert not reference_system(name.format(srid), "east_north").northing_first
    assert reference_system(name.format(srid), "north_east").northing_first


@pytest.mark.parametrize(
    "name", ["CRS:84", "urn:ogc:def:crs:OGC:1.3:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
)
def test_longitude_comes_first_where_the_name_says_so(name: str) -> None:
    assert reference_system(name) == reference_system("EPSG:4326")


@pytest.mark.parametrize(
    "name", ["", "3067", "EPSG:1", "EPSG:99999", "EPSG:4936", "KKJ3", "urn:ogc:def:crs:EPSG::", "EPSG:3067 "]
)
def test_other_names_are_refused_or_read_without_blanks(name: str) -> None:
    if name.strip() == "EPSG:3067":
        assert reference_system(name).srid == 3067
        return
    with pytest.raises(GeometryError):
        reference_system(name)


def read(body: str, inherited: str | None = "EPSG:3067", axes: Any = "by_srs") -> str | None:
    """The geometry of a property that holds `body`."""
    return ewkt(etree.fromstring(f"<holder {GML}>{body}</holder>"), inherited, axes)


RING = "0 0 4 0 4 4 0 4 0 0"
HOLE = "1 1 1 2 2 2 2 1 1 1"
LINE = "<gml:LineString><gml:posList>0 0 1 2 3 3</gml:posList></gml:LineString>"
POLYGON = f"<gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>{RING}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>"
PATCH = "<gml:PolygonPatch><gml:exterior><gml:LinearRing><gml:posList>{}</gml:posList></gml:LinearRing></gml:exterior></gml:PolygonPatch>"
SHAPES = {
    # GML 3
    "<gml:Point><gml:pos>1 2</gml:pos></gml:Point>": "POINT (1 2)",
    "<gml:Point><gml:pos srsDimension='3'>1 2 9</gml:pos></gml:Point>": "POINT (1 2)",
    "<gml:Point><gml:name>3</gml:name><gml:pos>\n 1.50\t2e0 \n</gml:pos></gml:Point>": "POINT (1.5 2)",
    LINE: "LINESTRING (0 0, 1 2, 3 3)",
    "<gml:LineString srsDimension='3'><gml:posList>0 0 9 1 2 9</gml:posList></gml:LineString>": "LINESTRING (0 0, 1 2)",
    "<gml:LineString><gml:pos>0 0</gml:pos><gml:pos>1 2</gml:pos></gml:LineString>": "LINESTRING (0 0, 1 2)",
    "<gml:LineString><gml:pointProperty><gml:Point><gml:pos>0 0</gml:pos></gml:Point></gml:pointProperty><gml:pos>1 2</gml:pos>"
    "</gml:LineString>": "LINESTRING (0 0, 1 2)",
    POLYGON: "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))",
    POLYGON.replace(
        "</gml:Polygon>",
        f"<gml:interior><gml:LinearRing><gml:posList>{HOLE}</gml:posList></gml:LinearRing></gml:interior></gml:Polygon>",
    ): "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1))",
    "<gml:Polygon><gml:exterior><gml:Ring><gml:curveMember><gml:LineString><gml:posList>0 0 4 0 4 4</gml:posList></gml:LineString>"
    "</gml:curveMember><gml:curveMember><gml:LineString><gml:posList>4 4 0 0</gml:posList></gml:LineString></gml:curveMember></gml:Ring>"
    "</gml:exterior></gml:Polygon>": "POLYGON ((0 0, 4 0, 4 4, 0 0))",
    "<gml:Curve><gml:segments><gml:LineStringSegment><gml:posList>0 0 1 1</gml:posList></gml:LineStringSegment><gml:LineStringSegment>"
    "<gml:posList>1 1 2 0</gml:posList></gml:LineStringSegment></gml:segments></gml:Curve>": "LINESTRING (0 0, 1 1, 2 0)",
    f"<gml:Surface><gml:patches>{PATCH.format(RING)}</gml:patches></gml:Surface>": "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))",
    f"<gml:Surface><gml:patches>{PATCH.format(RING)}{PATCH.format('4 0 8 0 8 4 4 4 4 0')}</gml:patches></gml:Surface>": (
        "POLYGON ((0 0, 8 0, 8 4, 0 4, 0 0))"
    ),
    "<gml:MultiPoint><gml:pointMember><gml:Point><gml:pos>1 2</gml:pos></gml:Point></gml:pointMember><gml:pointMembers><gml:Point>"
    "<gml:pos>3 4</gml:pos></gml:Point></gml:pointMembers></gml:MultiPoint>": "MULTIPOINT (1 2, 3 4)",
    f"<gml:MultiCurve><gml:curveMember>{LINE}</gml:curveMember></gml:MultiCurve>": "MULTILINESTRING ((0 0, 1 2, 3 3))",
    f"<gml:MultiSurface><gml:surfaceMembers>{POLYGON}</gml:surfaceMembers></gml:MultiSurface>": (
        "MULTIPOLYGON (((0 0, 4 0, 4 4, 0 4, 0 0)))"
    ),
    # GML 2
    "<gml:Point><gml:coordinates>1,2</gml:coordinates></gml:Point>": "POINT (1 2)",
    "<gml:Point><gml:coord><gml:X>1</gml:X><gml:Y>2</gml:Y></gml:coord></gml:Point>": "POINT (1 2)",
    "<gml:LineString><gml:coordinates decimal=',' cs=';' ts='|'>0,5;0|1;2</gml:coordinates></gml:LineString>": (
        "LINESTRING (0.5 0, 1 2)"
    ),
    "<gml:Polygon><gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>0,0 4,0 4,4 0,0</gml:coordinates></gml:LinearRing>"
    "</gml:outerBoundaryIs></gml:Polygon>": "POLYGON ((0 0, 4 0, 4 4, 0 0))",
    f"<gml:MultiPolygon><gml:polygonMember>{POLYGON}</gml:polygonMember></gml:MultiPolygon>": (
        "MULTIPOLYGON (((0 0, 4 0, 4 4, 0 4, 0 0)))"
    ),
    f"<gml:MultiLineString><gml:lineStringMember>{LINE}</gml:lineStringMember></gml:MultiLineString>": (
        "MULTILINESTRING ((0 0, 1 2, 3 3))"
    ),
}


@pytest.mark.parametrize("body", SHAPES)
def test_geometries_of_every_version(body: str) -> None:
    for axes, flipped in (("by_srs", False), ("north_east", True)):
        text = read(body, axes=axes)
        assert text
        srs, _, wkt = text.partition(";")
        assert srs == "SRID=3067"
        expected = shapely.from_wkt(SHAPES[body])
        if flipped:
            expected = shapely.transform(expected, lambda points: points[:, ::-1])
        assert shapely.equals(shapely.from_wkt(wkt), expected)
        assert shapely.get_type_id(shapely.from_wkt(wkt)) == shapely.get_type_id(expected)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("kadun varrella", "a text where a geometry should be"),
        (LINE + LINE, "2 elements where one geometry should be"),
        ("<gml:Point/>", "a Point has 0 positions"),
        ("<gml:Point><gml:pos>1</gml:pos></gml:Point>", "a position has 1 numbers"),
        ("<gml:Point><gml:pos>1 2 3 4</gml:pos></gml:Point>", "a position has 4 numbers"),
        ("<gml:Point><gml:pos>1 NaN</gml:pos></gml:Point>", "“NaN” is not a coordinate"),
        ("<gml:Point><gml:pos>1 1e999</gml:pos></gml:Point>", "“1e999” is not a coordinate"),
        ("<gml:Point><gml:pos>1,0 2,0</gml:pos></gml:Point>", "“1,0” is not a coordinate"),
        ("<gml:Point><gml:coordinates>1,2 3,4</gml:coordinates></gml:Point>", "a Point has 2 positions"),
        ("<gml:Point srsDimension='4'><gml:pos>1 2</gml:pos></gml:Point>", "two or three dimensions"),
        ("<gml:Point srsDimension='3'><gml:pos>1 2</gml:pos></gml:Point>", "a position has 2 numbers"),
        ("<gml:LineString><gml:posList>1 2</gml:posList></gml:LineString>", "a LineString has 1 positions"),
        ("<gml:LineString><gml:posList>1 2 3</gml:posList></gml:LineString>", "a position has 3 numbers"),
        ("<gml:Polygon/>", "0 outer boundaries"),
        (POLYGON.replace(RING, "0 0 1 1 0 0"), "a LinearRing has 3 positions"),
        ("<gml:Solid/>", "a Solid is not a geometry of straight lines"),
        ("<gml:MultiGeometry/>", "a MultiGeometry is not a geometry"),
        ("<gml:MultiPoint/>", "a MultiPoint is empty"),
        (
            f"<gml:MultiPoint><gml:pointMember>{LINE}</gml:pointMember></gml:MultiPoint>",
            "a MultiPoint holds a LineString",
        ),
        ("<gml:MultiPoint><gml:pointMember/></gml:MultiPoint>", "perhaps a reference"),
        ("<gml:Curve><gml:segments><gml:Arc/></gml:segments></gml:Curve>", "a segments holds a Arc"),
        (
            "<gml:Curve><gml:segments><gml:LineStringSegment><gml:posList>0 0 1 1</gml:posList></gml:LineStringSegment>"
            "<gml:LineStringSegment><gml:posList>5 5 6 6</gml:posList></gml:LineStringSegment></gml:segments></gml:Curve>",
            "do not join",
        ),
        (
            "<gml:Point srsName='EPSG:3067'><gml:pos srsName='EPSG:3880'>1 2</gml:pos></gml:Point>",
            "different reference systems",
        ),
        ("<gml:Point srsName='KKJ'><gml:pos>1 2</gml:pos></gml:Point>", "the reference system “KKJ” is not known"),
    ],
)
def test_what_is_no_geometry_says_why(body: str, said: str) -> None:
    with pytest.raises(GeometryError, match=re.escape(said)):
        read(body)


def test_a_geometry_without_a_reference_system_takes_the_one_around_it() -> None:
    point = "<gml:Point><gml:pos>1 2</gml:pos></gml:Point>"
    assert read(point, "urn:ogc:def:crs:EPSG::3880") == "SRID=3880;POINT(2 1)"
    assert read(point.replace("Point>", "Point srsName='EPSG:3880'>", 1), "EPSG:3067") == "SRID=3880;POINT(1 2)"
    with pytest.raises(GeometryError, match=r"neither the geometry nor the contract \(srs\) says"):
        read(point, None)
    assert read("", None) is None


# -- documents -------------------------------------------------------------------------------------------------------


@dataclass
class Layout:
    """What a document's features are read into."""

    columns: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, *paths: str, place: str | None = "geometry") -> "Layout":
        """Text columns at these paths, the first one the key, and a geometry."""
        columns = [
            SimpleNamespace(
                name=p, source_name=p, titles=(p,), key=p == paths[0], settings=SimpleNamespace(geometry=None)
            )
            for p in paths
        ]
        if place:
            geometric = SimpleNamespace(geometry=True)
            columns.append(
                SimpleNamespace(name=place, source_name=place, titles=(place,), key=False, settings=geometric)
            )
        return cls(columns)


def parsed(
    document: bytes | str, layout: Any, feature: str = "Talo", chunk: int = 1 << 20, **options: Any
) -> list[Block]:
    content = document.encode() if isinstance(document, str) else document
    chunks: Iterator[bytes] = (content[at : at + chunk] for at in range(0, len(content), chunk))
    paths = [column.source_name for column in layout.columns]
    return list(gml_text.parse(layout, TextFormat(format="gml", feature=feature, **options), chunks, paths))


def rows(*arguments: Any, **options: Any) -> list[dict[str, str | None]]:
    return [row for block in parsed(*arguments, **options) for row in block.rows.to_pylist()]


def collection(*members: str, attributes: str = "", before: str = "") -> str:
    body = "".join(f"<gml:featureMember>{member}</gml:featureMember>" for member in members)
    return f'<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" {GML} {attributes}>{before}{body}</wfs:FeatureCollection>'


def house(number: int, *, more: str = "", place: str = "") -> str:
    return f"<Talo><id>{number}</id>{more}<geometry>{place}</geometry></Talo>"


HOUSES = Layout.of("id", "nimi")


def test_values_are_texts_without_layout_comments_and_sections() -> None:
    document = collection(
        house(1, more="<nimi>\n   Vanha <!-- x -->talo\n </nimi>"),
        house(2, more="<nimi><![CDATA[A & B <c>]]></nimi>"),
        house(3, more='<nimi xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true">x</nimi>'),
        house(4, more="<nimi>   </nimi>"),
        house(5),
    )
    assert [row["nimi"] for row in rows(document, HOUSES)] == ["Vanha talo", "A & B <c>", None, None, None]
    assert rows(document, HOUSES, chunk=7) == rows(document, HOUSES)


def test_members_in_every_wrapping() -> None:
    many = "".join(house(number) for number in range(3))
    member = "<w:member>{}</w:member>"
    of_queries = "".join(
        member.format(f"<w:FeatureCollection>{member.format(house(number))}</w:FeatureCollection>")
        for number in range(3)
    )
    for document in (
        collection(house(0), house(1), house(2)),
        f"<FeatureCollection {GML}><gml:featureMembers>{many}</gml:featureMembers></FeatureCollection>",
        f"<w:FeatureCollection xmlns:w='http://www.opengis.net/wfs/2.0'>{of_queries}</w:FeatureCollection>",
        f"<Rakennusvalvonta><toimituksenTiedot/><talotieto>{many}</talotieto></Rakennusvalvonta>",
    ):
        assert [row["id"] for row in rows(document, HOUSES)] == ["0", "1", "2"]
    assert rows(collection(), HOUSES) == []


def test_row_numbers_go_through_blocks_and_from_the_first_row_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gml_text, "ROWS", 10)
    monkeypatch.setattr(gml_text, "PIECE", 200)
    document = collection(*(house(number) for number in range(35))).encode()
    options = TextFormat(format="gml", feature="Talo")
    blocks = list(gml_text.parse(HOUSES, options, iter([document]), ["id", "nimi", "geometry"], 101))
    assert len(blocks) > 3
    assert [n for block in blocks for n in block.numbers.to_pylist()] == list(range(101, 136))


def test_the_envelope_around_tells_the_reference_system() -> None:
    point = "<gml:Point><gml:pos>2 1</gml:pos></gml:Point>"
    envelope = "<gml:boundedBy><gml:Envelope srsName='{}'/></gml:boundedBy>"
    around = collection(house(1, place=point), before=envelope.format("urn:ogc:def:crs:EPSG::3880"))
    assert rows(around, HOUSES, srs="EPSG:3067")[0]["geometry"] == "SRID=3880;POINT(1 2)"
    own = collection(house(1, place=point, more=envelope.format("EPSG:3879")), before=envelope.format("EPSG:3880"))
    assert rows(own, HOUSES)[0]["geometry"] == "SRID=3879;POINT(2 1)"
    assert rows(collection(house(1, place=point)), HOUSES, srs="EPSG:3067")[0]["geometry"] == "SRID=3067;POINT(2 1)"
    assert "neither the geometry" in (rows(collection(house(1, place=point)), HOUSES)[0]["geometry"] or "")


def test_several_values_break_the_row_and_not_the_document() -> None:
    [block] = parsed(
        collection(
            house(1, more="<nimi>a</nimi><nimi>b</nimi>"),
            house(2, more="<nimi><osa>a</osa></nimi>"),
            house(3, more="<id>4</id>"),
            house(5),
        ),
        HOUSES,
    )
    assert block.rows.column("nimi").to_pylist() == ["a | b", None, None, None]
    assert block.rows.column("id").to_pylist() == ["1", "2", None, "5"], "a key that says two things says nothing"
    assert {rule: mask.to_pylist() for rule, mask in block.broken.items()} == {
        "several_values": [True, False, True, False],
        "nested_elements": [False, True, False, False],
    }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "the file is empty"),
        ("{}", "the document is not XML"),
        ("<html><body>Häiriö</body></html>", "holds no Talo; its root element is html"),
        ("<Talot/>", "holds no Talo; its root element is Talot"),
        (collection("<Katu/>"), "holds Katu where the contract expects Talo"),
        (collection(house(1) + "<Katu/>"), "holds Katu where the contract expects Talo"),
        (collection("<Katu/>" + house(1)), "holds Katu where the contract expects Talo"),
        (collection("<Katu>" + house(1) + "</Katu>"), "holds Katu where the contract expects Talo"),
        (collection(house(1), attributes="numberOfFeatures='2'"), "says that it has 2 features and holds 1"),
        (collection(house(1), attributes="numberReturned='0'"), "says that it has 0 features and holds 1"),
        (collection(house(1)).replace("</wfs:F", "<wfs:truncatedResponse/></wfs:F"), "its answer is cut off"),
        (collection(house(1)).partition("</gml:f")[0], "not well-formed XML: tag not finished at line 1"),
        (collection(house(1)) + "<x/>", "not well-formed XML: document end"),
        (collection(house(1)).replace("<id>", "<id>&talo;"), "not well-formed XML: undeclared entity"),
        ('<!DOCTYPE x [<!ENTITY e "y">]>' + collection(house(1)), "the document has a DOCTYPE"),
        ('<!DOCTYPE x SYSTEM "http://example.org/x.dtd">' + collection(house(1)), "the document has a DOCTYPE"),
        (
            "<ServiceExceptionReport><ServiceException code='LayerNotDefined'> msWFSGetFeature(): \n x</ServiceException>"
            "</ServiceExceptionReport>",
            "exception report: LayerNotDefined: msWFSGetFeature(): x",
        ),
        (
            collection(house(1)).replace(
                "</wfs:F",
                "<o:ExceptionReport xmlns:o='http://www.opengis.net/ows'><o:Exception exceptionCode='NoApplicableCode'><o:ExceptionText>"
                "kanta poikki, 010190-900P</o:ExceptionText></o:Exception></o:ExceptionReport></wfs:F",
            ),
            "exception report: NoApplicableCode: kanta poikki,",
        ),
        (
            collection(house(1)).replace(
                "</wfs:FeatureCollection>", "<ows:ExceptionReport xmlns:ows='http://www.opengis.net/ows'>"
            ),
            "it breaks off in an exception report",
        ),
    ],
)
def test_other_documents_are_refused(document: str, said: str) -> None:
    with pytest.raises(ContentError, match=re.escape(said)) as error:
        parsed(document, HOUSES)
    assert "010190" not in str(error.value)


def test_a_feature_is_no_larger_than_the_contract_allows() -> None:
    big = collection(house(1, more=f"<nimi>{'x' * 300_000}</nimi>"))
    assert len(rows(big, HOUSES)) == 1
    with pytest.raises(ContentError, match="longer than 65536 bytes"):
        parsed(big, HOUSES, max_line_bytes=65536)
    with pytest.raises(ContentError):
        parsed(collection(house(1, more="<a>" * 300 + "</a>" * 300)), HOUSES)


def test_memory_does_not_grow_with_the_document() -> None:
    member = (
        f"<gml:featureMember>{house(1, more='<nimi>x</nimi><kuvaus>' + 'y' * 20_000 + '</kuvaus>')}</gml:featureMember>"
    )
    piece = (member * 50).encode()
    times = 60
    before = psutil.Process().memory_info().rss

    def chunks() -> Iterator[bytes]:
        yield f'<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" {GML}>'.encode()
        for _ in range(times):
            yield piece
        yield b"</wfs:FeatureCollection>"

    count, most = 0, before
    for block in gml_text.parse(HOUSES, TextFormat(format="gml", feature="Talo"), chunks(), ["id", "nimi", "geometry"]):
        count += len(block.rows)
        most = max(most, psutil.Process().memory_info().rss)
    assert count == 50 * times
    assert most - before < times * len(piece) / 3, "a part of the document, not all of it"


# -- mutations -------------------------------------------------------------------------------------------------------

KUNTAGML = collection(
    *(
        f"""<rakval:ValmisRakennus xmlns:rakval="http://www.paikkatietopalvelu.fi/gml/rakennusvalvonta"
 xmlns:yht="http://www.paikkatietopalvelu.fi/gml/yhteiset" gml:id="v.{n}"><rakval:rakennustieto><rakval:Rakennus>
 <yht:yksilointitieto>ID{n}</yht:yksilointitieto><yht:alkuHetki>2013-11-11T17:13:47.67875+02:00</yht:alkuHetki>
 <rakval:sijaintitieto><rakval:Sijainti><yht:piste><gml:Point srsDimension="2" srsName="EPSG:3067">
 <gml:pos>669909{n}.0977 422301.9898</gml:pos></gml:Point></yht:piste></rakval:Sijainti></rakval:sijaintitieto>
 <rakval:rakennuksenTiedot><rakval:rakennustunnus>
 <rakval:kiinttun>6384590013002{n}</rakval:kiinttun></rakval:rakennustunnus><rakval:kerrosluku>1</rakval:kerrosluku></rakval:rakennuksenTiedot>
 <rakval:omistaja><yht:henkilo><yht:nimi><yht:sukunimi>Esimerkki</yht:sukunimi></yht:nimi></yht:henkilo></rakval:omistaja>
 </rakval:Rakennus></rakval:rakennustieto></rakval:ValmisRakennus>"""
        for n in range(1, 4)
    )
)
MAP = (
    f'<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" {GML} xmlns:GIS="http://www.tekla.com/schemas/GIS">'
    '<gml:boundedBy><gml:Box srsName="http://www.opengis.net/gml/srs/epsg.xml#3880"><gml:coordinates>1,2 3,4</gml:coordinates></gml:Box>'
    "</gml:boundedBy>"
    + "".join(
        f"<gml:featureMember><GIS:Talo><GIS:id>{n}</GIS:id><GIS:nimi> Ei tietoa</GIS:nimi><GIS:geometry><gml:Point><gml:name>{n}</gml:name>"
        f"<gml:pos>2648059{n}.142 6698466.887</gml:pos></gml:Point></GIS:geometry></GIS:Talo></gml:featureMember>"
        for n in range(1, 4)
    )
    + "</wfs:FeatureCollection>"
)
PIECES = [
    *("", "<", ">", "&", "x", "0", "-", " ", "é", "\0", '"', "]]>", "<!-- -->"),
    *("</gml:Point>", "<gml:pos>1 2</gml:pos>", "<Talo>", "</gml:featureMember>"),
]
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 40),
        st.sampled_from(PIECES),
    ),
    min_size=1,
    max_size=4,
)


def _mutated(document: str, edits: list[tuple[float, int, str]]) -> bytes:
    for where, length, text in edits:
        at = int(where * len(document))
        document = document[:at] + text + document[at + length :]
    return document.encode()


def _features(document: bytes, local: str) -> int | None:
    """How many features an XML parser that knows nothing of us finds; None when it is no document."""
    try:
        root = etree.fromstring(document)
    except (etree.XMLSyntaxError, ValueError):
        return None
    return sum(1 for _ in root.iter(f"{{*}}{local}"))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=EDITS, which=st.booleans())
def test_mutated_documents_are_refused_or_read_to_the_last_feature(
    edits: list[tuple[float, int, str]], which: bool
) -> None:
    layout, feature, whole = (BUILDINGS, "ValmisRakennus", KUNTAGML) if which else (HOUSES, "Talo", MAP)
    document = _mutated(whole, edits)
    try:
        found = parsed(document, layout, feature, axes="north_east" if which else "by_srs")
    except ContentError as error:
        assert "Esimerkki" not in str(error)  # noqa: PT017 - most documents are refused, some are read
        return
    count = sum(len(block.rows) for block in found)
    assert count == _features(document, feature)
    assert not [block for block in found if block.refused]
    assert "Esimerkki" not in json.dumps([block.rows.to_pylist() for block in found])
    if not which:
        return
    for block in found:
        texts = block.rows.column("geometry")
        values, broken = geometry.national(texts, ["Point"], "town")
        refused = [any(mask[at].as_py() for mask in broken.values()) for at in range(len(texts))]
        assert [value is None for value in values.to_pylist()] == [
            text is None or bad for text, bad in zip(texts.to_pylist(), refused, strict=True)
        ], "a point in the town, nothing where nothing came, or a refused row"


def test_the_two_documents_are_right_before_they_are_mutated() -> None:
    [block] = parsed(KUNTAGML, BUILDINGS, "ValmisRakennus", axes="north_east")
    assert block.broken == {}
    assert block.rows.column("geometry").to_pylist()[0] == "SRID=3067;POINT(422301.9898 6699091.0977)"
    assert block.rows.column("property_id").to_pylist() == [f"6384590013002{n}" for n in (1, 2, 3)]
    assert [row["geometry"] for row in rows(MAP, HOUSES)] == [
        f"SRID=3880;POINT(2648059{n}.142 6698466.887)" for n in (1, 2, 3)
    ]


def test_recorded_documents(real_data: Path) -> None:
    for name, feature, kind in (
        ("trimble-addresses.gml", "Osoitteet", "POINT"),
        ("trimble-bicycle-stands.gml", "Polkupyoraparkki", "POINT"),
        ("trimble-speed-limits.gml", "Nopeusrajoitusalueet", "POLYGON"),
    ):
        found = rows((real_data / "gis" / name).read_bytes(), Layout.of("Id", place="Geometry"), feature=feature)
        assert len(found) == 3
        for row in found:
            assert re.match(rf"SRID=3877;{kind}\(+234\d{{5}}\.\d+ 6[67]\d{{5}}\.\d+", row["Geometry"] or "")
