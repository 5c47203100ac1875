"""What a person sees in the terminal."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Console

from citydata.governance import criteria, share
from citydata.governance.share import Blocker, Judged, View
from citydata.governance.snapshot import CountedSystem, EvidenceRow, Figure
from citydata.service.display import evidence_view, one_view, rows_table, share_line, share_view
from tests.unit.governance import cases

FIGURE = Figure(
    snapshot_id=41, taken_at=cases.NOW, as_of=date(2026, 6, 15), official=False, method_version="2026.1", n=112, m=228,
    s=38, u=2, denominator=240, upper_denominator=230, share=Decimal("46.6"), upper_share=Decimal("48.6"), level_1=200,
    level_2=150, level_3=112, level_4=64, automatic=90, manual=22, reason="release · +laskut", run_id=None,
    previous_sha256="0" * 64, sha256="ab" * 32,
)  # fmt: skip


def shown(view: Any) -> str:
    """What is on the screen, without frames and line ends."""
    console = Console(width=160)
    with console.capture() as captured:
        console.print(view)
    return " ".join("".join(" " if "─" <= sign <= "╿" else sign for sign in captured.get()).split())


def test_moments_are_shown_in_the_towns_time() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(rows_table([{"published_at": datetime(2026, 7, 1, 21, 30, tzinfo=UTC), "batch_id": 7}]))
    assert "2026-07-02 00:30:00" in shown.get()
    assert "published at" in shown.get()


def test_several_values_in_a_cell_are_listed() -> None:
    assert shown(rows_table([{"missing": ("C3", "C10"), "contracts": ["hr.people"]}])) == (
        "missing contracts C3, C10 hr.people"
    )


def test_the_headline_is_one_line_with_its_bounds() -> None:
    assert share_line(FIGURE) == (
        "Data under governance  112/240 (46,6 %)   upper bound 112/230 (48,6 %)   2026-06-15, working figure, snapshot 41"
    )
    nothing = replace(FIGURE, n=0, denominator=0, upper_denominator=0, share=None, upper_share=None, official=True)
    assert share_line(nothing) == (
        "Data under governance  0/0 (–)   upper bound 0/0 (–)   2026-06-15, official figure, snapshot 41"
    )


def test_the_share_is_shown_with_all_that_it_is_made_of() -> None:
    views = [
        View("personal_data", "special", 2, 4, None),
        View("systems", "all", 12, 40, Decimal("30.0")),
        View("rows", "all", 1234567, 2000000, Decimal("61.7")),
    ]
    blockers = [Blocker("C10", 31, 7)]
    found = CountedSystem(
        "vendor:9001234-5", "–", "–", None, "reconciliation", mapped=False, found_in="vendor", first_seen=cases.NOW
    )
    drive = CountedSystem("levyjako", "Levyjako", "Nätverksenhet", "concern", "inventory", mapped=False)
    text = shown(share_view(FIGURE, views, blockers, [drive, found]))
    for part in (
        "n governed 112",
        "of these automatic 90",
        "of these on documents 22",
        "m registered 228",
        "s mapped systems 38",
        "u systems not mapped 2",
        "level 1 or more: described 200",
        "level 4: monitored 64",
        "personal data special 2 4 systems",  # four are too few for a share
        "systems all 12 40 30,0 %",
        "rows all 1 234 567 2 000 000 61,7 %",
        "C10 31 7",
        "levyjako inventory",
        "vendor:9001234-5 vendor",
        "why: release · +laskut",
        f"hash {FIGURE.sha256}",
    ):
        assert part in text
    assert "not mapped found in" not in shown(share_view(FIGURE, [], blockers, []))


def test_one_view_is_the_headline_and_its_lines() -> None:
    text = shown(one_view(FIGURE, [View("sector", "urban", 0, 7, Decimal("0.0"))]))
    assert text.startswith(" ".join(share_line(FIGURE).split()))
    assert text.endswith("by governed of share sector urban 0 7 0,0 %")


def explained(now: datetime, language: str = "en", **changes: Any) -> str:
    """The screen of the loaded dataset of the cases, whose evidence was gathered at NOW, looked at later."""
    case = cases.case()
    entry = case.inventory.datasets[cases.LOADED]
    rows = [
        EvidenceRow(**vars(row), dataset=entry.id, number=number)
        for number, row in enumerate(criteria.judge(entry, case), start=1)
    ]
    values: dict[str, Any] = {"level": 4, "missing": ()} | changes
    judged = Judged(
        dataset=entry.id, unit=entry.id, name_fi=entry.name_fi, name_sv=entry.name_sv, system=entry.system,
        sector=entry.sector, criticality=entry.criticality, personal_data="none", **values,
    )  # fmt: skip
    return shown(evidence_view(judged, rows, now, language))


def test_evidence_is_shown_with_why_and_until_when() -> None:
    text = explained(cases.NOW)
    assert "toimittajat: Toimittajarekisteri / Leverantörsregister, level 4 missing: nothing" in text
    assert "expired" not in text
    assert "2026-06-17 12:00:00" in text  # two days after nine o'clock UTC, in the town's time
    lacking = explained(cases.NOW, level=2, missing=("C7", "C10"), uncounted=share.UNCOUNTED[0])
    assert "level 2, not counted: vanished missing: C7, C10" in lacking
    assert len({explained(cases.NOW, language) for language in ("fi", "sv", "en")}) == 3


def test_evidence_that_has_expired_is_shown_as_such() -> None:
    text = explained(cases.NOW + timedelta(days=3))
    assert " C1 expired " in text
    assert " C10 pass " in text  # a signature holds for a year
