"""Districts, municipalities over time and strategic indicators, from staging to what is released."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from citydata import database, release, transform
from tests.integration.transform import raw_rows, statistical_rows


def rows(query: str) -> list[tuple[Any, ...]]:
    with database.connect_admin() as connection:
        return connection.execute(query).fetchall()


def test_districts_and_municipalities(warehouse: Path) -> None:
    assert rows(
        "SELECT district_code, name_fi, name_sv, municipality_sv, is_town, area_km2, point_easting, geometry IS NOT NULL"
        " FROM master.district ORDER BY 1"
    ) == [
        ("01180", "Kalkkiranta", "Kalkstrand", "Borgå", True, None, None, False),
        ("06100", "Keskusta", "Centrum", "Borgå", True, Decimal(1), Decimal(425_500), True),
        ("06150", "Itäranta", "Östra stranden", "Borgå", True, Decimal(1), Decimal(426_500), True),
    ]
    assert rows("SELECT system, source_id FROM master.district_xref WHERE source_id <> '06150' ORDER BY 1") == [
        ("gis.postal_areas", "06100"),
        ("gis.postal_codes", "06100"),
        *(("statistics.postal_code_areas", code) for code in ("01180", "06100")),
    ]

    # A municipality keeps the areas of each period.
    assert rows(
        "SELECT valid_from, valid_to, hospital_district_code, wellbeing_county_code, employment_area_code, region_fi"
        " FROM warehouse.dim_municipality WHERE municipality_code = '638' ORDER BY 1"
    ) == [
        (date(2017, 1, 1), date(2017, 12, 31), "25", None, None, "Uusimaa"),
        (date(2018, 1, 1), date(2022, 12, 31), "25", "01", None, "Uusimaa"),
        (date(2023, 1, 1), date(2024, 12, 31), None, "01", None, "Uusimaa"),
        (date(2025, 1, 1), None, None, "01", "30", "Uusimaa"),
    ]
    assert rows("SELECT name_sv, sub_region_code FROM warehouse.dim_municipality WHERE municipality_code = '753'") == [
        ("Sibbo", "015")
    ]

    # The national total is no district.
    assert rows("SELECT sum(population), count(*) FROM warehouse.fct_district_population") == [(295_122, 3)]
    assert rows("SELECT year, population FROM staging.stg_statistics__population_by_postal_area WHERE is_national_total") == [
        (2022, 5_563_970)
    ]  # fmt: skip


def test_indicators_have_figures_of_every_sector(warehouse: Path) -> None:
    found = {
        (indicator, area): (value, target, owner)
        for indicator, area, value, target, owner in rows(
            "SELECT indicator, area_sv, value, target, owner FROM mart_strategy.strategic_indicator"
            " WHERE period = CASE WHEN indicator LIKE 'population%' THEN 2022 ELSE 2025 END"
        )
    }
    assert found.keys() == {
        *((indicator, "Borgå") for indicator in ("population", "person_years", "purchases")),
        *(("population_by_district", area) for area in ("Centrum", "Östra stranden", "Kalkstrand")),
    }
    assert found["population", "Borgå"][:2] == (296_022, 53_000)
    assert found["population_by_district", "Kalkstrand"] == (122, None, "strategiajohtaja")
    spent = sum(row["amount_net"] for row in raw_rows.invoices() if row["fiscal_year"] == 2025)
    assert found["purchases", "Borgå"][0] == spent
    worked = rows("SELECT round(sum(person_years), 2) FROM mart_hr.headcount WHERE year = 2025")
    assert [(found["person_years", "Borgå"][0],)] == worked
    assert rows("SELECT DISTINCT period, is_complete FROM mart_strategy.strategic_indicator WHERE indicator = 'purchases' ORDER BY 1") == [
        (2025, True), (2026, False),
    ]  # fmt: skip


def test_two_counts_of_the_people_that_differ_too_much_are_not_released(warehouse: Path) -> None:
    """A difference within the band is shown with its reason; out of it strategy stays as it was, and the others do not."""
    shown = (
        "SELECT difference, is_within_band, reason_sv FROM mart_strategy.population_reconciliation WHERE year = 2022"
    )
    known = [(900, True, "Personer vars boningsort inte har känt läge ingår bara i kommunens siffra")]
    assert rows(shown) == known
    lost = [
        row | ({"population": 197_900} if row["postal_code"] == "06100" else {})
        for row in statistical_rows.population()
    ]
    raw_rows.publish("statistics.population_by_postal_area", lost)
    done = release.release(transform.build().build_id)
    assert done.stale.keys() == {"strategy"}
    assert "population_sources_agree" in done.stale["strategy"]
    assert rows(shown) == known
