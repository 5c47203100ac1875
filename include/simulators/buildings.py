"""The building and address registers of the synthetic town.

Buildings have permanent ids from the nines, which are not given out, and stand on properties of block numbers from the
nines. Owners are synthetic; some are under non-disclosure. Each later day brings new buildings (which get their permanent
id the day after), extensions, changes of use, moved points, demolitions and a mistake that is healed the day after.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, replace
from datetime import date, timedelta

from simulators import date_of, names, random_for, scaled
from simulators.identifiers import business_id, permanent_building_id, property_id, with_wrong_check_character
from simulators.town import MUNICIPALITY_CODE

BIG_ENOUGH_FOR_MISTAKES = 400
"""Buildings from which on one mistake a day is no more than what a release tolerates."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of the town: its postal code and post office, and about where its houses are (EPSG:3067, metres)."""

    postal_code: str
    name_fi: str
    name_sv: str
    easting: int
    northing: int
    spread: int
    weight: int
    municipality: str = MUNICIPALITY_CODE


PLACES = (
    Place("06100", "PORVOO", "BORGÅ", 425_400, 6_696_300, 700, 24),
    Place("06150", "PORVOO", "BORGÅ", 428_200, 6_696_700, 500, 14),
    Place("06200", "PORVOO", "BORGÅ", 431_500, 6_693_800, 1_500, 3),
    Place("06400", "PORVOO", "BORGÅ", 423_900, 6_692_600, 500, 14),
    Place("06450", "PORVOO", "BORGÅ", 423_200, 6_694_200, 500, 11),
    Place("06500", "PORVOO", "BORGÅ", 422_300, 6_698_900, 1_200, 5),
    Place("06530", "KERKKOO", "KERKO", 425_000, 6_704_500, 700, 3),
    Place("06650", "HAMARI", "HAMMARS", 424_900, 6_692_600, 200, 4),
    Place("06750", "TOLKKINEN", "TOLKIS", 421_200, 6_690_200, 600, 6),
    Place("06830", "KULLOONKYLÄ", "KULLOBY", 415_500, 6_690_200, 900, 3),
    Place("06950", "EMÄSALO", "EMSALÖ", 423_700, 6_681_300, 1_000, 4),
    Place("07110", "HINTHAARA", "HINDHÅR", 417_000, 6_697_400, 900, 4),
    Place("07280", "ILOLA", "ILLBY", 432_000, 6_705_800, 1_500, 3),
    Place("07370", "PELLINKI", "PELLINGE", 438_500, 6_676_100, 800, 4),
)
NEIGHBOURS = (
    Place("04130", "SIPOO", "SIBBO", 405_800, 6_693_700, 600, 1, "753"),
    Place("07940", "LOVIISA", "LOVISA", 459_900, 6_699_900, 400, 1, "434"),
)
"""The national register of addresses has all municipalities."""

