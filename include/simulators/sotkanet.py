"""Sotkanet REST 1.1 of a synthetic country: regions, indicators and their values, or recorded answers in their place.

It has the service's ways: no parameter for regions, `years` and `genders` repeated, `[]` where there is nothing, values
left out where they are protected, HTML in texts, wellbeing areas beside municipalities. Every third day one indicator is
revised: its `data-updated` moves, back years change and one row vanishes.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import logging
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from simulators import Town, TownNow, date_of, random_for, scaled
from simulators.municipalities import COUNTIES, MUNICIPALITIES, REGIONS, Municipality

LOG = logging.getLogger("simulators.sotkanet")
BASE = "/sotkanet/rest/1.1"
COUNTRY = 658
# Ids that Sotkanet gives; the other regions of the synthetic country have ids of their own.
KNOWN_IDS = {("KUNTA", "638"): 294, ("MAAKUNTA", "01"): 488, ("HYVINVOINTIALUE", "01"): 961}
ID_RANGES = {"KUNTA": 30_000, "MAAKUNTA": 20_000, "HYVINVOINTIALUE": 25_000}
GENDERS = ("male", "female", "total")
PROTECTED_BELOW = 5
"""Fewer cases than this in a municipality are not told."""
CSV_HEADER = "indicator;region;year;gender;primary value;absolute value"
PUBLICATION_HEADER = "municipality_code,primary.value,year"
"""The file in which the population of municipalities (indicator 127) was published."""
POPULATION = 127

UNITS = {
    "LKM": ("Lukumäärä", "Antal", "Number"),
    "PROS": ("Prosenttia", "Procent", "Percent"),
    "PER1000": ("Tuhatta asukasta kohden", "Per tusen invånare", "Per 1 000 inhabitants"),
    "EURAS": ("Euroa asukasta kohden", "Euro per invånare", "Euros per inhabitant"),
    "SUHDE": ("Suhdeluku", "Kvot", "Ratio"),
}


class Indicator(NamedTuple):
    """`level` is a typical value; `cases` says that it is so many of `share` of the inhabitants, whose number is told too."""

    id: int
    title: tuple[str, str, str]
    unit: str
    decimals: int
    years: tuple[int, int]
    updated: date
    sexes: tuple[str, ...]
    level: float
    share: float = 1.0
    cases: bool = False
    country_only: bool = False


_YEARS = (2010, 2025)
_UPDATED = date(2026, 5, 28)
INDICATORS = (
    Indicator(
        POPULATION, ("Väestö 31.12.", "Befolkning 31.12", "Population at year end"),
        "LKM", 0, (2000, 2022), date(2023, 6, 6), GENDERS, 1,
    ),
    Indicator(
        4, ("Mielenterveyden häiriöihin sairaalahoitoa saaneet 0 - 17-vuotiaat / 1 000 vastaavanikäistä",
            "0 - 17-åringar som vårdats på sjukhus för psykiska störningar / 1 000 i samma åldrar",
            "Hospital care for mental disorders, recipients aged 0-17 per 1000 persons of the same age"),
        "PER1000", 1, _YEARS, _UPDATED, GENDERS, 5, share=0.2, cases=True,
    ),
    Indicator(
        181, ("Työttömät, % työvoimasta", "Arbetslösa, % av arbetskraften", "Unemployed people, as % of labour force"),
        "PROS", 1, _YEARS, _UPDATED, GENDERS, 9, share=0.48, cases=True,
    ),
    Indicator(
        182, ("Elatussuhde", "Ekonomisk försörjningskvot", "Economic dependency ratio"),
        "SUHDE", 1, _YEARS, _UPDATED, (), 130,
    ),
    Indicator(
        306, ("Työkyvyttömyyseläkettä saavat 25 - 64-vuotiaat, % vastaavanikäisestä väestöstä",
              "25 - 64-åriga invalidpensionstagare, % av befolkningen i samma ålder",
              "Population aged 25-64 receiving disability pension, as % of total population of same age"),
        "PROS", 1, _YEARS, _UPDATED, GENDERS, 6, share=0.51, cases=True,
    ),
    Indicator(
        716, ("Lihavia (BMI&#8805;30 kg/m2) 25 - 64-vuotiaita, % vastaavanikäisestä väestöstä",
              "Feta (BMI&#8805;30 kg/m2) 25 - 64-åringar, % av befolkningen i samma ålder",
              "Obesity (BMI&#8805;30 kg/m2) in those aged 25-64, as % of total population of same age<br />"),
        "PROS", 1, _YEARS, _UPDATED, GENDERS, 22, share=0.51, country_only=True,
    ),
    Indicator(
        1065, ("0 - 17-vuotiaat, % väestöstä", "0 - 17 år, % av befolkningen",
               "Population aged 0-17 as % of total population"),
        "PROS", 1, _YEARS, _UPDATED, GENDERS, 20, cases=True,
    ),
    Indicator(
        1073, ("Sosiaali- ja terveystoimen nettokustannukset, euroa / asukas",
               "Social- och hälsoförvaltningens nettokostnader i euro / invånare",
               "Net expenditure of the municipal health and social sector, euro per capita"),
        "EURAS", 1, (2010, 2022), date(2023, 12, 20), (), 3500,
    ),
    Indicator(
        3078, ("Nuorten raskaudet (alle 25-vuotiaat) / 1 000 15 - 24-vuotiasta naista",
               "Graviditeter hos unga kvinnor (under 25 år) / 1 000 kvinnor i åldrarna 15 - 24 år",
               "Pregnancy among young women (aged under 25) per 1000 women aged 15 - 24"),
        "PER1000", 1, _YEARS, _UPDATED, ("female",), 28, share=0.11, cases=True,
    ),
    Indicator(
        3113, ("Poliisin tietoon tulleet henkeen ja terveyteen kohdistuneet rikokset / 1 000 asukasta",
               "Brott mot liv och hälsa som kommit till polisens kännedom / 1 000 invånare",
               "Offences against life and health recorded by the police per 1000 inhabitants"),
        "PER1000", 1, _YEARS, _UPDATED, (), 6,
    ),
)  # fmt: skip
PER = {"PROS": 100, "PER1000": 1000}


class Value(NamedTuple):
    """One row. `value` and `absolute` are None where they are left out."""

    indicator: int
    region: int
    year: int
    gender: str
    value: float | None
    absolute: float | None


def region_id(category: str, code: str) -> int:
    """Sotkanet's id of a region, which is not its code."""
    return KNOWN_IDS.get((category, code)) or ID_RANGES[category] + int(code)


