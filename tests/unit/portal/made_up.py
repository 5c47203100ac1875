"""A register of thirty datasets that no town has, as it was judged on some days, to show on the portal's pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

from citydata import town
from citydata.governance import evidence, share, snapshot
from citydata.governance.evidence import CRITERIA, Evidence
from citydata.governance.share import Judged
from citydata.governance.snapshot import CountedSystem, Figure

NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script> & \"sitaatti\""
CONTRACTS = ("finance.accounts", "finance.suppliers")


def systems() -> list[CountedSystem]:
    """Six mapped systems, two that are known, and one find of each kind."""
    sectors = [sector.code for sector in town.load().sectors]
    mapped = [
        CountedSystem(f"system_{n}", f"Järjestelmä {n}", f"Systemet {n}", sectors[n % len(sectors)], "inventory", True)
        for n in range(6)
    ]
    known = [
        CountedSystem("drive", "Verkkolevy", "Nätverksdisken", sectors[0], "inventory", False),
        CountedSystem("hostile", HOSTILE, HOSTILE, "gone_sector", "inventory", False),
    ]
    found = [
        CountedSystem(
            where, where, where, None, "reconciliation", False, found_in=where, first_seen=NOW - timedelta(days=9)
        )
        for where in ("vendor:1234567-1", "catalogue:hr.payroll", "connection:unknown", "files:drop/new", "elsewhere")
    ]
    return [*mapped, *known, *found]


def judged() -> list[Judged]:
    """Thirty datasets at every level, loaded and not, one with a hostile name and one that vanished."""
    sectors = [sector.code for sector in town.load().sectors]
    entries = []
    for n in range(30):
        level = n % 5
        missing = [name for number, names in evidence.LEVELS.items() if number > level for name in names[: 1 + n % 3]]
        entries.append(
            Judged(
                dataset=f"dataset_{n}",
                unit=f"dataset:dataset_{n}",
                name_fi=f"Tietoaineisto {n}",
                name_sv=f"Datamängden {n}",
                system=f"system_{n % 6}",
                sector=sectors[n % len(sectors)],
                criticality=("core", "important", "ordinary")[n % 3],
                personal_data=("none", "personal", "special")[n % 3],
                level=level,
                missing=tuple(missing),
                manual=n % 4 == 0,
                owner="talousjohtaja" if n % 3 else None,
                steward="laskentapaallikko",
                rows=1234567 if n == 0 else None,
                bytes=98765432 if n == 0 else None,
            )
        )
    entries[3] = replace(entries[3], contracts=CONTRACTS)
    entries[4] = replace(entries[4], dataset='od/../d "id"<b>', name_fi=HOSTILE, name_sv=HOSTILE)
    entries[8] = replace(entries[8], uncounted="vanished", level=3)
    entries[9] = replace(entries[9], uncounted="unlogged")
    return entries


def evidence_of(entries: Sequence[Judged], now: datetime = NOW) -> dict[str, list[Evidence]]:
    """A row for each criterion, of every kind: measured and manual, in force and expired, with figures and without."""
    return {
        entry.dataset: [row for name in CRITERIA for row in _rows(entry, number, name, now)]
        for number, entry in enumerate(entries)
        if number != 7  # a dataset without any evidence
    }


def _rows(entry: Judged, number: int, criterion: str, now: datetime) -> list[Evidence]:
    lacks = criterion in entry.missing
    common: dict[str, Any] = {
        "criterion": criterion,
        "looked_at": "include/inventory/datasets.yaml",
        "source": "906/2019 5 §",
    }
    if criterion in ("C7", "C9"):
        reviewed = now - timedelta(days=400 if lacks else 350 - number)
        yes = Evidence(
            **common, result="pass", reason="any.manual_pass", subject="tietosuojavastaava", run=f"D-{number}", manual=True,
            observed_at=reviewed, expires_at=reviewed + timedelta(days=365),
        )  # fmt: skip
        return [yes]
    result, reason = (
        ("unknown", "any.not_loaded_and_not_documented") if lacks else ("not_applicable", "any.not_applicable")
    )
    return [
        Evidence(
            **common,
            result=result,
            reason=reason,
            subject=HOSTILE if number == 4 else "",
            observed_at=now,
            expires_at=now + timedelta(days=2),
            figure=Decimal("1234.50"),
            threshold=Decimal(90),
            unit="d",
        )
    ]


def figure(entries: Sequence[Judged], counted: Sequence[CountedSystem], **more: Any) -> Figure:
    """The figure as `snapshot.seal` would count it."""
    mapped = sum(system.mapped for system in counted)
    counts = share.count(entries, mapped=mapped, unmapped=len(counted) - mapped)
    values: dict[str, Any] = {
        "snapshot_id": 3, "taken_at": NOW, "as_of": NOW.date(), "official": False, "method_version": "2026.1",
        "reason": "nightly", "run_id": None, "previous_sha256": "0" * 64, "sha256": "ab12" * 16,
    } | more  # fmt: skip
    return Figure(
        n=counts.n, m=counts.m, s=counts.s, u=counts.u, denominator=counts.denominator,
        upper_denominator=counts.upper_denominator, share=counts.share, upper_share=counts.upper_share,
        level_1=counts.at_least[1], level_2=counts.at_least[2], level_3=counts.at_least[3], level_4=counts.at_least[4],
        automatic=counts.automatic, manual=counts.manual, **values,
    )  # fmt: skip


def seal(connection: psycopg.Connection, now: datetime, days: int = 3) -> Figure:
    """Seal a snapshot of each of the last days, with fewer governed datasets on the earlier ones; returns the last."""
    for ago in range(days - 1, -1, -1):
        entries = judged()
        for number in range(min(ago, 4)):
            entries[13 + 5 * number] = replace(entries[13 + 5 * number], level=2, missing=("C8",))
        taken = now - timedelta(days=ago)
        last = snapshot.seal(
            connection,
            taken_at=taken,
            as_of=taken.date(),
            method_version="2026.1",
            official=False,
            reason=f"mittaus <{ago}>",
            run_id=None,
            judged=entries,
            evidence=evidence_of(entries, taken),
            systems=systems(),
        )
    return last
