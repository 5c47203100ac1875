"""Files that Statistics Finland, Posti and a surveyor publish about a synthetic country, as a town's people fetch them.

Classifications of municipalities (of this year, and of chosen ones since 2013), postal code areas with their names, boundaries
and inhabitants, and postal codes. A file comes on day 0 and on the days on which its content changed: a figure that is
corrected, a new name, another area, a boundary that moved. Each day one file has a broken row, which the next one has right.

They have the ways of the real ones: codes without zeros and years as `2026.0`, blanks after names, the year in a title, a
total among the areas, titles and names with commas that nobody quoted, an area with people and without a boundary.
"""

from __future__ import annotations

import csv
import functools
import io
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyproj
import shapely

from simulators import date_of, random_for, sotkanet
from simulators.buildings import NEIGHBOURS, PLACES, Place
from simulators.finance_files import write_complete
from simulators.municipalities import COUNTIES, MUNICIPALITIES, REGIONS, Municipality
from simulators.town import MUNICIPALITY_CODE

DATASETS = (
    "statistics.municipalities",
    "statistics.municipality_history",
    "statistics.population_by_postal_area",
    "statistics.postal_code_areas",
    "gis.postal_areas",
    "gis.postal_codes",
)
YEAR = 2026
HISTORY = range(2013, YEAR + 1)
PEERS = 19
"""Municipalities in the history, the town first."""
POPULATION_YEARS = (2021, 2022)
WITHOUT_HOME = 0.0032
"""Share of the town's people whose area is not known; they count in the town and in no area."""

Row = dict[str, str]


# -- municipalities ------------------------------------------------------------------------------------------------------

_FIRST = (
    ("Kuusi", "Gran"), ("Koivu", "Björk"), ("Ranta", "Strand"), ("Mylly", "Kvarn"), ("Niitty", "Äng"),
    ("Kallio", "Berg"), ("Lähde", "Käll"), ("Honka", "Tall"), ("Vesi", "Vatten"), ("Haapa", "Asp"),
)  # fmt: skip
_SECOND = (
    ("järvi", "träsk"), ("lahti", "vik"), ("mäki", "backa"), ("salmi", "sund"), ("niemi", "näs"),
    ("koski", "fors"), ("saari", "ö"), ("kylä", "by"), ("joki", "å"), ("pää", "ända"),
)  # fmt: skip
MAJOR_REGIONS = {
    "1": ("Helsinki-Uusimaa", "Helsingfors-Nyland", "Helsinki-Uusimaa", "FI1B"),
    "2": ("Etelä-Suomi", "Södra Finland", "Southern Finland", "FI1C"),
    "3": ("Länsi-Suomi", "Västra Finland", "Western Finland", "FI19"),
    "4": ("Pohjois- ja Itä-Suomi", "Norra och Östra Finland", "Northern and Eastern Finland", "FI1D"),
    "5": ("Ahvenanmaa", "Åland", "Åland", "FI20"),
}
_MAJOR_REGION = {"01": "1", "21": "5"} | dict.fromkeys(("02", "05", "07", "08", "09"), "2")
_MAJOR_REGION |= dict.fromkeys(("04", "06", "13", "14", "15"), "3")
LANGUAGE_RATIOS = {
    "0": ("Yksikielinen suomenkielinen kunta", "Enspråkig finsk kommun", "Monolingual Finnish-speaking municipality"),
    "1": (
        "Kaksikielinen kunta, jossa enemmistön kieli on suomi",
        "Tvåspråkig kommun med finska som flertalets språk",
        "Bilingual municipality with Finnish-speaking majority",
    ),
    "3": ("Yksikielinen ruotsinkielinen kunta", "Enspråkig svensk kommun", "Monolingual Swedish-speaking municipality"),
}
GROUPS = {
    "1": ("Kaupunkimaiset kunnat", "Urbana kommuner", "Urban municipalities"),
    "2": ("Taajaan asutut kunnat", "Tätortskommuner", "Semi-urban municipalities"),
    "3": ("Maaseutumaiset kunnat", "Landsbygdskommuner", "Rural municipalities"),
}
# Classifications that the files have, and the years of which they say them.
CLASSES: dict[str, range] = {
    "kielisuhde": HISTORY,
    "kuntaryhmitys": HISTORY,
    "maakunta": HISTORY,
    "seutukunta": HISTORY,
    "suuralue": range(2014, YEAR + 1),
    "nuts1": range(2017, YEAR + 1),
    "nuts2": range(2017, YEAR + 1),
    "nuts3": range(2017, YEAR + 1),
    "vaalipiiri": range(2019, YEAR + 1),
    "hyvinvointialue": range(2018, YEAR + 1),
    "yhteistyoalue": range(2023, YEAR + 1),
    "tyollisyysalue": range(2025, YEAR + 1),
    "evk": range(2026, YEAR + 1),
    "kela_palvelualue": range(2026, YEAR + 1),
    "kela_asumistukialue": range(2026, YEAR + 1),
}
PAST_CLASSES: dict[str, range] = {
    "avi": range(2013, 2026),
    "ely": range(2013, 2026),
    "tyossakayntial": range(2013, 2024),
    "sairaanhoitop": range(2017, 2023),
    "erva": range(2020, 2021),
}


