"""National indicators from staging to what is released, also after the source has given its regions other ids."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from citydata import database, release, transform
from tests.integration.transform import raw_rows

INDICATOR = (
    "SELECT region_fi, comparison, value, country_value, difference_to_country, is_missing FROM {}.indicator"
    " WHERE indicator = 181 ORDER BY region_fi"
)
NOBODY = ("Ei tiedossa", "other", Decimal(7), Decimal("10.4"), Decimal("-3.4"), False)
COUNTRY = ("Koko maa", "country", Decimal("10.4"), Decimal("10.4"), Decimal(0), False)


def rows(query: str) -> list[tuple[Any, ...]]:
    with database.connect_admin() as connection:
        return connection.execute(query).fetchall()


def test_the_town_stands_beside_its_peers_and_the_country(warehouse: Path) -> None:
    assert rows(INDICATOR.format("mart_social_health")) == [
        NOBODY,
        COUNTRY,
        ("Porvoo", "town", Decimal("9.1"), Decimal("10.4"), Decimal("-1.3"), False),
        ("Verrokki", "peer", None, Decimal("10.4"), None, True),
    ]
    years = "SELECT min(year), max(year), count(*) FROM mart_social_health.indicator WHERE indicator = 127 AND region_code = '638'"
    assert rows(years) == [(2000, 2025, 78)]


def test_regions_with_other_ids_are_the_same_regions(warehouse: Path) -> None:
    """The list is numbered anew, one region leaves it, and of the values only those of one indicator are published anew."""
    published = raw_rows.indicators()
    regions = [row | {"region": row["region"] + 100_000} for row in published["social_health.regions"]]
    kept = [row for row in regions if row["title_fi"] != "Verrokki"]
    raw_rows.publish("social_health.regions", kept)
    values = [
        row | {"region": row["region"] + 100_000, "value": row["value"] and row["value"] + 1}
        if row["indicator"] == 181 and row["region"] == 294
        else row
        for row in published["social_health.indicator_values"]
    ]
    raw_rows.publish("social_health.indicator_values", values)
    build = transform.build()
    assert build.failures == {}
    assert release.release(build.build_id).stale == {}
    assert rows(INDICATOR.format("mart_social_health")) == [
        NOBODY,
        COUNTRY,
        ("Porvoo", "town", Decimal("10.1"), Decimal("10.4"), Decimal("-0.3"), False),
        ("Verrokki", "peer", None, Decimal("10.4"), None, True),
    ]
    assert rows("SELECT name_fi, is_current FROM warehouse.dim_region WHERE category = 'KUNTA' ORDER BY 1") == [
        ("Porvoo", True),
        ("Verrokki", False),
    ]
    assert rows("SELECT count(DISTINCT region_key) FROM warehouse.fct_indicator_value WHERE indicator = 127") == [(3,)]
