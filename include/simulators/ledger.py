"""A ledger file of any size for benchmarks: nine columns, about 97 bytes a row, written in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulators import town
from simulators.identifiers import business_id

COLUMNS = (
    "voucher_number", "line", "posting_date", "account", "cost_centre", "supplier_business_id", "description", "amount",
    "vat_code",
)  # fmt: skip
"""`posting_date` is dd.MM.yyyy, `amount` has a decimal comma; (voucher_number, line) is unique."""
LINES_A_VOUCHER = 3
CHUNK_ROWS = 120_000
YEAR = 2026
_FIRST_VOUCHER = 2_600_000_000
_ROWS, _CHANGES, _ORDER = range(3)
_join: Any = pc.binary_join_element_wise  # its published types do not know that a separator is a plain string


def write(path: Path | str, *, rows: int, seed: int = 1, shuffled: bool = False, changed_share: float = 0.0) -> int:
    """Write a ledger of `rows` rows and return its size in bytes.

    The same arguments give the same bytes. `shuffled` writes the same rows in another order; `changed_share` gives
    this share of the rows (0 to 1) another amount. Raises ValueError for a share or a count that makes no sense.
    """
    if rows < 0 or not 0 <= changed_share <= 1:
        raise ValueError(f"a ledger has 0 or more rows and a changed share from 0 to 1, not {rows} and {changed_share}")
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(f"{';'.join(COLUMNS)}\n".encode())
        for block in _blocks(rows, seed, shuffled, changed_share):
            file.write(block)
        size = file.tell()
    os.replace(temporary, path)
    return size


def _blocks(rows: int, seed: int, shuffled: bool, changed_share: float) -> Iterator[memoryview]:
    chunks = [(start, min(CHUNK_ROWS, rows - start)) for start in range(0, rows, CHUNK_ROWS)]
    for start, count in reversed(chunks) if shuffled else chunks:
        lines = _lines(seed, start, count, rows, changed_share)
        if shuffled:
            lines = lines.take(_generator(seed, start, _ORDER).permutation(count))
        # Every line ends with its newline, so the characters of the array are the text of the file.
        characters: Any = lines.buffers()[2]
        yield memoryview(characters)[: pc.sum(pc.binary_length(lines)).as_py()]


def _generator(seed: int, start: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, start, purpose))))


def _lines(seed: int, start: int, count: int, rows: int, changed_share: float) -> pa.StringArray:
    rng = _generator(seed, start, _ROWS)
    row = np.arange(start, start + count)
    accounts, cost_centres, business_ids, descriptions, days, fractions, vat_codes = _values()

    def drawn(values: pa.StringArray) -> pa.StringArray:
        return values.take(rng.integers(0, len(values), count))

    cents = np.maximum(rng.lognormal(9.5, 1.2, count), 1).astype(np.int64)
    negative = rng.random(count) < 0.03
    if changed_share:
        # From a generator of its own: the other columns and rows stay as they were.
        changes = _generator(seed, start, _CHANGES)
        cents[changes.choice(count, round(count * changed_share), replace=False)] += 1
    amount = _join(
        pc.if_else(pa.array(negative), "-", ""), pa.array(cents // 100).cast(pa.string()), ",",
        fractions.take(cents % 100), "",
    )  # fmt: skip
    return _join(
        pa.array(_FIRST_VOUCHER + row // LINES_A_VOUCHER).cast(pa.string()),
        pa.array(row % LINES_A_VOUCHER + 1).cast(pa.string()),
        days.take(row * len(days) // max(rows, 1)),
        drawn(accounts), drawn(cost_centres), drawn(business_ids), drawn(descriptions), amount, drawn(vat_codes), ";",
    )  # fmt: skip


@lru_cache(maxsize=1)
def _values() -> tuple[pa.StringArray, ...]:
    """The values that the columns draw from: accounts, cost centres, business ids, descriptions, days, cents, VAT."""
    business_ids = [found for number in range(9_000_000, 9_050_000, 11) if (found := business_id(number))]
    descriptions = [
        f"{name[:20].strip()} / {unit.name_fi[:15].strip()} {month:02d}/{YEAR}"
        for name in town.ACCOUNTS.values()
        for unit in town.UNITS
        for month in range(1, 13)
    ]
    days = [f"{date(YEAR, 1, 1) + timedelta(days=day):%d.%m.%Y}" for day in range(365)]
    return tuple(
        pa.array(values, pa.string())
        for values in (
            list(town.ACCOUNTS), [unit.cost_centre for unit in town.UNITS], business_ids, descriptions, days,
            [f"{cents:02d}" for cents in range(100)], ["A255\n", "A140\n", "A100\n", "A000\n"],
        )
    )  # fmt: skip