@functools.cache
def municipalities() -> tuple[Municipality, ...]:
    """Those with real names, the town first, and a hundred small ones with invented names and codes that are not given."""
    taken = {one.code for one in MUNICIPALITIES}
    codes = [f"{number:03d}" for number in range(300, 800) if f"{number:03d}" not in taken]
    rng = random_for(0, "municipalities")
    regions = [region for region in REGIONS if region not in ("01", "21")]
    county = {one.region: one.county for one in MUNICIPALITIES}
    invented = []
    for number in range(100):
        (first_fi, first_sv), (second_fi, second_sv) = _FIRST[number // 10], _SECOND[number % 10]
        region = rng.choice(regions)
        swedish = first_sv + second_sv if number % 9 == 0 else first_fi + second_fi
        inhabitants = 100 * rng.randint(8, 250)
        invented.append(
            Municipality(
                codes[number * 4], first_fi + second_fi, swedish, region, county.get(region, region), inhabitants
            )
        )
    return (*MUNICIPALITIES, *invented)


def _classes(one: Municipality, year: int, edition: int) -> dict[str, tuple[str, str, str, str]]:
    """Code and names (Finnish, Swedish, English) of a municipality in each classification."""
    region_fi, region_sv = REGIONS[one.region]
    major = _MAJOR_REGION.get(one.region, "4")
    major_fi, major_sv, major_en, nuts2 = MAJOR_REGIONS[major]
    county_fi, county_sv = COUNTIES[one.county]
    mainland = one.region != "21"
    in_east = one.county == "01"
    ratio = "3" if not mainland else "1" if one.name_sv != one.name_fi else "0"
    group = "1" if one.inhabitants > 40_000 else "2" if one.inhabitants > 15_000 else "3"
    number = int(one.region)
    sub_region = ("15", "Porvoo", "Borgå", "Porvoo") if in_east else (f"{number}1", region_fi, region_sv, region_fi)
    employment = ("30", "Porvoon seutu", "Borgåregionen", "Porvoo region")
    if not in_east:  # areas are changed by agreement of the municipalities, some each time
        moved = edition > 0 and year == YEAR and int(one.code) % 40 == edition % 40
        employment = (f"{number + (50 if moved else 60)}", f"{region_fi} {2 if moved else 1}", region_sv, region_fi)
    housing = "1" if one.code == "091" else "2" if one.inhabitants > 20_000 else "3"
    area = f"{major_fi} {'yhteistyöalue' if mainland else ''}".strip()
    found = {
        "kielisuhde": (ratio, *LANGUAGE_RATIOS[ratio]),
        "kuntaryhmitys": (group, *GROUPS[group]),
        "maakunta": (str(number), region_fi, region_sv, region_fi),
        "seutukunta": sub_region,
        "suuralue": (major, major_fi, major_sv, major_en),
        "nuts1": ("FI1", "MANNER-SUOMI", "FASTLANDSFINLAND", "MAINLAND FINLAND") if mainland else ("FI2", *("ÅLAND",) * 3),
        "nuts2": (nuts2, major_fi, f"{major_sv} ", major_en),
        "nuts3": (nuts2 + "0123456789ABCDEFGHIJKL"[number], region_fi, f"{region_sv} ", region_fi),
        "vaalipiiri": (str(number), f"{region_fi}, vaalipiiri", f"{region_sv}, valkrets", f"{region_fi} constituency"),
        "hyvinvointialue": (str(int(one.county)), county_fi, county_sv, f"{county_fi} (county)"),
        "yhteistyoalue": (major, area, f"{major_sv}, samarbetsområde", f"{major_en} collaborative area"),
        "tyollisyysalue": employment,
        "evk": (major, f"{major_fi}, elinvoimakeskus", f"{major_sv}, livskraftscentral", f"{major_en} centre"),
        "kela_palvelualue": (f"{major}.0", f"{major_fi}, palvelualue", f"{major_sv}, serviceområde", f"{major_en} area"),
        "kela_asumistukialue": (f"{housing}.0", *(f"{kind} {'I' * int(housing)}" for kind in ("Kuntaryhmä", "Kommungrupp", "Category"))),
        "avi": (major, f"{major_fi}, AVI", f"{major_sv}, RFV", f"{major_en} AVI"),
        "ely": (str(number), f"{region_fi}, ELY", f"{region_sv}, NTM", f"{region_fi} ELY"),
        "tyossakayntial": (str(number), f"{region_fi}, tk-alue", "", ""),
        "sairaanhoitop": (str(int(one.county)), f"{county_fi}, SHP", f"{county_sv}, SVD", f"{county_fi} HD"),
        "erva": (major, f"{major_fi}, erva", f"{major_sv}, serva", f"{major_en} area"),
    }  # fmt: skip
    return found  # type: ignore[return-value]


def _municipality_row(one: Municipality, year: int, edition: int, classes: dict[str, range]) -> Row:
    code = str(int(one.code))
    row = {"kunta": code, **dict(zip(_names("municipality"), (one.name_fi, one.name_sv, one.name_fi), strict=True))}
    values = _classes(one, year, edition)
    for stem, years in classes.items():
        titles = (f"{stem}_code", *_names(stem))
        row |= dict(zip(titles, values[stem] if year in years else ("",) * 4, strict=True))
    return row | {
        "year": f"{year}.0",
        "municipality_code": code,
        "kunta_name": one.name_fi,
        "name_fi": one.name_fi,
        "name_sv": one.name_sv,
    }


def _names(stem: str) -> tuple[str, ...]:
    return tuple(f"{stem}_name_{language}" for language in ("fi", "sv", "en"))


def _this_year(_seed: int, _scale: float, day: int) -> list[Row]:
    edition = _editions(day, every=5, first=2)
    rows = [_municipality_row(one, YEAR, edition, CLASSES) for one in municipalities()]
    if edition:  # a municipality takes another Swedish name
        renamed = rows[-edition % 100 - 1]
        renamed["municipality_name_sv"] = renamed["name_sv"] = f"Nya {renamed['name_sv']}"
    return rows


def _history(_seed: int, _scale: float, day: int) -> list[Row]:
    classes = CLASSES | PAST_CLASSES
    rows = [_municipality_row(one, year, 0, classes) for one in MUNICIPALITIES[:PEERS] for year in HISTORY]
    for number in range(_editions(day, every=5, first=4)):  # what was left out is added afterwards
        late = rows[(number * 14 + 8) % len(rows)]
        late |= dict(zip(_names("tyossakayntial"), ("Alue", "Pendlingsområde", "Area"), strict=True))
        late["tyossakayntial_code"] = late["tyossakayntial_code"] or "99"
    return rows


def _editions(day: int, *, every: int, first: int) -> int:
    """How often something that changes on day `first` and every so many days had changed by a day."""
    return max(0, (day - first) // every + 1)


# -- postal areas --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Area:
    """A postal code area; without `site` (EPSG:3067, metres) it has no boundary in the surveyor's file."""

    postal_code: str
    name_fi: str
    name_sv: str
    municipality: Municipality
    weight: int
    site: tuple[int, int] | None = None


_PARTS = {
    "06100": ("Keskusta", "centrum"), "06150": ("itäranta", "östra stranden"), "06200": ("itäinen", "östra"),
    "06400": ("eteläinen", "södra"), "06450": ("läntinen", "västra"), "06500": ("pohjoinen", "norra"),
}  # fmt: skip
# Around the town: postal code, names, municipality, site.
_AROUND = (
    ("04150", "Martinkylä", "Mårtensby", "753", 408_000, 6_699_500),
    ("04170", "Söderkulla", "Söderkulla", "753", 405_500, 6_685_500),
    ("07170", "Pornainen Keskus", "Borgnäs centrum", "611", 408_500, 6_707_500),
    ("07500", "Askola Keskus", "Askola centrum", "018", 419_000, 6_711_500),
    ("07600", "Myrskylä Keskus", "Mörskom centrum", "504", 437_500, 6_714_500),
    ("07800", "Lapinjärvi Keskus", "Lappträsk centrum", "407", 455_000, 6_712_500),
    ("07930", "Pernaja", "Pernå", "434", 449_000, 6_697_500),
)
LAND = shapely.box(402_000, 6_672_000, 462_000, 6_717_000)
"""What the boundaries divide (EPSG:3067): the town, its sea and the nearest parts of its neighbours."""
STRAIT = shapely.box(437_200, 6_672_000, 437_500, 6_690_000)
"""Water that parts an archipelago, so that an area consists of several parts."""


def _area_names(place: Place) -> tuple[str, str]:
    """Posti has one post office for the whole centre, Statistics Finland a name for each area."""
    fi, sv = _PARTS.get(place.postal_code, ("", ""))
    return f"{place.name_fi.title()} {fi}".strip(), f"{place.name_sv.title()} {sv}".strip()


@functools.cache
def areas() -> tuple[Area, ...]:
    """Areas of the whole country, those of the town first."""
    by_code = {one.code: one for one in municipalities()}
    found = [
        Area(
            place.postal_code,
            *_area_names(place),
            by_code[place.municipality],
            place.weight,
            (place.easting, place.northing),
        )
        for place in (*PLACES, *NEIGHBOURS)
    ]
    # One that has inhabitants and that the surveyor's file leaves out.
    found.insert(len(PLACES), Area("01180", "Kalkkiranta", "Kalkstrand", by_code[MUNICIPALITY_CODE], 1))
    found += [Area(code, fi, sv, by_code[where], 1, (east, north)) for code, fi, sv, where, east, north in _AROUND]
    covered, taken = {area.municipality.code for area in found}, {area.postal_code for area in found}
    for one in municipalities():
        if one.code not in covered:
            codes = [f"{one.code}{part}5" for part in range(min(10, 1 + one.inhabitants // 30_000))]
            found += [
                Area(code, f"{one.name_fi} {code[3]}", f"{one.name_sv} {code[3]}", one, 10 - int(code[3]))
                for code in codes
                if code not in taken
            ]
    return tuple(found)


def _named(day: int) -> tuple[Area, ...]:
    """Areas with the names that they have on a day: now and then one is renamed."""
    renamed = _editions(day, every=4, first=3)
    town = len(PLACES)
    return tuple(
        Area(area.postal_code, f"{area.name_fi}nranta", f"{area.name_sv} strand", area.municipality, area.weight, area.site)
        if place < town and place >= town - renamed
        else area
        for place, area in enumerate(areas())
    )  # fmt: skip


def inhabitants(seed: int, scale: float, day: int) -> dict[tuple[str, int], int]:
    """Inhabitants by postal code and year. The town's are those of Sotkanet on that day, less the ones without an area."""
    population = next(one for one in sotkanet.INDICATORS if one.id == sotkanet.POPULATION)
    revision = len(sotkanet.revisions(population, day))
    town = sotkanet.region_id("KUNTA", MUNICIPALITY_CODE)
    told = {
        row.year: row.value
        for row in sotkanet.values(seed, scale, population, revision)
        if row.region == town and row.gender == "total"
    }
    weights: dict[str, int] = {}
    for area in areas():
        weights[area.municipality.code] = weights.get(area.municipality.code, 0) + area.weight
    found = {}
    for year in POPULATION_YEARS:
        for area in areas():
            whole = told[year] if area.municipality.code == MUNICIPALITY_CODE else area.municipality.inhabitants
            own = (whole or 0) * (1 - WITHOUT_HOME) * area.weight / weights[area.municipality.code]
            found[area.postal_code, year] = round(own)
    for number in range(_editions(day, every=3, first=1)):
        corrected = PLACES[number % len(PLACES)].postal_code
        found[corrected, POPULATION_YEARS[-1]] += (3 + number % 5) * (-1) ** number
    return found


def _population(seed: int, scale: float, day: int) -> list[Row]:
    counts = inhabitants(seed, scale, day)
    titles = {year: f"X{year}" for year in POPULATION_YEARS}
    totals = {year: round(sum(n for (_, of), n in counts.items() if of == year) * 1.0126) for year in POPULATION_YEARS}
    rows = [{"posti_alue": "KOKO"} | {titles[year]: str(totals[year]) for year in POPULATION_YEARS}]
    for area in sorted(areas(), key=lambda one: one.postal_code):
        own = {titles[year]: str(counts[area.postal_code, year]) for year in POPULATION_YEARS}
        rows.append({"posti_alue": area.postal_code} | own)
    return rows


AREA_HEADER = (
    "Postal code area", "Name of the postal code area", "Name of the postal code area (sv)", "Municipality",
    "Name of the municipality", "Statistical Grouping of municipality", "Name of the statistical grouping of municipality",
    "Sub-regional unit", "Name of the sub-regional unit", "Region", "Name of the region", "Major region",
    "Name of the major region", "Regional state administrative agency", "Name of the regional state administrative agency",
    "Centre for economic development, transport and the environment",
    "Name of the centre for economic development, transport and the environment", "Hospital District",
    "Name of the hospital district",
)  # fmt: skip


def _area_rows(_seed: int, _scale: float, day: int) -> list[Row]:
    rows = []
    for area in sorted(_named(day), key=lambda one: one.postal_code):
        one = area.municipality
        classes = _classes(one, 2020, 0)
        codes = [
            (classes[stem][0].zfill(width), classes[stem][3])
            for stem, width in (
                ("kuntaryhmitys", 1), ("seutukunta", 3), ("maakunta", 2), ("suuralue", 1), ("avi", 1), ("ely", 2), ("sairaanhoitop", 2),
            )
        ]  # fmt: skip
        # Statistics Finland's file has one column of names whose letters were encoded twice.
        name = codes[1][1].encode().decode("cp1252", "replace").replace("\ufffd", "?")
        codes[1] = (codes[1][0], name)
        values = [area.postal_code, area.name_fi, area.name_sv, one.code, one.name_fi]
        values += [part for pair in codes for part in pair]
        rows.append(dict(zip(AREA_HEADER, values, strict=True)))
    for row in rows[-4:]:  # two areas of one municipality are told apart with a comma
        row[AREA_HEADER[1]] += ", Keskus"
    return rows


def boundaries(day: int) -> dict[str, shapely.Geometry]:
    """Boundaries of the areas in EPSG:3067 by postal code: they divide `LAND` without gaps or overlaps.

    Each point belongs to the nearest site. Every fourth day a site is moved, and the boundaries around it.
    """
    sites = [area for area in areas() if area.site]
    points = {area.postal_code: area.site for area in sites if area.site}
    for number in range(_editions(day, every=4, first=2)):
        moved = PLACES[number % len(PLACES)]
        east, north = points[moved.postal_code]
        points[moved.postal_code] = (east + 120, north - 80)
    cells = shapely.voronoi_polygons(shapely.MultiPoint(list(points.values())), extend_to=LAND)
    found = {}
    for code, point in points.items():
        cell = next(one for one in cells.geoms if one.contains(shapely.Point(point)))
        found[code] = shapely.intersection(cell, LAND).difference(STRAIT)
    return found


def _features(_seed: int, _scale: float, day: int) -> list[dict[str, Any]]:
    to_degrees = pyproj.Transformer.from_crs("EPSG:3067", "OGC:CRS84", always_xy=True)
    municipality = {area.postal_code: area.municipality.name_fi for area in areas()}
    features = []
    for code, boundary in sorted(boundaries(day).items()):
        # Straight lines of one projection are none of another, unless they have points to follow.
        followed = shapely.segmentize(boundary, 1_500)
        degrees = shapely.transform(followed, lambda xy: _rounded(to_degrees, xy))
        geometry = json.loads(shapely.to_geojson(degrees))
        properties = {"kunta": municipality[code], "postinumeroalue": code}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return features


def _rounded(transformer: pyproj.Transformer, points: Any) -> Any:
    east, north = transformer.transform(points[:, 0], points[:, 1])
    return [[round(float(x), 8), round(float(y), 8)] for x, y in zip(east, north, strict=True)]


def _postal_codes(_seed: int, _scale: float, day: int) -> list[Row]:
    editions = _editions(day, every=5, first=4)
    changed = date_of(4 + 5 * (editions - 1)) if editions else date_of(0)
    names = {place.postal_code: (place.name_fi, place.name_sv) for place in PLACES}
    kinds = [(code, *names[code], "1", "19860101") for code in names]
    kinds += [("06101", "PORVOO", "BORGÅ", "2", "19860101"), ("06108", "PORVOO", "BORGÅ", "2", "19910301")]
    kinds += [
        (f"061{10 + number:02d}", "PAKETTIAUTOMAATTI", "PAKETTIAUTOMAATTI", "6", "20240101") for number in range(2)
    ]
    kinds += [
        (f"061{20 + number:02d}", "SMARTPOST", "SMARTPOST", "6", f"{date_of(4 + 5 * number):%Y%m%d}")
        for number in range(editions)
    ]
    return [
        {
            "date": f"{changed:%Y%m%d}",
            "postcode": code,
            "postcode_fi_name": fi,
            "postcode_sv_name": sv,
            "postcode_abbr_fi": "PRV" if fi == "PORVOO" else "",
            "postcode_abbr_sv": "BGÅ" if fi == "PORVOO" else "",
            "valid_from": valid_from,
            "type_code": kind,
            "ad_area_code": "FI1B1",
            "ad_area_fi": "Helsinki-Uusimaa",
            "ad_area_sv": "Helsingfors-Nyland",
            "municipal_code": MUNICIPALITY_CODE,
            "municipal_name_fi": "Porvoo",
            "municipal_name_sv": "Borgå",
            "municipal_language_ratio_code": "2",
        }
        for code, fi, sv, kind, valid_from in kinds
    ]


# -- files ---------------------------------------------------------------------------------------------------------------


def _delimited(rows: Iterable[Row]) -> bytes:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _unquoted(rows: Iterable[Row]) -> bytes:
    lines = [",".join(AREA_HEADER), *(",".join(row.values()) for row in rows)]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")


def _geojson(features: list[dict[str, Any]]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()


def _json(rows: list[Row]) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


_MADE: dict[str, tuple[str, Any, Any]] = {
    DATASETS[0]: (f"statistics/municipality-classes-{YEAR}_{{}}.csv", _this_year, _delimited),
    DATASETS[1]: (f"statistics/municipality-history-{HISTORY[0]}-{YEAR}_{{}}.csv", _history, _delimited),
    DATASETS[2]: (f"statistics/paavo-population-{POPULATION_YEARS[-1]}_{{}}.csv", _population, _delimited),
    DATASETS[3]: ("statistics/postal-code-areas-2020_{}.csv", _area_rows, _unquoted),
    DATASETS[4]: ("gis/postal-areas-east-uusimaa_{}.geojson", _features, _geojson),
    DATASETS[5]: (f"gis/posti-postal-codes-{MUNICIPALITY_CODE}_{{}}.json", _postal_codes, _json),
}


def _break(dataset: str, rows: list[Any], seed: int, day: int) -> None:
    """Break one row of the file, which is right again the day after: never one without which the rest means nothing."""
    large = f"X{POPULATION_YEARS[-1]}"
    chosen = [row for row in rows[1:] if int(row.get(large, 0)) < 10_000]
    row = random_for(seed, "faults", dataset, day).choice(chosen)
    if dataset == "gis.postal_areas":  # a boundary that crosses itself
        west, south, east, north = shapely.bounds(shapely.from_geojson(json.dumps(row["geometry"])))
        crossed = [[west, south], [east, north], [east, south], [west, north], [west, south]]
        row["geometry"] = {"type": "Polygon", "coordinates": [crossed]}
        return
    name, value = {
        "statistics.municipalities": ("maakunta_code", "6 tai 7"),
        "statistics.municipality_history": ("seutukunta_code", "15.5"),
        "statistics.population_by_postal_area": (large, "1 234"),
        "statistics.postal_code_areas": ("Municipality", "49"),
        "gis.postal_codes": ("valid_from", "00000000"),
    }[dataset]
    row[name] = value


@functools.lru_cache(maxsize=24)
def _content(dataset: str, seed: int, scale: float, day: int, faults: bool) -> bytes:
    _, make, write = _MADE[dataset]
    rows = make(seed, scale, day)
    if faults and DATASETS[day % len(DATASETS)] == dataset:
        _break(dataset, rows, seed, day)
    written: bytes = write(rows)
    return written


def files(
    *, seed: int, scale: float, day: int, datasets: Collection[str] | None = None, faults: bool = True
) -> dict[str, bytes]:
    """The files of a day by path below the drop directory; ValueError for a dataset that is not among `DATASETS`.

    The country does not shrink with `scale`: statistics are of all municipalities for the smallest town too.
    """
    chosen = DATASETS if datasets is None else datasets
    if unknown := set(chosen) - set(DATASETS):
        raise ValueError(f"no such dataset of files: {', '.join(sorted(unknown))}; there are {', '.join(DATASETS)}")
    made = {}
    for dataset in DATASETS:
        if dataset in chosen:
            content = _content(dataset, seed, scale, day, faults)
            if day == 0 or content != _content(dataset, seed, scale, day - 1, faults):
                made[_MADE[dataset][0].format(date_of(day))] = content
    return made


def drop(
    directory: Path | str,
    *,
    seed: int,
    scale: float,
    day: int,
    datasets: Collection[str] | None = None,
    faults: bool = True,
) -> list[Path]:
    """Write the files of a day and their `.done` markers; returns those that were not there with equal bytes."""
    return [
        path
        for name, content in files(seed=seed, scale=scale, day=day, datasets=datasets, faults=faults).items()
        if write_complete(path := Path(directory) / name, content)
    ]