def municipalities_of(scale: float) -> tuple[Municipality, ...]:
    """The municipalities of a country of this scale, Porvoo first."""
    return MUNICIPALITIES[: scaled(len(MUNICIPALITIES), min(scale, 1), minimum=12)]


def regions(scale: float) -> list[dict[str, Any]]:
    """The list of regions as the service writes it."""
    chosen = municipalities_of(scale)
    found = [_region("MAA", COUNTRY, "358", ("Koko maa", "Hela landet", "Whole country"), [])]
    for code in sorted({one.region for one in chosen}):
        fi, sv = REGIONS[code]
        found.append(_region("MAAKUNTA", region_id("MAAKUNTA", code), code, (fi, sv, fi), [COUNTRY]))
    for code in sorted({one.county for one in chosen}):
        fi, sv = COUNTIES[code]
        found.append(_region("HYVINVOINTIALUE", region_id("HYVINVOINTIALUE", code), code, (fi, sv, fi), [COUNTRY]))
    for one in chosen:
        above = [region_id("MAAKUNTA", one.region), region_id("HYVINVOINTIALUE", one.county), COUNTRY]
        names = (one.name_fi, one.name_sv, one.name_fi)
        found.append(_region("KUNTA", region_id("KUNTA", one.code), one.code, names, above))
    return found


def _region(category: str, number: int, code: str, names: tuple[str, str, str], above: list[int]) -> dict[str, Any]:
    return {
        "id": number,
        "code": code,
        "category": category,
        "title": _texts(names),
        "memberOf": above,
        "uri": f"http://www.yso.fi/onto/kunnat/{category.lower()}{code}",
    }


def _texts(names: tuple[str, str, str]) -> dict[str, str]:
    fi, sv, en = names
    return {"fi": fi, "en": en, "sv": sv}


