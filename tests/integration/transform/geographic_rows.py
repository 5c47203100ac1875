"""Buildings, addresses and districts of a small synthetic town, as landing leaves them: points and areas as WKB in EPSG:3067."""

from datetime import date
from typing import Any

import shapely

Row = dict[str, Any]
ALPHABET = "0123456789ABCDEFHJKLMNPRSTUVWXY"
WEST, SOUTH = 425_000.0, 6_696_000.0
"""The corner of two districts, each a square of a kilometre, 06100 in the west and 06150 in the east."""


def wkb(shape: shapely.Geometry) -> bytes:
    return bytes(shapely.to_wkb(shape, byte_order=1))


def permanent_id(number: int) -> str:
    """A permanent building id of the nines."""
    return f"{900_000_000 + number:09d}{ALPHABET[(900_000_000 + number) % 31]}"


def building(number: int, east: float | None = 500, north: float | None = 500, **values: Any) -> Row:
    """A building, `east` and `north` metres from the corner; without them it has no point."""
    return {
        "building_id": f"ID{number}",
        "began_at": "1987-06-15T00:00:00+03:00",
        "permanent_building_id": permanent_id(number),
        "property_id": f"638001900100{number:02d}",
        "building_number": "001",
        "polling_district": "001",
        "intended_use": "011 yhden asunnon talot",
        "volume_m3": 500,
        "gross_floor_area_m2": 170,
        "basement_area_m2": 20,
        "floors": 2,
        "floor_area_m2": 150,
        "load_bearing_material": "puu",
        "facade_material": None,
        "heating_method": "ei tiedossa",
        "heat_source": "puu",
        "geometry": None if east is None or north is None else wkb(shapely.Point(WEST + east, SOUTH + north)),
    } | values


def address(number: int, building_number: int | None, east: float = 500, north: float = 500, **values: Any) -> Row:
    """An address of a building, `east` and `north` metres from the corner."""
    return {
        "address_id": f"A{number}",
        "permanent_building_id": None if building_number is None else permanent_id(building_number),
        "property_id": None,
        "municipality_code": "638",
        "street_fi": "Mäntykuja",
        "street_sv": "Tallgränden",
        "house_number": str(number),
        "house_letter": None,
        "postal_code": "06100",
        "post_office_fi": "PORVOO",
        "post_office_sv": "BORGÅ",
        "geometry": wkb(shapely.Point(WEST + east, SOUTH + north)),
    } | values


def buildings() -> list[Row]:
    """One in each district, on their border, near the coast, at sea, without a point, without a permanent id, two with one."""
    return [
        building(1, 500, 500),
        building(2, 1_500, 500, intended_use="039 muut asuinkerrostalot"),
        building(3, 1_000, 500, property_id="638-1-9001-3", intended_use="ei tiedossa"),
        building(4, 500, -150),
        building(5, 500, -900, began_at="1999-12-31T23:30:00Z"),
        building(6, None, None, intended_use="777 jokin uusi luokka"),
        building(7, 600, 600, permanent_building_id=None),
        building(8, 700, 700),
        building(9, 710, 700, permanent_building_id=permanent_id(8)),
    ]


def addresses() -> list[Row]:
    """Building 1 has two addresses, 2 one, 8's permanent id is also 9's, one address has no building."""
    return [
        address(1, 1, 530, 500),
        address(2, 1, 510, 500, house_letter="b"),
        address(3, 2, 1_490, 500, street_sv=None),
        address(4, 8, 700, 710),
        address(5, None),
        address(6, 44),
    ]


def areas() -> list[Row]:
    """Two squares beside each other."""
    west, south = WEST, SOUTH
    return [
        {
            "postal_code": code,
            "municipality": "Porvoo",
            "geometry": wkb(shapely.box(at, south, at + 1_000, south + 1_000)),
        }
        for code, at in (("06150", west + 1_000), ("06100", west))
    ]


def codes() -> list[Row]:
    """Posti's names of the two."""
    return [
        {
            "file_date": date(2026, 11, 1),
            "postal_code": code,
            "name_fi": "PORVOO",
            "name_sv": "BORGÅ",
            "abbreviation_fi": None,
            "abbreviation_sv": None,
            "valid_from": date(1986, 1, 1),
            "type_code": "1",
            "nuts3_code": "FI1B1",
            "nuts3_fi": "Helsinki-Uusimaa",
            "nuts3_sv": "Helsingfors-Nyland",
            "municipality_code": "638",
            "municipality_fi": "Porvoo",
            "municipality_sv": "Borgå",
            "posti_language_code": "2",
        }
        for code in ("06100", "06150")
    ]


def gis() -> dict[str, list[Row]]:
    """The four geographic datasets."""
    return {
        "gis.buildings": buildings(),
        "gis.addresses": addresses(),
        "gis.postal_areas": areas(),
        "gis.postal_codes": codes(),
    }
