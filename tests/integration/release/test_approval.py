"""The difference of a backfill waits for a person: nothing that people read changes before, and a refusal leaves no trace."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from citydata import backfill, contract, database, pipeline, schedule
from tests.integration.steps import Steps
from tests.integration.transform import raw_rows
from tests.integration.transform.raw_rows import Row
from tests.integration.transform.test_build import content, rows

INVOICES = "finance.purchase_invoices"
MARTS = ("mart_finance.purchase", "mart_finance.supplier_spend")
CHOICE = {"reason": "kirjaukset oikaistiin", "person": "talousjohtaja"}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def delivered(lines: list[Row]) -> str:
    """A file as the ledger's system writes it."""
    columns = {column.name: column.source_name for column in contract.load(INVOICES).columns}

    def text(value: object) -> str:
        return str(value).replace(".", ",") if isinstance(value, Decimal) else "" if value is None else str(value)

    body = [";".join(text(line[name]) for name in columns) for line in lines]
    return "\n".join([";".join(columns.values()), *body, ""])


def test_a_difference_waits_and_changes_nothing_before_and_leaves_nothing_when_it_is_refused(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYDATA_DROP", str(tmp_path / "drop"))
    monkeypatch.setenv("CITYDATA_ARCHIVE", str(tmp_path / "archive"))
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
    # 2025 has one line more and one less; a line of 2026 is missing from the same file.
    lines = [*before, raw_rows.invoice(fiscal_year=2025, voucher_month="2025-04", voucher_number="more")]
    for year in (2025, 2026):
        lines.remove(next(line for line in before if line["fiscal_year"] == year and before.count(line) == 1))
    steps.drop("ostolaskut-2.csv", delivered(lines), directory="finance", at=NOON + timedelta(days=1))
    versions, read = steps.versions(INVOICES), content(*MARTS)

    def read_again(*, approval: bool) -> backfill.Backfill:
        seen = backfill.preview(INVOICES, *schedule.window("2025-01-01", "2026-01-01"))
        return backfill.proceed(backfill.begin(seen, approval=approval, **CHOICE))

    with database.connect("engineer", autocommit=True) as ledger:
        found = read_again(approval=True)
        assert found.state == "comparing"
        number = found.backfill_id
        pipeline.build_and_release()  # as any dataset's event makes it
        found = backfill.get(ledger, number)

        assert (found.state, found.compared_stale) == ("waiting", {})
        changes = {(one["schema_name"], one["table_name"]): one for one in found.changes}
        purchase = changes["mart_finance", "purchase"]
        assert (purchase["inserted"], purchase["updated"], purchase["deleted"]) == (1, 0, 1)
        assert content(*MARTS) == read
        [(reason, since)] = rows(
            "SELECT reason_en, stale_since FROM mart_finance.freshness WHERE table_name = 'purchase'"
        )
        assert reason.endswith(f"held back by backfill {number} ({INVOICES})")
        assert since is not None
        assert steps.versions(INVOICES) != versions

        found = backfill.reject(number, **CHOICE)
        assert (found.state, found.decided_by) == ("rejected", "talousjohtaja")
        assert steps.versions(INVOICES) == versions

    # What was compared stands in the tables that builds write, and is no more to be seen after the next one.
    assert read_again(approval=False).state == "done"
    _, released = pipeline.build_and_release()
    assert released.stale == {}
    assert [
        (one.inserted, one.updated, one.deleted)
        for one in released.changes
        if (one.schema, one.table) == ("mart_finance", "purchase")
    ] == [(1, 0, 1)]
    assert rows("SELECT count(*) FROM mart_finance.purchase WHERE voucher_number = 'more'") == [(1,)]
    assert rows("SELECT DISTINCT stale_since FROM mart_finance.freshness") == [(None,)]

    # A rebuild that was killed left a batch unpublished: what is made of the dataset stays as it was until it is whole.
    steps.execute(
        "UPDATE ops.batch SET state = 'sealed' WHERE batch_id ="
        " (SELECT min(batch_id) FROM ops.batch WHERE dataset = %s AND published_at IS NOT NULL AND state = 'published')",
        INVOICES,
    )
    read = content(*MARTS)
    _, released = pipeline.build_and_release()
    assert f"./citydata batch rebuild {INVOICES}" in released.stale["finance"]
    assert content(*MARTS) == read