def revisions(indicator: Indicator, day: int) -> list[int]:
    """The days up to `day` on which this indicator was revised."""
    turn = INDICATORS.index(indicator)
    return [one for one in range(1, day + 1) if one % 3 == 1 and one // 3 % len(INDICATORS) == turn]


def indicator_of(indicator: Indicator, day: int) -> dict[str, Any]:
    """An indicator as the service describes it on a day."""
    revised = revisions(indicator, day)
    updated = date_of(revised[-1]) if revised else indicator.updated
    areas = ("Maa",) if indicator.country_only else ("Kunta", "Maakunta", "Hyvinvointialue", "Maa")
    empty = _texts(("", "", ""))
    return {
        "id": indicator.id,
        "data-updated": updated.isoformat(),
        "range": {"start": indicator.years[0], "end": indicator.years[1]},
        "title": _texts(indicator.title),
        "description": _texts(
            (
                f"<p>Synteettinen indikaattori <b>{indicator.id}</b>.<br /><br />Luvut on keksitty.</p>",
                f"<p>Syntetisk indikator <b>{indicator.id}</b>.<br /><br />Siffrorna är påhittade.</p>",
                f"<p>Synthetic indicator <b>{indicator.id}</b>.<br /><br />The figures are invented.</p>",
            )
        ),
        "interpretation": empty,
        "limits": empty,
        "legislation": empty,
        "notices": empty,
        "primaryValueType": {"code": indicator.unit, "title": _texts(UNITS[indicator.unit])},
        "decimals": indicator.decimals,
        "classifications": {
            "region": {
                "title": _texts(("Kunta, maakunta, koko maa", "Kommun, landskap, hela landet", "Municipality, region")),
                **({} if indicator.unit == "SUHDE" else {"values": list(areas)}),
            },
            "sex": {
                "title": _texts(("Sukupuoli", "Kön", "Gender")) if indicator.sexes else empty,
                "values": list(indicator.sexes),
            },
        },
        "organization": {
            "id": 2,
            "title": _texts(
                (
                    "Terveyden ja hyvinvoinnin laitos (THL)",
                    "Institutet för hälsa och välfärd (THL)",
                    "Institute for Health and Welfare (THL)",
                )
            ),
        },
        "subjects": [],
        "sources": [],
        "groups": [188],
        "sort": 100 + INDICATORS.index(indicator),
    }


# -- figures -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _inhabitants(seed: int, one: Municipality) -> dict[int, dict[str, int]]:
    """Men and women at the end of each year."""
    rng = random_for(seed, "population", one.code)
    growth, men = rng.uniform(-0.008, 0.011), rng.uniform(0.485, 0.505)
    people = {}
    for year in range(2000, 2026):
        all_of_them = round(one.inhabitants * (1 + growth) ** (year - 2022) * rng.uniform(0.997, 1.003))
        male = round(all_of_them * men)
        people[year] = {"male": male, "female": all_of_them - male}
    return people


def _changed(seed: int, indicator: Indicator, scale: float, revision: int) -> tuple[dict[str, float], tuple[str, int]]:
    """By which factor a revision changes the back years of some municipalities, and the municipality and year that vanish."""
    rng = random_for(seed, "revision", indicator.id, revision)
    chosen = rng.sample(municipalities_of(scale), 3)
    vanishing = rng.choice(municipalities_of(scale)[1:])
    factors = {one.code: 1 + rng.choice((-1, 1)) * rng.uniform(0.01, 0.03) for one in chosen}
    return factors, (vanishing.code, rng.randint(*indicator.years))


@functools.lru_cache(maxsize=64)
def values(seed: int, scale: float, indicator: Indicator, revision: int) -> tuple[Value, ...]:
    """All rows of an indicator after so many revisions. Areas are the sums of their municipalities."""
    changes = [_changed(seed, indicator, scale, number) for number in range(1, revision + 1)]
    totals: dict[tuple[int, int, str], tuple[float, float]] = {}
    small: set[tuple[int, int, str]] = set()
    gone = set()
    for one in municipalities_of(scale):
        own = region_id("KUNTA", one.code)
        areas = [own, region_id("MAAKUNTA", one.region), region_id("HYVINVOINTIALUE", one.county), COUNTRY]
        factor = functools.reduce(lambda product, change: product * change[0].get(one.code, 1), changes, 1.0)
        gone |= {(own, year, _shown(indicator)[-1]) for _, (code, year) in changes if code == one.code}
        for (year, gender), (cases, of) in _municipality(seed, indicator, one, factor).items():
            for area in [COUNTRY] if indicator.country_only else areas:
                before = totals.get((area, year, gender), (0, 0))
                totals[area, year, gender] = (before[0] + cases, before[1] + of)
            if indicator.cases and cases < PROTECTED_BELOW:
                small.add((own, year, gender))
    rows = []
    for (area, year, gender), (cases, of) in totals.items():
        if (area, year, gender) in gone:
            continue
        value: float | None = cases if indicator.unit == "LKM" else round(cases / of * PER.get(indicator.unit, 1), 1)
        absolute = cases if indicator.cases else None
        if (area, year, gender) in small:
            value = absolute = None
        rows.append(Value(indicator.id, area, year, gender, value, absolute))
    return tuple(rows)


def _shown(indicator: Indicator) -> tuple[str, ...]:
    return indicator.sexes or ("total",)


def _municipality(
    seed: int, indicator: Indicator, one: Municipality, factor: float
) -> dict[tuple[int, str], tuple[float, float]]:
    """Cases and those among whom they occur, by year and gender; `factor` is what revisions did to the back years."""
    rng = random_for(seed, "indicator", indicator.id, one.code)
    level = indicator.level / PER.get(indicator.unit, 1) * rng.uniform(0.7, 1.3)
    skew = rng.uniform(-0.15, 0.15)
    found: dict[tuple[int, str], tuple[float, float]] = {}
    for year in range(indicator.years[0], indicator.years[1] + 1):
        level *= rng.uniform(0.96, 1.04)
        revised = factor if year >= indicator.years[1] - 5 else 1.0
        both = (0.0, 0.0)
        for gender, people in _inhabitants(seed, one)[year].items():
            of = people * indicator.share
            sign = 1 if gender == "male" else -1
            cases = people * revised if indicator.unit == "LKM" else of * level * (1 + sign * skew) * revised
            part = (float(round(cases)) if indicator.cases or indicator.unit == "LKM" else cases, of)
            both = (both[0] + part[0], both[1] + part[1])
            found[year, gender] = part
        found[year, "total"] = both
    return {(year, gender): part for (year, gender), part in found.items() if gender in _shown(indicator)}


# -- recorded answers ----------------------------------------------------------------------------------------------------


def _loaded(path: Path) -> Any:
    """A recorded file's content, read again when it changes: a list of objects, or the rows of a CSV."""
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=16)
def _read(path: Path, changed: int, size: int) -> Any:
    text = path.read_text(encoding="utf-8-sig")
    header = text.partition("\n")[0].strip().replace('"', "")
    if header in (CSV_HEADER, PUBLICATION_HEADER):
        return list(csv.DictReader(io.StringIO(text), delimiter=";" if header == CSV_HEADER else ","))
    document = json.loads(text)
    if isinstance(document, dict):  # a client's copy: {"indicators": {"186": {…}}}
        document = list(document.get("indicators", {}).values())
        document = [{name: value for name, value in one.items() if name != "indicator_id"} for one in document]
    return document


