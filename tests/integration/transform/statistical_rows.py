"""Classifications, areas and inhabitants of a small synthetic country, as landing leaves them; boundaries are `geographic_rows`'."""

from typing import Any

from citydata import contract

Row = dict[str, Any]
POPULATION = {"06100": 200_000, "06150": 95_000, "01180": 122, "99990": 7_000}
"""Inhabitants by postal code at the end of 2022; the first three are the town's, where `raw_rows.indicators` tells 296,022."""


def municipality(dataset: str, code: int, year: int, fi: str, sv: str, **values: Any) -> Row:
    """A municipality in a year; areas that the test does not name are not known."""
    row: Row = {column.name: "x" if column.required else None for column in contract.load(dataset).columns}
    row |= {"municipality": code, "municipality_code": code, "year": year, "municipality_fi": fi, "municipality_sv": sv}
    row |= {"municipality_name": fi, "official_fi": fi, "official_sv": sv, "language_ratio_code": 1}
    row |= {"municipality_group_code": 1, "region_code": 1, "region_fi": "Uusimaa ", "region_sv": "Nyland"}
    return row | {"sub_region_code": 15, "sub_region_fi": "Porvoo", "sub_region_sv": "Borgå"} | values


def municipalities() -> list[Row]:
    """Two municipalities this year."""
    dataset = "statistics.municipalities"
    return [
        municipality(dataset, 638, 2026, "Porvoo", "Borgå", wellbeing_county_code=1, employment_area_code=30),
        municipality(dataset, 753, 2026, "Sipoo", "Sibbo ", wellbeing_county_code=1),
    ]


def history() -> list[Row]:
    """The town belonged to a hospital district until the wellbeing services counties began."""
    dataset = "statistics.municipality_history"
    return [
        municipality(dataset, 638, year, "Porvoo", "Borgå")
        | ({"hospital_district_code": 25} if year < 2023 else {})
        | ({"wellbeing_county_code": 1} if year > 2017 else {})
        | ({"employment_area_code": 30} if year > 2024 else {})
        for year in range(2017, 2027)
    ]


def population() -> list[Row]:
    """The national total stands among the areas; 01180 was not counted the year before."""
    counts = {("KOKO", 2022): 5_563_970, ("01180", 2021): None}
    counts |= {(code, 2022): people for code, people in POPULATION.items()}
    return [{"postal_code": code, "year": year, "population": people} for (code, year), people in counts.items()]


def areas() -> list[Row]:
    """Three areas of the town, of which 01180 has no boundary and Posti does not know it, and one elsewhere."""
    named = [
        ("06100", "Keskusta", "Centrum", "638", "Porvoo"),
        ("06150", "Itäranta", "Östra stranden", "638", "Porvoo"),
        ("01180", "Kalkkiranta", "Kalkstrand", "638", "Porvoo"),
        ("99990", "Muualla", "Annanstans", "890", "Utsjoki"),
    ]
    empty = dict.fromkeys(contract.load("statistics.postal_code_areas").table_columns)
    names = ("postal_code", "name_fi", "name_sv", "municipality_code", "municipality")
    return [empty | dict(zip(names, values, strict=True)) for values in named]


def statistics() -> dict[str, list[Row]]:
    """The four statistical datasets."""
    return {
        "statistics.municipalities": municipalities(),
        "statistics.municipality_history": history(),
        "statistics.population_by_postal_area": population(),
        "statistics.postal_code_areas": areas(),
    }
