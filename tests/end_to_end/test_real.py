"""The real files and recorded answers on the real scheduler."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from citydata import contract, settings, town
from citydata.service import inputs
from tests.end_to_end.running_platform import Platform

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]


INPUTS = settings.ROOT / "tests" / "real_input.yaml"


def test_every_dataset_that_was_given_is_published(real: Platform) -> None:
    assert real.outcome.failures == []
    assert real.outcome.held == []
    published = {row[0] for row in real.query("SELECT DISTINCT dataset FROM ops.batch WHERE state = 'published'")}
    assert published == set(contract.load_all())
    assert real.query("SELECT * FROM ops.release_group WHERE state = 'stale'") == []


def test_every_invoice_line_is_in_the_mart_to_the_cent(real: Platform) -> None:
    file = inputs.read(INPUTS)["finance.purchase_invoices"]
    expected, lines = _totals(file)
    assert lines == 229
    rows = real.query(
        "SELECT supplier_name_on_invoice, fiscal_year, sum(amount_net), count(*) FROM mart_finance.purchase GROUP BY 1, 2"
    )
    assert {(name, year): total for name, year, total, _ in rows} == expected
    assert sum(count for *_, count in rows) == lines


def test_the_towns_population_of_every_year_is_in_the_mart(real: Platform) -> None:
    with inputs.read(INPUTS)["social_health.indicator_values"].open(encoding="utf-8", newline="") as text:
        rows = [row for row in csv.DictReader(text) if row["municipality_code"] == town.load().municipality_code]
    expected = {int(row["year"]): int(row["primary.value"]) for row in rows}
    assert sorted(expected) == list(range(2000, 2023))
    found = real.query("SELECT period, value FROM mart_strategy.strategic_indicator WHERE indicator = 'population'")
    assert dict(found) == expected


def test_two_counts_of_the_people_differ_and_the_mart_says_so(real: Platform) -> None:
    found = real.query(
        "SELECT sotkanet_population, postal_area_population, difference, is_within_band"
        " FROM mart_strategy.population_reconciliation WHERE year = 2022"
    )
    assert found == [(51_232, 51_068, 164, True)]


def test_the_recorded_buildings_have_their_district(real: Platform) -> None:
    rows = real.query("SELECT property_id, district_code IS NOT NULL FROM mart_gis.building ORDER BY 1")
    assert [row[1] for row in rows] == [True, True]


def _totals(file: Path) -> tuple[dict[tuple[str, int], Decimal], int]:
    """Sums by supplier and year as the file has them, read with nothing of the platform."""
    totals: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text, delimiter=";"))
    for row in rows:
        amount = row["Summa alv 0 EUR"].replace(" ", "").replace("\u00a0", "").replace(",", ".")
        totals[row["Toimittajan nimi"].strip(), int(row["Tilikausi"])] += Decimal(amount)
    return dict(totals), len(rows)