def _number(text: Any) -> float | None:
    if text in (None, ""):
        return None
    number = float(text)
    return int(number) if number == int(number) else number


def _recorded_values(path: Path, served: list[dict[str, Any]]) -> list[Value]:
    """The recorded rows. Municipality codes, which lost their zeros, become ids of the regions that are served."""
    ids = {one["code"].zfill(3): one["id"] for one in served if one["category"] == "KUNTA"}
    rows = []
    for row in _loaded(path):
        if "municipality_code" in row:
            code = row["municipality_code"].zfill(3)
            if code not in ids:
                LOG.error(
                    "%s has the municipality %s, which is not among the regions that are served: give the list of regions"
                    " (social_health.regions) too", path.name, code,
                )  # fmt: skip
                raise HTTPException(500)
            rows.append(Value(POPULATION, ids[code], int(row["year"]), "total", _number(row["primary.value"]), None))
        else:
            value = row["primary value"] if "primary value" in row else row.get("value")
            absolute = row["absolute value"] if "absolute value" in row else row.get("absValue")
            keys = (int(row["indicator"]), int(row["region"]), int(row["year"]), row["gender"])
            rows.append(Value(*keys, _number(value), _number(absolute)))
    return rows


# -- the service ---------------------------------------------------------------------------------------------------------


