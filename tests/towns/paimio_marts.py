"""What must hold of Paimio's warehouse once its files were read, whoever started the platform."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from citydata.service import inputs

Query = Callable[[str], list[tuple[Any, ...]]]

HERE = Path(__file__).parent / "paimio"
MANIFEST = HERE / "real_input.yaml"
ENVIRONMENT = {
    "CITYDATA_TOWN": str(HERE / "town.yaml"),
    "CITYDATA_CONTRACTS": str(HERE / "contracts"),
    "CITYDATA_INVENTORY": str(HERE / "inventory"),
}
"""The settings that select the town."""
REAL_LINES = 229


def check_marts(query: Query, manifest: Path | None, drop: Path | None = None) -> None:
    """Assert that every invoice line is in the mart, to the cent, or in quarantine, and that the town has nothing else.

    `manifest` names the real files; without it the synthetic ones are looked for in the directory `drop`.
    """
    if manifest:
        files = [inputs.read(manifest)["finance.purchase_invoices"]]
    else:
        assert drop is not None
        newest = {path.name.partition("_")[0]: path for path in sorted((drop / "finance").glob("ostolaskut-*.csv"))}
        files = list(newest.values())
    totals, lines, refused = _expected(files)
    assert lines > 200
    if manifest:
        assert (lines, refused) == (REAL_LINES, 0)
    rows = query(
        "SELECT supplier_name_on_invoice, fiscal_year, sum(amount_net), count(*) FROM mart_finance.purchase GROUP BY 1, 2"
    )
    assert {(name, year): (total, count) for name, year, total, count in rows} == totals
    quarantined = "SELECT count(*) FROM quarantine.finance WHERE dataset = 'finance.purchase_invoices'"
    assert query(f"{quarantined} AND cardinality(reasons) > 0") == query(quarantined) == [(refused,)]
    spend = "SELECT sum(amount_net), sum(line_count) FROM mart_finance.supplier_spend"
    assert query(spend) == query("SELECT sum(amount_net), count(*) FROM mart_finance.purchase")
    _check_that_there_is_nothing_else(query)


def _expected(files: Iterable[Path]) -> tuple[dict[tuple[str, int], tuple[Decimal, int]], int, int]:
    """Sums and lines by supplier and year, all lines, and those that must be refused; read with nothing of the platform."""
    totals: dict[tuple[str, int], Decimal] = {}
    counts: Counter[tuple[str, int]] = Counter()
    lines = refused = 0
    for file in files:
        with file.open(encoding="utf-8-sig", newline="") as text:
            for row in csv.DictReader(text, delimiter=";"):
                lines += 1
                amount = re.sub(r"[ \u00a0]", "", row["Summa alv 0 EUR"])
                month = re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", row["Tositekuukausi"])
                if not (month and row["Tili"] and re.fullmatch(r"-?\d+,\d\d", amount)):
                    refused += 1
                    continue
                key = row["Toimittajan nimi"].strip(), int(row["Tilikausi"])
                totals[key] = totals.get(key, Decimal(0)) + Decimal(amount.replace(",", "."))
                counts[key] += 1
    return {key: (total, counts[key]) for key, total in totals.items()}, lines, refused


def _check_that_there_is_nothing_else(query: Query) -> None:
    schemas = query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^mart_' ORDER BY 1")
    assert schemas == [("mart_finance",), ("mart_open",)]
    assert query("SELECT DISTINCT group_name, state FROM ops.release_group ORDER BY 1") == [
        ("finance", "released"),
        ("shared", "released"),
    ]
    # Without Swedish names the columns hold the Finnish ones and say so; only what is not known is “Okänd”.
    assert query("SELECT DISTINCT board_sv FROM mart_finance.purchase WHERE board_sv <> board_fi") in ([], [("Okänd",)])
    assert query("SELECT count(*) FROM mart_finance.purchase WHERE account_name_sv <> account_name_fi") == [(0,)]
    assert query("SELECT DISTINCT name_sv_is_fallback FROM master.account") == [(True,)]
    # Comments in the database are in the official language and in English.
    [(comment,)] = query("SELECT col_description('raw.finance__accounts'::regclass, 1)")
    assert re.fullmatch(r"fi: .+ \| en: .+", comment)
    # Something is governed, something is not, and systems that nobody has mapped weigh.
    [(governed, registered, unmapped)] = query(
        "SELECT n, m, u FROM governance.snapshot ORDER BY snapshot_id DESC LIMIT 1"
    )
    assert 0 < governed < registered == 12
    assert unmapped > 0
