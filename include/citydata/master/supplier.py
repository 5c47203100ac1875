"""Suppliers: which business id does a supplier belong to that a source writes by name?

Deterministic rules, in this order; the first that applies decides:

1. `business_id` (score 1): the source gives a business id whose check digit is right.
2. `name_and_municipality` (score 0.95): name and home municipality are those of exactly one business id.
3. `name` (score 0.85): the source does not know the municipality, and the name is that of exactly one business id.
4. `unmatched` (score 0): anything else, with the reason. Two business ids with one name are never guessed between.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any

from psycopg import Connection
from stdnum.fi import ytunnus

from citydata.master.names import match_name

# What YTJ's extract writes when it has no home municipality.
UNKNOWN_MUNICIPALITIES = frozenset({"", "ei tiedossa", "ulkomaat"})


@dataclass(frozen=True)
class Record:
    """A supplier as one source writes it."""

    dataset: str
    source_id: str
    name: str | None
    business_id: str | None
    municipality: str | None


@dataclass(frozen=True)
class Link:
    """The business id that a record was linked to, and how; name and municipality stand for a record without one."""

    dataset: str
    source_id: str
    business_id: str | None
    match_name: str
    municipality: str
    rule: str
    score: Decimal
    reason: str | None


def _valid(business_id: str | None) -> str | None:
    if business_id is None or not ytunnus.is_valid(business_id):
        return None
    return str(ytunnus.format(business_id))


def _known(municipality: str | None) -> str:
    text = (municipality or "").strip().casefold()
    return "" if text in UNKNOWN_MUNICIPALITIES else text


def link(records: Iterable[Record]) -> list[Link]:
    """Link every record by the rules of this module; the same records in any order give the same links."""
    records = list(records)
    by_name: dict[str, set[str]] = defaultdict(set)
    by_name_and_municipality: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        business_id = _valid(record.business_id)
        if business_id and record.name:
            name = match_name(record.name)
            by_name[name].add(business_id)
            if municipality := _known(record.municipality):
                by_name_and_municipality[name, municipality].add(business_id)

    def linked(record: Record) -> Link:
        name, municipality = match_name(record.name or ""), _known(record.municipality)

        def result(rule: str, score: str, business_id: str | None, reason: str | None = None) -> Link:
            return Link(record.dataset, record.source_id, business_id, name, municipality, rule, Decimal(score), reason)

        if business_id := _valid(record.business_id):
            return result("business_id", "1.000", business_id)
        why = "the business id fails its check" if record.business_id else "the source gives no business id"
        here = by_name_and_municipality.get((name, municipality), set()) if municipality else set()
        anywhere = by_name.get(name, set())
        if len(here) == 1:
            return result("name_and_municipality", "0.950", next(iter(here)))
        if len(here) > 1 or len(anywhere) > 1:
            count = max(len(here), len(anywhere))
            return result("unmatched", "0.000", None, f"{why}, and {count} business ids have the name")
        if anywhere and not municipality:
            return result("name", "0.850", next(iter(anywhere)))
        if anywhere:
            return result("unmatched", "0.000", None, f"{why}, and that name's business id has another municipality")
        return result("unmatched", "0.000", None, f"{why}, and no business id has the name")

    return [linked(record) for record in records]


STAGING = ("stg_finance__suppliers", "stg_finance__purchase_invoices")
"""Staging models that are matched."""
SOURCES = """
SELECT 'finance.suppliers', business_id, name, business_id, municipality
FROM staging.stg_finance__suppliers
WHERE business_id IS NOT NULL
UNION ALL
SELECT DISTINCT
    'finance.purchase_invoices', supplier_source_id, supplier_name, supplier_business_id, supplier_municipality
FROM staging.stg_finance__purchase_invoices
"""

TABLE = """
CREATE TABLE IF NOT EXISTS master_link.supplier (
    dataset text NOT NULL,
    source_id text NOT NULL,
    business_id text,
    match_name text NOT NULL,
    municipality text NOT NULL,
    rule text NOT NULL CHECK (rule IN ('business_id', 'name_and_municipality', 'name', 'unmatched')),
    score numeric(4,3) NOT NULL,
    reason text,
    PRIMARY KEY (dataset, source_id),
    CHECK ((business_id IS NULL) = (rule = 'unmatched')),
    CHECK ((reason IS NOT NULL) = (rule = 'unmatched'))
)
"""


def prepare(connection: Connection[Any]) -> None:
    """Make the table of links where it is missing."""
    connection.execute(TABLE)


def match(connection: Connection[Any]) -> int:
    """Replace the links of suppliers by those of what staging shows now; returns how many there are."""
    links = link(Record(*row) for row in connection.execute(SOURCES))
    connection.execute("DELETE FROM master_link.supplier")
    with connection.cursor() as cursor, cursor.copy("COPY master_link.supplier FROM STDIN") as copy:
        for one in links:
            copy.write_row(astuple(one))
    connection.execute("ANALYZE master_link.supplier")
    return len(links)