STREETS = (
    ("Mäntykuja", "Tallgränden"), ("Kuusitie", "Granvägen"), ("Koivupolku", "Björkstigen"), ("Leppätie", "Alvägen"),
    ("Rantaraitti", "Strandstråket"), ("Myllymäki", "Kvarnbacken"), ("Niittykatu", "Ängsgatan"), ("Peltotie", "Åkervägen"),
    ("Satamatie", "Hamnvägen"), ("Kirkkokuja", "Kyrkgränden"), ("Koulutie", "Skolvägen"), ("Lähdepolku", "Källstigen"),
    ("Kalliotie", "Bergsvägen"), ("Saaristotie", "Skärgårdsvägen"), ("Puistokatu", "Parkgatan"), ("Torppatie", "Torpvägen"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Use:
    """A class of intended use (Statistics Finland, classification of buildings 1994) and what such houses are like."""

    name: str
    weight: int
    floor_area: tuple[int, int]
    floors: int
    dwelling: bool = False
    company: bool = False


USES = (
    Use("011 yhden asunnon talot", 40, (80, 260), 2, dwelling=True),
    Use("012 kahden asunnon talot", 5, (140, 320), 2, dwelling=True),
    Use("021 rivitalot", 6, (300, 1_200), 2, dwelling=True, company=True),
    Use("039 muut asuinkerrostalot", 5, (900, 4_500), 6, dwelling=True, company=True),
    Use("041 vapaa-ajan asuinrakennukset", 12, (30, 120), 1),
    Use("112 liike- ja tavaratalot, kauppakeskukset", 1, (800, 9_000), 2, company=True),
    Use("151 toimistorakennukset", 1, (400, 5_000), 4, company=True),
    Use("231 lasten päiväkodit", 1, (400, 1_400), 1, company=True),
    Use("511 yleissivistävien oppilaitosten rakennukset", 1, (1_500, 9_000), 3, company=True),
    Use("711 teollisuusvarastot", 2, (300, 4_000), 1, company=True),
    Use("931 saunarakennukset", 9, (12, 40), 1),
    Use("941 talousrakennukset", 17, (15, 120), 1),
)
HEATING = ("vesikeskus", "suora sähkö", "uuni", "ilmakeskus")
FUELS = ("kauko tai aluelämpö", "sähkö", "maalämpö", "puu", "kevyt polttoöljy")
MATERIALS = ("puu", "tiili", "betoni")


@dataclass(frozen=True, slots=True)
class Owner:
    """A fictional person or company; `protected` is a person's non-disclosure (turvakielto)."""

    family_name: str
    given_name: str | None = None
    company_id: str | None = None
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a building in both languages."""

    number: int
    street_fi: str
    street_sv: str
    house: str
    place: Place
    easting: float
    northing: float
    building: str | None
    property_id: str | None


@dataclass(frozen=True, slots=True)
class Building:
    """A building as the building control's register has it. Areas in m², volume in m³, the point in EPSG:3067."""

    number: int
    permanent_id: str | None
    property_id: str
    ordinal: int
    completed: date
    use: str
    volume: int
    gross_floor_area: int
    floor_area: int
    basement_area: int
    floors: int
    heating: str
    fuel: str | None
    material: str
    easting: float
    northing: float
    place: Place
    owners: tuple[Owner, ...]

    @property
    def id(self) -> str:
        """The register's own id (yksilöintitieto)."""
        return f"ID{10_000 + self.number}"


@dataclass(frozen=True)
class Register:
    """What the registers hold on a day. `faulty` are numbers of buildings that are written with a mistake."""

    buildings: tuple[Building, ...]
    addresses: tuple[Address, ...]
    faulty: frozenset[int]


def _owner(rng: random.Random, number: int, company: bool) -> Owner:
    if company:
        candidate = 9_500_000 + number
        while (identifier := business_id(candidate)) is None:
            candidate += 1_000
        return Owner(f"Kiinteistö Oy Esimerkki {number}", company_id=identifier)
    language = rng.choice(("fi", "fi", "sv"))
    family = rng.choice(names.FAMILY_NAMES[language])
    given = rng.choice(names.GIVEN_NAMES[language, rng.choice("12")])
    return Owner(family, given, protected=rng.random() < 0.02)


def _building(seed: int, number: int, completed: date | None = None) -> Building:
    """The building of a running number, the same for every scale and day."""
    rng = random_for(seed, "building", number)
    place = rng.choices(PLACES, [place.weight for place in PLACES])[0]
    use = rng.choices(USES, [use.weight for use in USES])[0]
    floors = rng.randint(1, use.floors)
    area = rng.randint(*use.floor_area)
    basement = rng.randint(10, 80) if use.dwelling and rng.random() < 0.3 else 0
    heated = use.name[:3] not in ("931", "941", "711")
    built = completed or date(rng.choice((1890, 1925, 1950, 1965, 1980, 1990, 2005, 2018)), 1, 1) + timedelta(
        days=rng.randrange(3_000)
    )
    group = 9_000 + number // 3 % 1_000
    return Building(
        number=number,
        permanent_id=permanent_building_id(900_000_000 + number) if rng.random() < 0.97 else None,
        property_id=property_id(int(MUNICIPALITY_CODE), 1 + PLACES.index(place), group, 1 + number // 3_000),
        ordinal=1 + number % 3,
        completed=built,
        use=use.name,
        volume=round((area + basement) * rng.uniform(2.8, 4.2)),
        gross_floor_area=area + basement + rng.randint(0, 10),
        floor_area=area,
        basement_area=basement,
        floors=floors,
        heating=rng.choice(HEATING) if heated else "ei lämmitystä",
        fuel=rng.choice(FUELS) if heated else None,
        material=rng.choice(MATERIALS),
        easting=round(rng.gauss(place.easting, place.spread / 2), 3),
        northing=round(rng.gauss(place.northing, place.spread / 2), 3),
        place=place,
        owners=tuple(_owner(rng, number, use.company) for _ in range(1 if use.company else rng.choice((1, 1, 2)))),
    )


def _addresses(seed: int, building: Building) -> list[Address]:
    """Sheds have none, corner houses two."""
    rng = random_for(seed, "addresses", building.number)
    count = 0 if building.use[:3] in ("931", "941") else rng.choices((1, 2, 0), (90, 7, 3))[0]
    found = []
    for turn in range(count):
        fi, sv = rng.choice(STREETS)
        found.append(
            Address(
                number=building.number * 10 + turn,
                street_fi=fi,
                street_sv=sv,
                house=f"{rng.randint(1, 90)}{rng.choice(('', '', '', ' A', ' b'))}",
                place=building.place,
                easting=round(building.easting + rng.uniform(-15, 15), 3),
                northing=round(building.northing + rng.uniform(-15, 15), 3),
                building=building.permanent_id,
                property_id=building.property_id,
            )
        )
    return found


def _neighbour(seed: int, number: int) -> Address:
    rng = random_for(seed, "neighbour", number)
    place = rng.choice(NEIGHBOURS)
    fi, sv = rng.choice(STREETS)
    return Address(
        number=90_000_000 + number,
        street_fi=fi,
        street_sv=sv,
        house=str(rng.randint(1, 90)),
        place=place,
        easting=round(rng.gauss(place.easting, place.spread / 2), 3),
        northing=round(rng.gauss(place.northing, place.spread / 2), 3),
        building=None,
        property_id=None,
    )


def _changed(seed: int, day: int, turn: int, building: Building) -> Building:
    """What building work of a day makes of a building: an extension, another use, or a point that was measured anew."""
    rng = random_for(seed, "building work", day, turn)
    kind = (day + turn) % 3
    if kind == 0:
        more = rng.randint(8, 60)
        return replace(
            building,
            floor_area=building.floor_area + more,
            gross_floor_area=building.gross_floor_area + more,
            volume=building.volume + 3 * more,
        )
    if kind == 1:
        others = [use.name for use in USES if use.name != building.use and not use.company]
        return replace(building, use=rng.choice(others))
    return replace(
        building, easting=round(building.easting + rng.uniform(0.2, 2.0), 3), northing=round(building.northing - 0.4, 3)
    )


def _mistaken(building: Building, day: int) -> Building:
    """What a clerk or a program does wrong, each day another thing."""
    kind = day % 3
    if kind == 0:
        return replace(building, permanent_id=with_wrong_check_character(building.permanent_id or ""))
    if kind == 1:
        return replace(building, easting=building.northing, northing=building.easting)
    return replace(building, property_id=building.property_id[:-1])


def _without_id(building: Building) -> Building:
    return replace(building, permanent_id=None)


@functools.lru_cache(maxsize=4)
def register_of(seed: int, scale: float, day: int) -> Register:
    """The registers on a day. Scale 1 has 2,400 buildings; ValueError as for `date_of` and `scaled`."""
    date_of(day)
    count = scaled(2_400, scale, minimum=60)
    standing = {number: _building(seed, number) for number in range(1, count + 1)}
    newest: list[int] = []
    for today in range(1, day + 1):
        rng = random_for(seed, "buildings of a day", today)
        for number in newest:  # yesterday's got their permanent ids
            standing[number] = _building(seed, number, standing[number].completed)
        for turn, number in enumerate(rng.sample(sorted(standing), 3)):
            standing[number] = _changed(seed, today, turn, standing[number])
        del standing[rng.choice(sorted(standing))]
        newest = [count + 2 * today - 1, count + 2 * today]
        for number in newest:
            standing[number] = _without_id(_building(seed, number, date_of(today)))
    own = [address for number in sorted(standing) for address in _addresses(seed, standing[number])]
    others = [_neighbour(seed, number) for number in range(scaled(300, scale, minimum=8))]
    faulty: frozenset[int] = frozenset()
    if count >= BIG_ENOUGH_FOR_MISTAKES:
        known = [number for number, building in sorted(standing.items()) if building.permanent_id]
        number = random_for(seed, "mistakes", day).choice(known)
        standing[number] = _mistaken(standing[number], day)
        faulty = frozenset({number})
    return Register(tuple(standing[number] for number in sorted(standing)), tuple(own + others), faulty)