class _Service:
    """What is answered for the town as it is now."""

    def __init__(self, town: Town) -> None:
        self.town = town

    def regions(self) -> list[dict[str, Any]]:
        recorded = self.town.recorded.get("social_health.regions")
        found: list[dict[str, Any]] = _loaded(recorded) if recorded else regions(self.town.scale)
        return found

    def indicators(self) -> list[dict[str, Any]]:
        recorded = self.town.recorded.get("social_health.indicators")
        offered: list[dict[str, Any]]
        offered = _loaded(recorded) if recorded else [indicator_of(one, self.town.day) for one in INDICATORS]
        if "social_health.indicator_values" not in self.town.recorded:
            return offered
        rows: dict[int, list[Value]] = {}
        for row in self._recorded():
            rows.setdefault(row.indicator, []).append(row)
        return [self._as_recorded(one, rows[one["id"]]) for one in offered if one["id"] in rows]

    @staticmethod
    def _as_recorded(entry: dict[str, Any], rows: list[Value]) -> dict[str, Any]:
        """The description says of which years and genders there are values. When they changed, nobody recorded."""
        years = [row.year for row in rows]
        sexes = [gender for gender in GENDERS if any(row.gender == gender for row in rows)]
        classifications = entry["classifications"]
        return {name: value for name, value in entry.items() if name != "data-updated"} | {
            "range": {"start": min(years), "end": max(years)},
            "classifications": {**classifications, "sex": {**classifications["sex"], "values": sexes}},
        }

    def _recorded(self) -> list[Value]:
        return _recorded_values(self.town.recorded["social_health.indicator_values"], self.regions())

    def values(self, request: Request) -> list[Value]:
        """Rows of the indicator, years and genders that are asked for; a parameter for regions changes nothing."""
        try:
            number = int(request.query_params["indicator"])
            years = {int(year) for year in request.query_params.getlist("years")}
        except (KeyError, ValueError):
            raise HTTPException(400, "indicator and years are numbers, and indicator is needed") from None
        genders = set(request.query_params.getlist("genders"))
        if "social_health.indicator_values" in self.town.recorded:
            rows: Iterable[Value] = (row for row in self._recorded() if row.indicator == number)
        else:
            rows = ()
            for one in INDICATORS:
                if one.id == number:
                    rows = values(self.town.seed, self.town.scale, one, len(revisions(one, self.town.day)))
        return [row for row in rows if (not years or row.year in years) and (not genders or row.gender in genders)]


def _json(content: Any) -> Response:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, media_type="application/json;charset=UTF-8")


def _as_json(row: Value) -> dict[str, Any]:
    told = {"value": row.value, "absValue": row.absolute}
    keys = {"indicator": row.indicator, "region": row.region, "year": row.year, "gender": row.gender}
    return keys | {name: _number(value) for name, value in told.items() if value is not None}


def _as_csv(row: Value) -> str:
    told = ("" if value is None else str(_number(value)) for value in (row.value, row.absolute))
    return ";".join((str(row.indicator), str(row.region), str(row.year), row.gender, *told))


def routes(town: TownNow) -> list[BaseRoute]:
    """The service below its base path."""

    def all_regions(request: Request) -> Response:
        return _json(_Service(town()).regions())

    def all_indicators(request: Request) -> Response:
        return _json(_Service(town()).indicators())

    def one_indicator(request: Request) -> Response:
        for one in _Service(town()).indicators():
            if one["id"] == request.path_params["number"]:
                return _json(one)
        raise HTTPException(404)

    def values_json(request: Request) -> Response:
        return _json([_as_json(row) for row in _Service(town()).values(request)])

    def values_csv(request: Request) -> Response:
        lines = [CSV_HEADER, *(_as_csv(row) for row in _Service(town()).values(request))]
        return Response("\n".join(lines) + "\n", media_type="text/csv;charset=UTF-8")

    paths = {
        "/regions": all_regions,
        "/indicators": all_indicators,
        "/indicators/{number:int}": one_indicator,
        "/json": values_json,
        "/csv": values_csv,
    }
    return [Mount(BASE, routes=[Route(path, endpoint) for path, endpoint in paths.items()])]
