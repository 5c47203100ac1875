"""A backfill as the pages say it is typed: its difference waits for a person, and a refusal leaves no trace."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from citydata import backfill, contract, database, pipeline, transform
from citydata.cli import app
from citydata.commands import invocation
from tests.documentation import typed
from tests.integration.steps import Steps
from tests.integration.transform import raw_rows
from tests.integration.transform.raw_rows import Row
from tests.integration.transform.test_build import content, rows

INVOICES = "finance.purchase_invoices"
MARTS = ("mart_finance.purchase", "mart_finance.supplier_spend")
VERBS = ("resume", "list", "show", "approve", "reject", "cancel")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def delivered(lines: list[Row]) -> str:
    """A file as the ledger's system writes it."""
    columns = {column.name: column.source_name for column in contract.load(INVOICES).columns}

    def text(value: object) -> str:
        return str(value).replace(".", ",") if isinstance(value, Decimal) else "" if value is None else str(value)

    body = [";".join(text(line[name]) for name in columns) for line in lines]
    return "\n".join([";".join(columns.values()), *body, ""])


@pytest.fixture
def town(warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    """A warehouse that was built and released, whose invoices came in a file; a second one corrects 2025."""
    monkeypatch.setenv("CITYDATA_DROP", str(tmp_path / "drop"))
    monkeypatch.setenv("CITYDATA_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(invocation, "installation", lambda: None)  # the environment has the addresses
    steps = Steps(tmp_path)
    before = raw_rows.invoices()
    steps.drop("ostolaskut-1.csv", delivered(before), directory="finance", at=NOON)
    steps.load(INVOICES)
    # The batch that the fixture wrote has no archive: that of the file with the same rows is its own.
    steps.execute(
        "UPDATE ops.batch b SET archive_path = a.archive_path, archive_sha256 = a.archive_sha256 FROM ops.batch a"
        " WHERE a.dataset = b.dataset AND a.archive_path IS NOT NULL AND b.dataset = %s AND b.archive_path IS NULL",
        INVOICES,
    )
    return steps


def corrected() -> list[Row]:
    """The invoices as the second file has them: 2025 has one line more and one less, and of 2026 a line is missing."""
    before = raw_rows.invoices()
    lines = [*before, raw_rows.invoice(fiscal_year=2025, voucher_month="2025-04", voucher_number="more")]
    for year in (2025, 2026):
        lines.remove(next(line for line in before if line["fiscal_year"] == year and before.count(line) == 1))
    return lines


class Pages:
    """What the pages say of `backfill`, by verb; typed for the backfill that is meant, whatever number and reason a page has."""

    def __init__(self) -> None:
        self._left = typed.family("backfill")
        self.number = 0

    def type(self, verb: str, *more: str, code: int = 0) -> str:
        """Type the lines of a verb, `more` after each: an option that the page names beside it. What the last one says."""
        own = [words for words in self._left if (words[1] if words[1] in VERBS else "start") == verb]
        assert own, f"no page has `backfill {verb}`"
        lines = {}
        for words in own:
            line = [str(self.number) if word == "ID" or word.isdigit() else word for word in words]
            lines.setdefault(tuple(word for before, word in pairwise(line) if before != "--reason"), line)
        for line in lines.values():
            result = CliRunner().invoke(app, [*line, *more], input="y\n")
            assert result.exception is None or isinstance(result.exception, SystemExit), line
            assert result.exit_code == code, (line, result.output)
        return " ".join(result.output.split())


def test_the_commands_of_the_pages_from_the_preview_to_the_decision(
    town: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Pages()
    versions, read = town.versions(INVOICES), content(*MARTS)
    [(number,)] = rows("SELECT coalesce(max(backfill_id), 0) FROM ops.backfill")

    # Of half of a file's lines nobody can tell the year: its first window is held, and given up.
    lines = raw_rows.invoices()
    broken = [line | {"fiscal_year": f"{line['fiscal_year']}?"} for line in lines]
    file = town.drop("ostolaskut-2.csv", delivered(lines + broken), directory="finance", at=NOON + timedelta(days=1))
    pages.number = number + 1
    assert "held, batch" in pages.type("start", code=3)
    assert f"./citydata backfill resume {pages.number}" in pages.type("show", code=3)
    assert "are in quarantine" in pages.type("resume", code=3)
    assert INVOICES in pages.type("list")
    assert f"backfill {pages.number} is cancelled" in pages.type("cancel")
    assert town.versions(INVOICES) == versions
    file.unlink()

    # A difference waits: nothing changes before, and a refusal leaves no trace.
    town.drop("ostolaskut-3.csv", delivered(corrected()), directory="finance", at=NOON + timedelta(days=2))
    pages.number += 1
    pages.type("start", "--wait-for-approval", code=3)
    with database.connect("engineer", autocommit=True) as ledger:
        found = backfill.get(ledger, pages.number)
    assert (found.state, found.compared_stale) == ("waiting", {})
    changes = {(one["schema_name"], one["table_name"]): one for one in found.changes}
    purchase = changes["mart_finance", "purchase"]
    assert (purchase["inserted"], purchase["updated"], purchase["deleted"]) == (1, 0, 1)
    assert content(*MARTS) == read
    [(reason, since)] = rows("SELECT reason_en, stale_since FROM mart_finance.freshness WHERE table_name = 'purchase'")
    assert reason.endswith(f"held back by backfill {pages.number} ({INVOICES})")
    assert since is not None
    assert town.versions(INVOICES) != versions
    assert f"./citydata backfill approve {pages.number}" in pages.type("show", code=3)
    assert f"backfill {pages.number} is rejected" in pages.type("reject")
    assert (town.versions(INVOICES), content(*MARTS)) == (versions, read)
    assert rows("SELECT DISTINCT stale_since FROM mart_finance.freshness") == [(None,)]

    # What is approved is released, and then the dataset reads so already.
    pages.number += 1
    pages.type("start", "--wait-for-approval", code=3)
    pages.type("approve")
    assert rows("SELECT count(*) FROM mart_finance.purchase WHERE voucher_number = 'more'") == [(1,)]
    assert rows("SELECT count(*) FROM mart_finance.purchase WHERE fiscal_year = 2026") == [
        (sum(line["fiscal_year"] == 2026 for line in raw_rows.invoices()),)
    ], "nothing outside the windows is closed"
    assert rows("SELECT DISTINCT stale_since FROM mart_finance.freshness") == [(None,)]
    pages.number += 1
    assert "there is nothing to build" in pages.type("start")

    # A rebuild that was killed left a batch unpublished: what is made of the dataset stays as it was until it is whole.
    town.execute(
        "UPDATE ops.batch SET state = 'sealed' WHERE batch_id ="
        " (SELECT min(batch_id) FROM ops.batch WHERE dataset = %s AND published_at IS NOT NULL AND state = 'published')",
        INVOICES,
    )
    read = content(*MARTS)
    monkeypatch.setattr(transform, "_run", lambda *_: {})  # it is stale whatever dbt says
    _, released = pipeline.build_and_release()
    assert f"./citydata batch rebuild {INVOICES}" in released.stale["finance"]
    assert content(*MARTS) == read
