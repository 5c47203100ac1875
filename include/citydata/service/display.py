"""How the service shows itself in a terminal; plain lines where there is none."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from citydata import town
from citydata.backfill import Backfill
from citydata.governance import reasons
from citydata.governance.share import Blocker, Judged, View
from citydata.governance.snapshot import CountedSystem, EvidenceRow, Figure
from citydata.service.doctor import Check
from citydata.service.progress import BuildProgress, DatasetProgress
from citydata.service.status import BatchView, Status
from citydata.service.up import Outcome

COLOURS = {
    "published": "green",
    "pass": "green",
    "not_applicable": "green",
    "fail": "red",
    "unknown": "yellow",
    "expired": "yellow",
    "released": "green",
    "ok": "green",
    "held": "yellow",
    "waiting": "yellow",
    "stopped": "yellow",
    "late": "yellow",
    "stale": "yellow",
    "note": "yellow",
    "failed": "red",
    "problem": "red",
}


def _coloured(word: str) -> Text:
    return Text(word, style=COLOURS.get(word, ""))


def _digits(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _count(rows: int) -> str:
    return _digits(rows) if rows else "·"


class Progress:
    """Steps as lines; progress as a live table on a terminal, as a line for each change of step elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._seen: dict[str, str] = {}

    @contextlib.contextmanager
    def shown(self) -> Iterator["Progress"]:
        """While it is shown."""
        try:
            yield self
        finally:
            if self._live:
                self._live.stop()

    def report(self, text: str) -> None:
        """A step in a few words."""
        self._console.print(text, highlight=False)

    def watch(self, datasets: list[DatasetProgress], build: BuildProgress | None) -> None:
        """The state of the work now."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False)
                self._live.start()
            self._live.update(_progress_table(datasets, build), refresh=True)
            return
        steps = {item.dataset: (item.step, item.extracted, item.seconds) for item in datasets}
        if build:
            steps["warehouse"] = (build.step, build.rows, build.seconds)
        for subject, (step, rows, seconds) in steps.items():
            if self._seen.get(subject, "waiting") != step:
                self._console.print(f"{subject}: {step}, {rows} rows, {seconds:.1f} s", highlight=False)
                self._seen[subject] = step


def _progress_table(datasets: list[DatasetProgress], build: BuildProgress | None) -> Table:
    table = Table("system", "dataset", "step")
    table.add_column("rows", justify="right")
    table.add_column("seconds", justify="right")
    system = ""
    for item in datasets:
        shown = "" if item.system == system else item.system
        system = item.system
        table.add_row(
            shown, item.dataset.partition(".")[2], _coloured(item.step), _count(item.extracted), f"{item.seconds:.1f}"
        )
    if build:
        table.add_row("warehouse", "", _coloured(build.step), _count(build.rows), f"{build.seconds:.1f}")
    return table


def summary(outcome: Outcome) -> Table:
    """What happened to each dataset."""
    table = Table("dataset", "state")
    for heading in ("extracted", "inserted", "changed", "closed", "quarantined", "held"):
        table.add_column(heading, justify="right")
    for item in outcome.datasets:
        counts = (item.extracted, item.inserted, item.changed, item.closed, item.quarantined, item.held)
        ended = "nothing new" if item.step == "waiting" else item.step
        table.add_row(item.dataset, _coloured(ended), *map(_count, counts))
    return table


def status_view(status: Status) -> Group:
    """What runs, what wants attention, the latest batches."""
    services = Table("service", "")
    for name, runs in status.services.items():
        services.add_row(name, Text("running", style="green") if runs else Text("not running", style="red"))
    parts: list[Table | Text] = [services]
    for name, address in status.addresses.items():
        parts.append(Text(f"{name.replace('_', ' ')}: {address}", overflow="fold"))
    for dataset, gaps in status.drafts.items():
        parts.append(Text(f"draft {dataset}: {gaps} things to do in its contract; ./citydata check names them"))
    if status.findings:
        findings = Table("", "cause", "what", "next")
        for finding in status.findings:
            findings.add_row(
                _coloured(finding.kind), Text(finding.cause), Text("\n".join(finding.subjects)), Text(finding.command)
            )
        parts.append(findings)
    if status.batches:
        parts.append(rows_table(status.batches))
    return Group(*parts)


def batch_view(batch: BatchView) -> Group:
    """A batch: its facts, its ledger, why rows or the batch did not pass, and what to type."""
    facts = Table(f"batch {batch.batch_id}", f"{batch.dataset}: {batch.state}")
    for name, value in batch.facts.items():
        facts.add_row(name.replace("_", " "), _cell(value))
    parts: list[Table | Text] = [facts, rows_table([dict(batch.counts)])]
    for rows in (batch.failed_checks, batch.reasons):
        if rows:
            parts.append(rows_table(rows))
    parts += [Text(f"next: {command}") for command in batch.commands]
    return Group(*parts)


def backfill_view(found: Backfill, following: list[str]) -> Group:
    """A backfill: its facts, windows, batches and difference, and what to type."""
    facts = Table(f"backfill {found.backfill_id}", f"{found.dataset}: {found.state}")
    named = {
        **{"from": found.begins_at, "to": found.ends_at, "made with": found.origin, "reason": found.reason},
        **{"requested by": found.requested_by, "requested at": found.requested_at},
        "builds see": f"batches up to {found.horizon}" if not found.ended_at else None,
        "decided by": found.decided_by,
        **{"decided reason": found.decided_reason, "decided at": found.decided_at, "ended at": found.ended_at},
    }
    for name, value in named.items():
        if value is not None:
            facts.add_row(name, _cell(value))
    windows: list[dict[str, object]] = [
        {
            **{"window": one.title, "expected": one.expected, "stood there": one.standing, "state": one.state},
            "why": one.failure,
        }
        for one in found.windows
    ]
    parts: list[Table | Text] = [facts, *([rows_table(windows)] if windows else [])]
    if found.batches:
        parts.append(rows_table(list(found.batches)))
    if found.compared_build is not None:
        parts.append(Text(f"what a release would write (build {found.compared_build}):"))
        parts.append(rows_table(list(found.changes)) if found.changes else Text("nothing"))
        parts += [Text(f"group {group} would stay as it is: {why}") for group, why in found.compared_stale.items()]
    parts += [Text(f"next: {command}") for command in following]
    return Group(*parts)


def rows_table(rows: list[dict[str, object]]) -> Table:
    """Rows of the ledger, their names as headings."""
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: object) -> Text:
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(f"{value.astimezone(ZoneInfo(town.load().time_zone)):%Y-%m-%d %H:%M:%S}")  # stored in UTC
    if isinstance(value, list | tuple):
        return Text(", ".join(map(str, value)))
    return _coloured(str(value))


def checks_table(checks: list[Check]) -> Table:
    """What the doctor found."""
    table = Table("", "subject", "found", "advice")
    for check in checks:
        table.add_row(_coloured(check.outcome), Text(check.subject), Text(check.text), Text(check.advice))
    return table


def share_line(figure: Figure) -> str:
    """The headline with its bounds, in one line."""
    return (
        f"Data under governance  {figure.text}   upper bound {figure.upper_text}   {figure.as_of},"
        f" {'official' if figure.official else 'working'} figure, snapshot {figure.snapshot_id}"
    )


def share_view(figure: Figure, views: list[View], blockers: list[Blocker], unmapped: list[CountedSystem]) -> Group:
    """The share, what it is made of, what blocks most datasets, and which systems nobody has mapped."""
    counts = Table("", "datasets")
    for name, number in (
        ("n governed", figure.n),
        ("  of these automatic", figure.automatic),
        ("  of these on documents", figure.manual),
        ("m registered", figure.m),
        ("s mapped systems", figure.s),
        ("u systems not mapped", figure.u),
        ("level 1 or more: described", figure.level_1),
        ("level 2 or more: owned and classified", figure.level_2),
        ("level 3 or more: governed", figure.level_3),
        ("level 4: monitored", figure.level_4),
    ):
        counts.add_row(name, str(number))
    parts: list[Table | Text] = [Text(share_line(figure)), counts]
    if views:
        parts.append(_views_table(views))
    lacking = Table("criterion", "datasets that lack it", "that lack only it")
    for blocker in blockers:
        lacking.add_row(blocker.criterion, str(blocker.lacking), "" if blocker.only is None else str(blocker.only))
    parts.append(lacking)
    if unmapped:
        hunt = Table("not mapped", "found in")
        for system in unmapped:
            hunt.add_row(system.system, system.found_in or "inventory")
        parts.append(hunt)
    parts += [Text(f"why: {figure.reason}"), Text(f"hash {figure.sha256}")]
    return Group(*parts)


def one_view(figure: Figure, views: list[View]) -> Group:
    """The headline, and the share by one thing."""
    return Group(Text(share_line(figure)), _views_table(views))


def _views_table(views: list[View]) -> Table:
    table = Table("by", "")
    for heading in ("governed", "of", "share"):
        table.add_column(heading, justify="right")
    for view in views:
        # As the headline is written; without a share where there are too few to speak of one.
        share = "" if view.share is None else f"{view.share} %".replace(".", ",")
        table.add_row(view.view.replace("_", " "), view.value, _digits(view.n), _digits(view.m), share)
    return table


def evidence_view(entry: Judged, rows: list[EvidenceRow], now: datetime, language: str) -> Group:
    """A dataset's level and each row of its evidence."""
    names = " / ".join(dict.fromkeys((entry.name_fi, entry.name_sv)))
    title = f"{entry.dataset}: {names}, level {entry.level}"
    if entry.uncounted:
        title += f", not counted: {entry.uncounted}"
    table = Table("", "result", "why", "looked at", "until")
    for row in rows:
        result = row.result if now < row.expires_at else "expired"
        table.add_row(
            row.criterion,
            _coloured(result),
            Text(reasons.text(row, language)),
            Text(row.looked_at),
            _cell(row.expires_at),
        )
    return Group(Text(title), Text(f"missing: {', '.join(entry.missing) or 'nothing'}"), table)


def console(*, to_stderr: bool = False) -> Console:
    """A console that writes lines of full length into files and pipes, where nothing wraps them."""
    stream = sys.stderr if to_stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 200)
