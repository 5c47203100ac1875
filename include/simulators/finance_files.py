"""The nightly exports of the financial system: four kinds of file in a drop directory.

A file is written under a temporary name, renamed, and followed by an empty `<file>.done`. Every day has the current
fiscal year to date, suppliers, accounts and organisation; a closed year comes on day 0 and when it changed.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable, Collection
from pathlib import Path

from citydata import town
from simulators import date_of, random_for
from simulators.invoices import Books, Line, books_of, in_export_order

DATASETS = ("finance.purchase_invoices", "finance.suppliers", "finance.accounts", "finance.organisation_units")
INVOICE_HEADER = (
    "Kuntanumero",
    "Kunnan nimi",
    "Tilikausi",
    "Tositekuukausi",
    "Tositenumero",
    "Tili",
    "Tilin nimi",
    "Toimittajan nimi",
    "Toimittajan Y-tunnus",
    "Toimittajan kunta (YTJ)",
    "Toimielin",
    "Tulosalue",
    "Summa alv 0 EUR",
)
SUPPLIER_HEADER = ("Toimittajan nimi", "Y-tunnus", "Kunta (YTJ)")
ACCOUNT_HEADER = ("Tili", "Tilin nimi")
FAULTY_SHARE = 0.002
"""At most this share of a file's rows is broken: far below what a release tolerates."""

Row = list[str]


def decimal_comma(cents: int) -> str:
    """Cents as euros with a decimal comma and no thousands separator."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100},{abs(cents) % 100:02d}"


def _month_13(row: Row) -> None:
    row[3] = f"{row[2]}-13"


def _three_decimals(row: Row) -> None:
    row[12] += "5"


def _no_account(row: Row) -> None:
    row[5] = ""


def _month_first(row: Row) -> None:
    row[3] = f"{row[3][5:]}-{row[3][:4]}"


INVOICE_FAULTS: dict[str, Callable[[Row], None]] = {
    "a month that does not exist": _month_13,
    "three decimals": _three_decimals,
    "an account missing": _no_account,
    "month before year": _month_first,
}


def _break_rows(rows: list[Row], candidates: list[int], rng: random.Random, day: int) -> None:
    """Break a few of the candidate rows, each day starting with another kind of fault."""
    count = min(len(INVOICE_FAULTS), int(len(rows) * FAULTY_SHARE), len(candidates))
    faults = list(INVOICE_FAULTS.values())
    for turn, position in enumerate(rng.sample(candidates, count)):
        faults[(day + turn) % len(faults)](rows[position])


def _invoice_row(line: Line) -> Row:
    here = town.load()  # the town whose contracts the files are for, whatever the synthetic one is called
    return [
        here.municipality_code,
        here.name_fi,
        str(line.fiscal_year),
        line.voucher_month,
        line.voucher_number,
        line.account,
        line.account_name,
        line.supplier_name,
        line.supplier_business_id,
        line.supplier_municipality,
        line.board,
        line.result_area,
        decimal_comma(line.cents),
    ]


def _invoices(books: Books, seed: int, year: int, faults: bool) -> bytes:
    lines = in_export_order(books.lines[year])
    rows = [_invoice_row(line) for line in lines]
    if faults:
        # New rows break, and the next export has them right: quarantine must be able to heal.
        new = [position for position, line in enumerate(lines) if line.entered_on == books.day]
        _break_rows(rows, new, random_for(seed, "faults", year, books.day), books.day)
    return _csv(INVOICE_HEADER, rows)


def _suppliers(books: Books, seed: int, faults: bool) -> bytes:
    rows = sorted(
        (
            [supplier.name, supplier.business_id, supplier.municipality]
            for supplier in books.suppliers
            if supplier.business_id
        ),
        key=lambda row: row[1],
    )
    if faults and int(len(rows) * FAULTY_SHARE * 2):
        rng = random_for(seed, "faults", "suppliers", books.day)
        broken = rng.choice(rows)
        # On even days an id is lost, on odd days its check digit is mistyped.
        broken[1] = "" if books.day % 2 == 0 else f"{broken[1][:-1]}{(int(broken[1][-1]) + 1) % 10}"
    return _csv(SUPPLIER_HEADER, rows)


def _accounts(books: Books) -> bytes:
    return _csv(ACCOUNT_HEADER, [[account, name] for account, name in sorted(books.accounts.items())])


def _organisation(books: Books) -> bytes:
    units = {"toimielin": books.boards, "tulosalue": books.result_areas}
    return json.dumps(units, ensure_ascii=False, indent=1).encode()


def _csv(header: tuple[str, ...], rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def files(
    *, seed: int, scale: float, day: int, datasets: Collection[str] | None = None, faults: bool = True
) -> dict[str, bytes]:
    """The files of a day by name; ValueError for a dataset that the financial system does not export."""
    chosen = set(DATASETS if datasets is None else datasets)
    if unknown := chosen - set(DATASETS):
        raise ValueError(f"no such finance dataset: {', '.join(sorted(unknown))}; there are {', '.join(DATASETS)}")
    books = books_of(seed, scale, day)
    today = date_of(day)
    made: dict[str, bytes] = {}
    if "finance.purchase_invoices" in chosen:
        for year in sorted(books.changed_years):
            made[f"finance/ostolaskut-{year}_{today}.csv"] = _invoices(books, seed, year, faults)
    if "finance.suppliers" in chosen:
        made[f"finance/toimittajat_{today}.csv"] = _suppliers(books, seed, faults)
    if "finance.accounts" in chosen:
        made[f"finance/tilit_{today}.csv"] = _accounts(books)
    if "finance.organisation_units" in chosen:
        made[f"finance/organisaatio_{today}.json"] = _organisation(books)
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


def write_complete(path: Path, content: bytes) -> bool:
    """Write a file as a careful exporter does, marker last; False when it stood there with equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = path.with_name(f"{path.name}.done")
    written = not (path.exists() and path.read_bytes() == content)
    if written:
        done.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(content)
        os.replace(temporary, path)
    done.touch()
    return written
