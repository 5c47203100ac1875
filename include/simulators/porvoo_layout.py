"""A file in the layout in which Porvoo itself publishes its purchase invoices, for a closed year.

Other columns than the national guide's, latin-1, gross amounts with a space between thousands and a decimal comma, and
apostrophes, paired and alone, in two text columns.
"""

from __future__ import annotations

from pathlib import Path

from simulators import DAY_ZERO, random_for, town
from simulators.finance_files import write_complete
from simulators.invoices import Line, books_of

HEADER = (
    "Tositenumero", "Tositelaji", "Kustannuspaikka", "Kustannuspaikan nimi", "Selite", "EUR, brutto", "Rondo ID",
)  # fmt: skip
ENCODING = "latin-1"
_VAT_PERCENT = {"4520": 14, "4410": 14, "4510": 14, "4420": 14, "4742": 0, "4370": 0, "4820": 0}
_GENERAL_VAT_PERCENT = 24
_UNIT_OF_COST_CENTRE = {unit.cost_centre: unit for unit in town.UNITS}


def grouped(cents: int) -> str:
    """Cents as euros with a space between thousands and a decimal comma."""
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", " ,"))


def content(*, seed: int, scale: float, year: int = DAY_ZERO.year - 1) -> bytes:
    """The published file of a closed year; ValueError for a year that the synthetic books do not have."""
    books = books_of(seed, scale, 0)
    if year not in books.lines or year >= DAY_ZERO.year:
        closed = ", ".join(str(known) for known in books.lines if known < DAY_ZERO.year)
        raise ValueError(f"{year} is not a closed fiscal year of the synthetic town; there are {closed}")
    rng = random_for(seed, "porvoo layout", year)
    rows = [";".join(HEADER)]
    for number, line in enumerate(books.lines[year]):
        if not line.supplier_business_id:
            continue  # the city does not publish suppliers without a business id
        gross = line.cents * (100 + _VAT_PERCENT.get(line.account, _GENERAL_VAT_PERCENT)) // 100
        rows.append(";".join((
            line.voucher_number, "OL" if line.cents > 0 else "OH", line.cost_centre, _cost_centre_name(line),
            _description(line, rng.random()), grouped(gross), f"R{year}{number:07d}",
        )))  # fmt: skip
    return "\r\n".join([*rows, ""]).encode(ENCODING)


def _cost_centre_name(line: Line) -> str:
    name = _UNIT_OF_COST_CENTRE[line.cost_centre].name_fi
    return f"Päiväkoti '{name.removeprefix('Päiväkoti ')}'" if name.startswith("Päiväkoti ") else name


def _description(line: Line, draw: float) -> str:
    text = f"{line.account_name}, {line.supplier_name}"
    if draw < 0.05:
        return f"'{text}'"
    return f"{text} {line.voucher_month[5:]}'{line.voucher_month[2:4]}" if draw < 0.1 else text


def write(directory: Path | str, *, seed: int, scale: float, year: int = DAY_ZERO.year - 1) -> Path:
    """Write the published file of a closed year with its `.done` marker; the same bytes are not written twice."""
    path = Path(directory) / f"ostolaskudata-{year}-porvoon-kaupunki.csv"
    write_complete(path, content(seed=seed, scale=scale, year=year))
    return path
