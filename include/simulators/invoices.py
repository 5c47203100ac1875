"""The purchase ledger of the synthetic town, day by day.

What a day does after day 0 (each kind happens every day unless said otherwise):
- new vouchers, some with several lines, one of them with two equal lines;
- corrected amounts, and lines deleted from vouchers that stay;
- a voucher reversed by a new voucher with negative amounts;
- a late voucher of an earlier month;
- on every seventh day from day 3 on, one line of the last closed year corrected and one deleted;
- suppliers: new ones, one renamed, on even days one moved, on every third day one removed;
- accounts: day 1 renames one, day 2 adds one that invoices use a day before the chart has it;
- organisation: day 2 adds a result area, day 3 removes one and renames a board.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from itertools import accumulate

from simulators import DAY_ZERO, date_of, random_for, scaled, town

CLOSED_YEARS = 2
NEW_ACCOUNT = ("4345", "Laskutus- ja perintäpalvelut")
LINES_A_YEAR = 12_000
NOT_KNOWN = "\N{EN DASH}"
"""Real organisation lists carry this name for what has none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a purchase invoice, net of VAT, as the export has it."""

    fiscal_year: int
    voucher_month: str
    voucher_number: str
    account: str
    account_name: str
    supplier_name: str
    supplier_business_id: str
    supplier_municipality: str
    board: str
    result_area: str
    cost_centre: str
    cents: int
    entered_on: int = 0
    """The simulated day on which the line first appears."""


@dataclass(slots=True)
class Books:
    """The state of the financial system at the end of a simulated day."""

    day: int
    lines: dict[int, list[Line]] = field(default_factory=dict)
    suppliers: list[town.Supplier] = field(default_factory=list)
    accounts: dict[str, str] = field(default_factory=dict)
    boards: list[str] = field(default_factory=list)
    result_areas: list[str] = field(default_factory=list)
    changed_years: set[int] = field(default_factory=set)
    vouchers_of_year: dict[int, int] = field(default_factory=dict)


class _Buyer:
    """Draws the lines of a voucher: who buys what from whom."""

    def __init__(self, suppliers: list[town.Supplier], rng: random.Random) -> None:
        self.rng = rng
        self.suppliers = suppliers
        # Suppliers without a business id stay below three lines in a thousand, as in a real ledger.
        known = sum(supplier.weight for supplier in suppliers if supplier.business_id)
        unknown = sum(supplier.weight for supplier in suppliers if not supplier.business_id) or 1.0
        self.weights = list(
            accumulate(
                supplier.weight if supplier.business_id else supplier.weight * known / unknown * 0.003
                for supplier in suppliers
            )
        )
        self.units = {sector: [unit for unit in town.UNITS if unit.sector == sector] for sector in town.SECTORS}

    def voucher(self, books: Books, month: str, *, year: int, lines: int = 1, unit_known: bool = True) -> list[Line]:
        rng = self.rng
        number = books.vouchers_of_year[year] = books.vouchers_of_year.get(year, 0) + 1
        supplier = rng.choices(self.suppliers, cum_weights=self.weights)[0]
        name = supplier.name
        if supplier.name_variants and rng.random() < 0.4:
            name = rng.choice(supplier.name_variants)
        trade = supplier.trade
        drawn = []
        for _ in range(lines):
            unit = rng.choice(self.units[rng.choice(trade.sectors)])
            account = trade.accounts[0] if rng.random() < 0.7 else rng.choice(trade.accounts)
            cents = max(1, round(rng.lognormvariate(0, 1.1) * trade.typical_euros * 100))
            if rng.random() < 0.02:
                cents = -cents // 2
            drawn.append(
                Line(
                    year,
                    month,
                    f"2{year % 100:02d}{number:06d}",
                    account,
                    town.ACCOUNTS[account],
                    name,
                    supplier.business_id or "",
                    supplier.municipality,
                    unit.board if unit_known else "",
                    unit.result_area if unit_known else "",
                    unit.cost_centre,
                    cents,
                    books.day,
                )
            )
        return drawn


def _month_before(day: date) -> tuple[int, str]:
    year, month = (day.year, day.month - 1) if day.month > 1 else (day.year - 1, 12)
    return year, f"{year}-{month:02d}"


def _opening_year(books: Books, seed: int, scale: float, year: int) -> list[Line]:
    """All vouchers of a year that were booked before day 0."""
    rng = random_for(seed, "vouchers", year)
    buyer = _Buyer(books.suppliers, rng)
    days = 365 if year < DAY_ZERO.year else DAY_ZERO.timetuple().tm_yday
    vouchers = scaled(LINES_A_YEAR / 1.5 * days / 365, scale, minimum=40)
    lines: list[Line] = []
    for number in range(vouchers):
        # Vouchers are numbered as they arrive; the year is busier towards its end.
        day_of_year = min(days, 1 + int(days * ((number + rng.random()) / vouchers) ** 0.9))
        month = f"{year}-{date.fromordinal(date(year, 1, 1).toordinal() + day_of_year - 1).month:02d}"
        if number < vouchers * 0.003:
            month = f"{year - 1}-12"  # booked in January for December, in the next fiscal year
        count = rng.choices((1, 2, 3, 4, 7), (72, 16, 6, 4, 2))[0]
        drawn = buyer.voucher(books, month, year=year, lines=count, unit_known=rng.random() >= 0.03)
        if rng.random() < 0.004:
            drawn.append(drawn[0])
        lines += drawn
    return lines


def _pick_lines(rng: random.Random, lines: list[Line], count: int) -> list[int]:
    """Positions of old lines with a positive amount, each of another voucher, so that changes do not meet."""
    occurrences: dict[str, int] = {}
    for line in lines:
        occurrences[line.voucher_number] = occurrences.get(line.voucher_number, 0) + 1
    candidates = list(range(len(lines)))
    rng.shuffle(candidates)
    chosen: dict[str, int] = {}
    for position in candidates:
        line = lines[position]
        if line.cents > 0 and occurrences[line.voucher_number] > 1 and line.voucher_number not in chosen:
            chosen[line.voucher_number] = position
            if len(chosen) == count:
                break
    return list(chosen.values())


def _change_lines(books: Books, seed: int, scale: float) -> None:
    today = date_of(books.day)
    rng = random_for(seed, "ledger", books.day)
    buyer = _Buyer(books.suppliers, rng)
    year, month = today.year, f"{today:%Y-%m}"
    current = books.lines.setdefault(year, [])
    # In the first days of January there is nothing yet to correct in the new year.
    older_year = year if len(current) > 30 else year - 1
    old = books.lines[older_year]

    corrected, deleted, reversed_ = (scaled(count, scale) for count in (4, 1.5, 2))
    positions = _pick_lines(rng, old, corrected + deleted + reversed_)
    for position in positions[:corrected]:
        old[position] = replace(
            old[position], cents=old[position].cents + rng.choice((-1, 1, 1)) * rng.randint(1, 90_00) * 10
        )
    reversals = [
        [line for line in old if line.voucher_number == old[position].voucher_number]
        for position in positions[corrected + deleted :]
    ]
    gone = set(positions[corrected : corrected + deleted])
    books.lines[older_year] = [line for position, line in enumerate(old) if position not in gone]
    current = books.lines[year]

    for voucher in reversals:
        number = books.vouchers_of_year[year] = books.vouchers_of_year.get(year, 0) + 1
        current += [
            replace(
                line,
                fiscal_year=year,
                voucher_month=month,
                voucher_number=f"2{year % 100:02d}{number:06d}",
                cents=-line.cents,
                entered_on=books.day,
            )
            for line in voucher
        ]
    for _ in range(scaled(24, scale, minimum=5)):
        count = rng.choices((1, 2, 3, 5), (70, 18, 8, 4))[0]
        current += buyer.voucher(books, month, year=year, lines=count, unit_known=rng.random() >= 0.03)
    twice = buyer.voucher(books, month, year=year)
    current += twice + twice
    late_year, late_month = _month_before(today)
    for _ in range(scaled(1.5, scale)):
        books.lines[late_year] += buyer.voucher(books, late_month, year=late_year)
    if books.day >= 2:
        drawn = buyer.voucher(books, month, year=year)[0]
        current.append(replace(drawn, account=NEW_ACCOUNT[0], account_name=NEW_ACCOUNT[1]))
    books.changed_years = {year, older_year, late_year}
    if books.day % 7 == 3:
        _correct_closed_year(books, rng, year - 1)


def _correct_closed_year(books: Books, rng: random.Random, year: int) -> None:
    lines = books.lines[year]
    corrected, deleted = _pick_lines(rng, lines, 2)
    lines[corrected] = replace(lines[corrected], cents=lines[corrected].cents + 12_50)
    del lines[deleted]
    books.changed_years.add(year)


def _change_registers(books: Books, seed: int, scale: float) -> None:
    rng = random_for(seed, "registers", books.day)
    count = scaled(0.8, scale)
    start = scaled(400, scale, minimum=24) + (books.day - 1) * count + 1
    positions = rng.sample([i for i, s in enumerate(books.suppliers) if s.business_id], 3)
    renamed = books.suppliers[positions[0]]
    books.suppliers[positions[0]] = replace(
        renamed, name=f"{renamed.name.removesuffix(' uusi nimi')} uusi nimi", name_variants=()
    )
    if books.day % 2 == 0:
        moved = books.suppliers[positions[1]]
        books.suppliers[positions[1]] = replace(
            moved, municipality="Loviisa" if moved.municipality != "Loviisa" else "Porvoo"
        )
    if books.day % 3 == 0:
        del books.suppliers[positions[2]]
    books.suppliers += [town.new_supplier(seed, number) for number in range(start, start + count)]
    if books.day == 1:
        books.accounts["4520"] = "Elintarvikkeet ja juomat"
    if books.day == 2:
        books.result_areas.append("Hyvinvoinnin edistäminen")
    if books.day == 3:
        books.accounts[NEW_ACCOUNT[0]] = NEW_ACCOUNT[1]
        books.result_areas.remove("Tilintarkastus")
        books.boards[books.boards.index("Lupa- ja ympäristölautakunta")] = "Lupa- ja valvontalautakunta"


@lru_cache(maxsize=4)
def _opening(seed: int, scale: float) -> Books:
    books = Books(day=0, suppliers=town.suppliers(seed, scale), accounts=dict(town.ACCOUNTS))
    books.boards = [*sorted({unit.board for unit in town.UNITS}), NOT_KNOWN]
    books.result_areas = [*sorted({unit.result_area for unit in town.UNITS}), NOT_KNOWN]
    for year in range(DAY_ZERO.year - CLOSED_YEARS, DAY_ZERO.year + 1):
        books.lines[year] = _opening_year(books, seed, scale, year)
        books.changed_years.add(year)
    return books


def books_of(seed: int, scale: float, day: int) -> Books:
    """The books at the end of a simulated day, replayed from day 0."""
    date_of(day)
    opening = _opening(seed, scale)
    books = replace(
        opening,
        lines={year: list(lines) for year, lines in opening.lines.items()},
        suppliers=list(opening.suppliers),
        accounts=dict(opening.accounts),
        boards=list(opening.boards),
        result_areas=list(opening.result_areas),
        changed_years=set(opening.changed_years),
        vouchers_of_year=dict(opening.vouchers_of_year),
    )
    for simulated in range(1, day + 1):
        books.day = simulated
        _change_registers(books, seed, scale)
        _change_lines(books, seed, scale)
    return books


def in_export_order(lines: Iterable[Line]) -> list[Line]:
    """By month, as the export lists them; the order of vouchers within a month is that of their entry."""
    return sorted(lines, key=lambda line: line.voucher_month)
