"""How long the invoices' suite takes on a generated ledger, against one hand-written scan of the same rules.

Run: `PYTHONPATH=include:. .venv/bin/python -m tests.benchmarks.suite --rows 1000000`.
"""

import argparse
import os
import secrets
import time
from collections.abc import Callable
from typing import Any

from citydata import database, deploy
from citydata.service.postgres import temporary_cluster

TARGET = 2.0
DATASET = "finance.purchase_invoices"

LEDGER = """
CREATE UNLOGGED TABLE landing.b1 AS
SELECT n AS _row, '638' AS municipality_code, 'Porvoo' AS municipality_name,
       (2020 + n % 6)::smallint AS fiscal_year,
       (2020 + n % 6) || '-' || lpad((1 + n / 7 % 12)::text, 2, '0') AS voucher_month,
       (n % 6) || lpad((n / 18)::text, 8, '0') AS voucher_number,
       (4300 + n % 97)::text AS account, 'Tili ' || (4300 + n % 97) AS account_name,
       'Toimittaja ' || (n / 18) % 2000 || ' Oy' AS supplier_name,
       (ARRAY['0109357-9', '0134698-6', '0113747-1', '0112305-3', '0116510-6', '0136154-5'])[1 + n % 6] AS supplier_business_id,
       'Helsinki' AS supplier_municipality, 'Lautakunta ' || n % 12 AS board, 'Tulosalue ' || n % 30 AS result_area,
       ((n * 7919 % 1000003) / 100.0 + 0.01)::numeric(14, 2) AS amount_net
FROM generate_series(1::bigint, {rows}) AS n
"""

REFERENCES = """
CREATE TEMPORARY TABLE current_finance__accounts AS
SELECT DISTINCT account, account_name AS name FROM landing.b1;
CREATE TEMPORARY TABLE current_finance__suppliers AS
SELECT DISTINCT supplier_business_id AS business_id FROM landing.b1;
CREATE TEMPORARY TABLE current_finance__organisation_units AS
SELECT DISTINCT 'toimielin' AS level, board AS name FROM landing.b1
UNION SELECT DISTINCT 'tulosalue', result_area FROM landing.b1;
"""

# What somebody who knows the rules would write: the first sixteen checks of the suite, in one statement.
BY_HAND = """
SELECT count(*),
  count(*) FILTER (WHERE NOT (CASE WHEN supplier_business_id ~ '^[0-9]{7}-[0-9]$' THEN
    (7 * substr(supplier_business_id, 1, 1)::int + 9 * substr(supplier_business_id, 2, 1)::int
     + 10 * substr(supplier_business_id, 3, 1)::int
     + 5 * substr(supplier_business_id, 4, 1)::int + 8 * substr(supplier_business_id, 5, 1)::int
     + 4 * substr(supplier_business_id, 6, 1)::int
     + 2 * substr(supplier_business_id, 7, 1)::int + substr(supplier_business_id, 9, 1)::int) % 11 = 0 ELSE false END)),
  count(*) FILTER (WHERE supplier_business_id IS NULL),
  count(*) FILTER (WHERE supplier_business_id NOT IN (SELECT business_id FROM current_finance__suppliers)),
  count(*) FILTER (WHERE account NOT IN (SELECT account FROM current_finance__accounts)),
  count(*) FILTER (WHERE (account, account_name) NOT IN (SELECT account, name FROM current_finance__accounts)),
  count(*) FILTER (WHERE board NOT IN (
    SELECT name FROM current_finance__organisation_units WHERE level = 'toimielin')),
  count(*) FILTER (WHERE result_area NOT IN (
    SELECT name FROM current_finance__organisation_units WHERE level = 'tulosalue')),
  count(*) FILTER (WHERE board IS NULL OR result_area IS NULL),
  count(*) FILTER (WHERE NOT (supplier_name ~ '[[:alpha:]]{2}'
    AND lower(btrim(supplier_name)) NOT IN ('ei tiedossa', 'tuntematon', 'okänd', 'null', 'n/a'))),
  count(*) FILTER (WHERE left(voucher_month, 4) <> fiscal_year::text),
  count(*) FILTER (WHERE voucher_month > '2026-04'),
  date '2026-03-02' - max(to_date(voucher_month, 'YYYY-MM')),
  count(*) FILTER (WHERE voucher_number IN (SELECT voucher_number FROM landing.b1
    GROUP BY 1 HAVING min(fiscal_year) <> max(fiscal_year))),
  count(*) FILTER (WHERE voucher_number IN (SELECT voucher_number FROM landing.b1
    GROUP BY 1 HAVING min(supplier_name) <> max(supplier_name))),
  count(*) FILTER (WHERE fiscal_year NOT BETWEEN 1995 AND 2027),
  count(*) FILTER (WHERE amount_net = 0)
FROM landing.b1
"""

PARAMETERS = {"observed_on": "2026-03-02", "reference_rows": None, "town_municipality_code": "638"}


def best(action: Callable[[], Any], times: int = 3) -> float:
    """Seconds of the fastest run: other work on the machine only ever adds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return min(taken)


def main() -> None:
    """Generate the ledger, judge it both ways and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with temporary_cluster() as cluster:
        os.environ["CITYDATA_DATABASE_URL"] = cluster.ensure_database("bench")
        for role in deploy.login_roles():
            os.environ[f"CITYDATA_PASSWORD_{role.upper()}"] = secrets.token_hex(8)
        deploy.deploy()
        with database.connect("loader", autocommit=True) as connection:
            connection.execute(LEDGER.format(rows=rows))
            connection.execute("ANALYZE landing.b1")
        started = time.perf_counter()
        from citydata import suite

        print(f"{'import Great Expectations':<32}{time.perf_counter() - started:6.2f} s")
        checks = suite.load(DATASET).checks
        with suite.Runner() as runner:
            runner.connection.execute(REFERENCES)
            by_hand = best(lambda: runner.connection.execute(BY_HAND).fetchall())
            print(f"{'one hand-written scan, 16 rules':<32}{by_hand:6.2f} s  {rows} rows")
            for number in (16, len(checks)):
                taken = best(lambda n=number: runner.run(checks[:n], "b1", PARAMETERS, schema="landing"))
                print(
                    f"{f'suite of {number} checks':<32}{taken:6.2f} s  {taken / by_hand:.2f} × the scan (at most {TARGET})"
                )
            for check in checks:
                taken = best(lambda one=check: runner.run((one,), "b1", PARAMETERS, schema="landing"), 1)
                print(f"  {check.id.removeprefix(DATASET + '.'):<30}{taken:6.2f} s")


if __name__ == "__main__":
    main()
