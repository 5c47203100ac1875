"""A sealed made-up register in a deployed database, and its site as files."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from citydata import database
from citydata.governance.snapshot import Figure
from citydata.portal import static_site
from citydata.quality import CheckResult, record
from tests.browser import browser
from tests.unit.portal import made_up

__all__ = ["browser"]

BATCH = (
    "INSERT INTO ops.batch (dataset, mode, contract_version, contract_hash, state, extracted, landed, inserted, held)"
    " VALUES (%s, 'snapshot', '1.0.0', 'x', %s, 12000, 12000, %s, %s)"
)


@pytest.fixture
def sealed(platform: Path) -> Figure:
    """The figure of the last of three made-up days, with batches, results of checks and an entry of the register."""
    with database.connect("measurer") as connection:
        figure = made_up.seal(connection, datetime.now(UTC))
        connection.execute(
            "INSERT INTO governance.register (kind, id, body, origin) VALUES"
            " ('datasets', 'dataset_3', '{\"description_fi\": \"Kirjanpidon tilit\"}', 'inventory'),"
            " ('people', 'laskentapaallikko', '{\"title_fi\": \"Laskentapäällikkö\"}', 'inventory')"
        )
    with database.connect("loader") as connection:
        connection.execute(BATCH, ("finance.accounts", "published", 12000, 0))
        connection.execute(BATCH, ("finance.suppliers", "held", 0, 12000))
        common = {"source": "suite", "dataset": "finance.accounts", "dimension": "correctness", "evaluated": 12000}
        known = "finance.accounts.account_in_a_class"
        results = [
            {"check_id": known, "severity": "critical", "outcome": "fail", "unexpected": 12, "description": "Older."},
            {"check_id": known, "severity": "critical", "outcome": "pass", "unexpected": 0, "description": "Newer."},
            {
                "check_id": "odd",
                "severity": "warning",
                "outcome": "error",
                "unexpected": None,
                "description": "No suite.",
            },
        ]
        for result in results:
            record(connection, [CheckResult(**common, **result)])
    return figure


@pytest.fixture
def portal(sealed: Figure) -> Iterator[psycopg.Connection]:
    """A connection as the role of the portal."""
    with database.connect("portal", autocommit=True) as connection:
        yield connection


@pytest.fixture
def site(portal: psycopg.Connection, tmp_path: Path) -> Path:
    """The site of the sealed figure as files."""
    static_site.write(portal, tmp_path / "site")
    return tmp_path / "site"
