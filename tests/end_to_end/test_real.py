"""The real finance files on the real scheduler."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from citydata import settings
from citydata.service import inputs
from tests.end_to_end.running_platform import Platform

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]


def test_every_invoice_line_is_in_the_mart_to_the_cent(real: Platform) -> None:
    assert real.outcome.failures == []
    assert real.outcome.held == []
    file = inputs.read(settings.ROOT / "tests" / "real_input.yaml")["finance.purchase_invoices"]
    expected, lines = _totals(file)
    assert lines == 229
    rows = real.query(
        "SELECT supplier_name_on_invoice, fiscal_year, sum(amount_net), count(*) FROM mart_finance.purchase GROUP BY 1, 2"
    )
    assert {(name, year): total for name, year, total, _ in rows} == expected
    assert sum(count for *_, count in rows) == lines


def _totals(file: Path) -> tuple[dict[tuple[str, int], Decimal], int]:
    """Sums by supplier and year as the file has them, read with nothing of the platform."""
    totals: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text, delimiter=";"))
    for row in rows:
        amount = row["Summa alv 0 EUR"].replace(" ", "").replace("\u00a0", "").replace(",", ".")
        totals[row["Toimittajan nimi"].strip(), int(row["Tilikausi"])] += Decimal(amount)
    return dict(totals), len(rows)
