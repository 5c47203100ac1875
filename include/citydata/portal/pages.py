"""What each page of the portal shows, and how it is written.

A page is read from the database as data without a language, and rendered from that in each. Pages link to each other
relatively, so the same ones are served by the portal and lie as files in the static site.
"""

import functools
import hashlib
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import psycopg
import yaml
from markupsafe import Markup, escape
from psycopg import sql
from psycopg.rows import class_row, dict_row

from citydata import quality, settings, town
from citydata.governance import method, reasons, share, snapshot
from citydata.governance.evidence import CRITERIA, GOVERNED, LEVELS, Evidence
from citydata.governance.share import Judged, View
from citydata.governance.snapshot import CountedSystem, EvidenceRow, Figure

Connection = psycopg.Connection[Any]
Data = dict[str, Any]

DIRECTORY = Path(__file__).parent
STYLE = DIRECTORY / "style.css"
PAGES = ("index", "datasets", "systems", "quality", "method")
"""Pages that are there once in each language; besides them there is one for each dataset."""
EXPIRES_SOON = timedelta(days=30)
TREND_DAYS = 366
BATCHES = 5
THRESHOLDS = (
    *("description_words", "people", "access_review", "canaries", "checks", "critical_failure", "attestation"),
    *("manual_evidence", "measurement", "fewest_for_a_share"),
)
"""What the method page lists of `governance.method.Method`: numbers, and periods in days."""


# -- where pages are -------------------------------------------------------------------------------------------------


def languages() -> tuple[str, ...]:
    """The languages of the portal: those of the town, and English."""
    return tuple(dict.fromkeys((*town.load().languages, "en")))


def file_name(dataset: str) -> str:
    """Name of a dataset's page, without its ending: its id, or a digest of an id that is no plain file name."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", dataset):
        return dataset
    return hashlib.sha256(dataset.encode()).hexdigest()[:16]


def address(page: str, language: str, dataset: str | None = None) -> str:
    """Where a page is, from the top."""
    return f"{language}/{page}.html" if dataset is None else f"{language}/datasets/{file_name(dataset)}.html"


@dataclass(frozen=True)
class Asked:
    """A page that an address asks for; `name` is the file name of a dataset's page."""

    page: str
    language: str
    name: str | None = None


def asked(path: str) -> Asked | None:
    """Which page an address from the top asks for; None when there is none like that."""
    pattern = rf"(?P<language>{'|'.join(languages())})/(?:(?P<page>{'|'.join(PAGES)})|datasets/(?P<name>[A-Za-z0-9._-]+))\.html"
    found = re.fullmatch(pattern, path)
    if not found:
        return None
    return Asked(found["page"] or "dataset", found["language"], found["name"])


# -- what is read ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """The newest result of a check (`quality.check_result`)."""

    dataset: str | None
    check_id: str
    dimension: str
    severity: str
    description: str
    outcome: str
    evaluated: int | None
    unexpected: int | None
    checked_at: datetime
    batch_id: int | None
    build_id: int | None


@dataclass(frozen=True)
class Sealed:
    """The newest snapshot with what all pages need of it, seen at `now`."""

    figure: Figure
    judged: tuple[Judged, ...]
    systems: dict[str, CountedSystem]
    now: datetime

    @functools.cached_property
    def units(self) -> list[Judged]:
        """What is counted: one entry for each tietoaineisto."""
        return share.units(self.judged)

    @functools.cached_property
    def page_of_contract(self) -> dict[str, Judged]:
        """The dataset that each contract belongs to."""
        return {contract: entry for entry in self.judged for contract in entry.contracts}

    def find(self, name: str) -> Judged | None:
        """The dataset whose page has this name."""
        return next((entry for entry in self.judged if file_name(entry.dataset) == name), None)


def read(connection: Connection, now: datetime) -> Sealed | None:
    """The newest snapshot; None before there is one. The connection's transaction should be REPEATABLE READ."""
    figure = snapshot.latest(connection)
    if figure is None:
        return None
    systems = {system.system: system for system in snapshot.systems(connection, figure.snapshot_id)}
    return Sealed(figure, tuple(snapshot.datasets(connection, figure.snapshot_id)), systems, now)


def data(connection: Connection, page: str, sealed: Sealed, entry: Judged | None = None) -> Data:
    """What a page shows; `entry` is the dataset of a dataset's page."""
    found = dataset(connection, sealed, entry) if entry else _OF_PAGE[page](connection, sealed)
    return {"sealed": sealed, "figure": sealed.figure, "now": sealed.now} | found


def index(connection: Connection, sealed: Sealed) -> Data:
    """The figure, how it came about, and what to do next."""
    figures = snapshot.figures(connection)
    trend = _one_a_day(figures)
    rows = snapshot.evidence(connection, sealed.figure.snapshot_id)
    expiring, renewing = _expiring(rows, sealed.now)
    views: dict[str, list[View]] = defaultdict(list)
    for line in share.views(sealed.judged, method.CURRENT):
        views[line.view].append(line)
    return {
        "levels": _levels(sealed.figure),
        "trend": trend,
        "chart": chart(trend),
        "change": _last_change(figures),
        "heat": heat(sealed.units),
        "blockers": share.blockers(sealed.units),
        "expiring": expiring,
        "renewing": renewing,
        "by_id": {entry.dataset: entry for entry in sealed.judged},
        "views": views,
        "fewest": method.CURRENT.fewest_for_a_share,
        "held": _held(connection),
        "quarantined": _quarantined(connection),
        "unmapped": sum(not system.mapped for system in sealed.systems.values()),
    }


def datasets(connection: Connection, sealed: Sealed) -> Data:
    """Every dataset by sector; the page orders them by their names in its language."""
    by_sector: dict[str, list[Judged]] = defaultdict(list)
    for entry in sealed.judged:
        by_sector[entry.sector].append(entry)
    return {"by_sector": {code: by_sector[code] for code in sorted(by_sector, key=_sector_order)}}


def dataset(connection: Connection, sealed: Sealed, entry: Judged) -> Data:
    """One dataset down to the row of evidence."""
    rows: dict[str, list[EvidenceRow]] = defaultdict(list)
    for row in snapshot.evidence(connection, sealed.figure.snapshot_id, entry.dataset):
        rows[row.criterion].append(row)
    registered = _registered(connection, sealed.figure, "datasets", [entry.dataset])
    people = [office for office in (entry.owner, entry.steward) if office]
    return {
        "entry": entry,
        "described": registered.get(entry.dataset, {}),
        "offices": _registered(connection, sealed.figure, "people", people),
        "levels": [
            (level, [(name, name not in entry.missing, rows[name]) for name in names])
            for level, names in LEVELS.items()
        ],
        "checks": _checks(connection, sealed.now, list(entry.contracts)) if entry.contracts else [],
        "batches": _batches(connection, list(entry.contracts)) if entry.contracts else [],
    }


def systems(connection: Connection, sealed: Sealed) -> Data:
    """Systems that are mapped, that are known but not mapped, and that reconciliation found; ordered by the page."""
    counted: Counter[str] = Counter(entry.system for entry in sealed.units)
    governed: Counter[str] = Counter(entry.system for entry in sealed.units if entry.counted_level >= GOVERNED)
    ordered = sealed.systems.values()
    return {
        "mapped": [system for system in ordered if system.mapped],
        "unmapped": [system for system in ordered if not system.mapped and system.origin == "inventory"],
        "found": [system for system in ordered if not system.mapped and system.origin == "reconciliation"],
        "counted": counted,
        "governed": governed,
    }


def quality_results(connection: Connection, sealed: Sealed) -> Data:
    """The newest result of each check by dimension and by dataset."""
    checks = _checks(connection, sealed.now)
    by_dimension = {code: Counter(c.outcome for c in checks if c.dimension == code) for code in quality.DIMENSIONS}
    names = sorted({check.dataset for check in checks if check.dataset})
    by_dataset: dict[str | None, Counter[str]] = {
        name: Counter(check.outcome for check in checks if check.dataset == name) for name in names
    }
    if rest := Counter(check.outcome for check in checks if check.dataset is None):
        by_dataset[None] = rest
    order = {severity: number for number, severity in enumerate(quality.SEVERITIES)}
    return {
        "days": method.CURRENT.checks.days,
        "by_dimension": by_dimension,
        "by_dataset": by_dataset,
        "wanting": sorted(
            (check for check in checks if check.outcome != "pass"),
            key=lambda check: (order[check.severity], check.dataset or "", check.check_id),
        ),
    }


def method_in_words(connection: Connection, sealed: Sealed) -> Data:
    """How the share is computed, with the thresholds of the method."""
    return {
        "method": method.CURRENT,
        "level_criteria": LEVELS,
        "thresholds": [(name, _plain(getattr(method.CURRENT, name))) for name in THRESHOLDS],
        "dimensions": quality.DIMENSIONS,
    }


def _plain(value: int | timedelta) -> int:
    return value.days if isinstance(value, timedelta) else value


_OF_PAGE: dict[str, Callable[[Connection, Sealed], Data]] = {
    "index": index,
    "datasets": datasets,
    "systems": systems,
    "quality": quality_results,
    "method": method_in_words,
}


def _levels(figure: Figure) -> list[tuple[int, int, str, Decimal | None]]:
    """Each level with how many have reached it at least, as text and in percent."""
    counts = {1: figure.level_1, 2: figure.level_2, 3: figure.level_3, 4: figure.level_4}
    shares = {level: share.percentage(n, figure.denominator) for level, n in counts.items()}
    return [
        (level, n, snapshot.written(n, figure.denominator, shares[level]), shares[level]) for level, n in counts.items()
    ]


def _one_a_day(figures: Sequence[Figure]) -> list[Figure]:
    """The last figure of each day, newest first, no further back than the chart."""
    newest: dict[date, Figure] = {}
    for figure in figures:
        newest.setdefault(figure.as_of, figure)
    days = sorted(newest, reverse=True)
    return [newest[day] for day in days if day > days[0] - timedelta(days=TREND_DAYS)]


def _last_change(figures: Sequence[Figure]) -> tuple[Figure, Figure | None]:
    """The snapshot at which the figure last became another one, and the one before it; the first when it never did."""
    for figure, before in itertools.pairwise(figures):
        if figure.text != before.text:
            return figure, before
    return figures[-1], None


@dataclass(frozen=True)
class Chart:
    """Points of the trend in a box of 640 × 200: x by day, y by share from 0 % (180) to 100 % (20)."""

    points: tuple[tuple[str, str, Figure], ...]

    @property
    def line(self) -> str:
        """The points as SVG writes them."""
        return " ".join(f"{x},{y}" for x, y, _ in self.points)


def chart(trend: Sequence[Figure]) -> Chart:
    """Where the shares of `trend` (newest first) lie; days without a share are left out."""
    shown = [figure for figure in reversed(trend) if figure.share is not None]
    if not shown:
        return Chart(())
    first, last = shown[0].as_of, shown[-1].as_of
    days = (last - first).days or 1
    return Chart(
        tuple(
            (
                f"{50 + 570 * ((figure.as_of - first).days / days if len(shown) > 1 else 1):.1f}",
                f"{180 - Decimal('1.6') * (figure.share or 0):.1f}",
                figure,
            )
            for figure in shown
        )
    )


@dataclass(frozen=True)
class HeatCell:
    """How many of a sector's datasets pass a criterion; `shade` is 0 for none to 4 for all."""

    criterion: str
    passed: int
    of: int

    @property
    def shade(self) -> int:
        """Four is only for all of them, zero only for none."""
        if self.passed in (0, self.of):
            return 4 if self.passed else 0
        return 1 + min(2, 3 * self.passed // self.of)


def heat(units: Sequence[Judged]) -> list[tuple[str, list[HeatCell]]]:
    """Sector × criterion."""
    by_sector: dict[str, list[Judged]] = defaultdict(list)
    for entry in units:
        by_sector[entry.sector].append(entry)
    return [
        (sector, [HeatCell(name, sum(name not in entry.missing for entry in of), len(of)) for name in CRITERIA])
        for sector, of in sorted(by_sector.items(), key=lambda item: _sector_order(item[0]))
    ]


def _sector_order(code: str) -> tuple[int, str]:
    """The town's own order; sectors that it does not have any more come last."""
    order = [sector.code for sector in town.load().sectors]
    return (order.index(code) if code in order else len(order), code)


def _expiring(rows: Iterable[EvidenceRow], now: datetime) -> tuple[list[EvidenceRow], int]:
    """Evidence that counts and soon will not: what people must renew, and how much the platform renews by itself."""
    soon = [row for row in rows if row.counts(now) and row.expires_at <= now + EXPIRES_SOON]
    renewed = max(method.CURRENT.measurement, method.CURRENT.canaries, method.CURRENT.checks)
    by_people = [row for row in soon if row.manual or row.expires_at - row.observed_at > renewed]
    return sorted(by_people, key=lambda row: (row.expires_at, row.dataset, row.number)), len(soon) - len(by_people)


def _registered(connection: Connection, figure: Figure, kind: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Entries of the register for the day of the snapshot, as they are known now."""
    rows = connection.execute(
        "SELECT id, body FROM governance.register WHERE kind = %(kind)s AND id = ANY(%(ids)s)"
        " AND superseded_at = 'infinity' AND valid_from <= %(day)s AND valid_to > %(day)s",
        {"kind": kind, "ids": ids, "day": figure.as_of},
    )
    return dict(rows.fetchall())


def _checks(connection: Connection, now: datetime, contracts: list[str] | None = None) -> list[Check]:
    """The newest result of each check, of some contracts or of all; what is older than the method lets count is left out."""
    columns = ", ".join(field.name for field in fields(Check))
    with connection.cursor(row_factory=class_row(Check)) as cursor:
        return cursor.execute(
            f"SELECT DISTINCT ON (dataset, check_id) {columns} FROM quality.check_result"
            " WHERE checked_at > %(since)s AND (%(contracts)s::text[] IS NULL OR dataset = ANY(%(contracts)s))"
            " ORDER BY dataset, check_id, checked_at DESC, result_id DESC",
            {"since": now - method.CURRENT.checks, "contracts": contracts},
        ).fetchall()


def _batches(connection: Connection, contracts: list[str]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT * FROM (SELECT dataset, batch_id, state, started_at, extracted, quarantined, inserted, changed, closed,"
            " row_number() OVER (PARTITION BY dataset ORDER BY batch_id DESC) AS age FROM ops.batch"
            " WHERE dataset = ANY(%s)) AS numbered WHERE age <= %s ORDER BY dataset, batch_id DESC",
            (contracts, BATCHES),
        ).fetchall()


def _held(connection: Connection) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT dataset, count(*) AS batches, min(started_at) AS since FROM ops.batch WHERE state = 'held'"
            " GROUP BY dataset ORDER BY dataset"
        ).fetchall()


@dataclass(frozen=True)
class Quarantined:
    """Rows in quarantine that nobody has decided about, by dataset; `unread` are systems that the portal may not count."""

    rows: tuple[tuple[str, int, datetime], ...]
    unread: tuple[str, ...]


def _quarantined(connection: Connection) -> Quarantined:
    """Count the open rows. A system whose table this role may not read is named, never taken for empty."""
    tables = connection.execute(
        "SELECT c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, 'dataset', 'SELECT')"
        " AND has_column_privilege(c.oid, 'state', 'SELECT') AND has_column_privilege(c.oid, 'created_at', 'SELECT')"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'quarantine' AND c.relkind = 'r' ORDER BY c.relname"
    ).fetchall()
    found: list[tuple[str, int, datetime]] = []
    for name, readable in tables:
        if readable:
            statement = sql.SQL(
                "SELECT dataset, count(*), min(created_at) FROM {} WHERE state = 'open' GROUP BY dataset ORDER BY dataset"
            ).format(sql.Identifier("quarantine", name))
            found += connection.execute(statement).fetchall()
    return Quarantined(tuple(found), tuple(name for name, readable in tables if not readable))


# -- how it is written -----------------------------------------------------------------------------------------------


@functools.cache
def texts() -> dict[str, dict[str, str]]:
    """All words of the pages: key: language: text."""
    found: dict[str, dict[str, str]] = yaml.load(
        (DIRECTORY / "texts.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return found


def render(page: str, language: str, content: Data, *, root: str = "../") -> str:
    """The HTML of a page in a language. `root` leads from it to the top."""
    words = _Words(language)
    entry = content.get("entry")
    here = address(page if page in PAGES else "index", "{}", entry.dataset if entry else None)
    return (
        _templates()
        .get_template(f"{page}.html")
        .render(
            content,
            t=words.text,
            w=words,
            language=language,
            languages=languages(),
            town_name=town.load().name_sv if language == "sv" else town.load().name_fi,
            page=page,
            here=here,
            root="../../" if entry else root,
            file_name=file_name,
            headline_level=GOVERNED,
            written=snapshot.written,
            time_zone=town.load().time_zone,
        )
    )


def first_page(figure: Figure | None) -> str:
    """The page at the top, which leads to a language."""
    return _everywhere("start", figure=figure, root="")


def notice(kind: str, *, root: str = "", link: str | None = None) -> str:
    """A page in all languages at once, for who is refused, lost or served no data: `refused`, `forbidden`, `missing`, `down`."""
    return _everywhere("notice", kind=kind, root=root, link=link)


def _everywhere(template: str, **content: Any) -> str:
    words = {language: _Words(language) for language in languages()}
    return (
        _templates()
        .get_template(f"{template}.html")
        .render(content, words=words, languages=languages(), town_name=town.load().name_fi)
    )


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(DIRECTORY / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def _descriptions() -> dict[str, dict[str, str]]:
    """What the suites say of their checks in each language; results hold the English text only."""
    found = {}
    for path in sorted(settings.EXPECTATIONS.rglob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8")).get("expectations", []):
            meta = entry.get("meta", {})
            found[meta.get("id")] = {"fi": meta.get("description_fi"), "sv": meta.get("description_sv")}
    return found


@dataclass(frozen=True)
class _Words:
    """How things are said in one language."""

    language: str

    def text(self, key: str, **values: object) -> str:
        """A text of `texts.yaml`; missing ones are errors."""
        found = texts()[key][self.language]
        return found.format(**values) if values else found

    def number(self, value: Decimal | float | None) -> str:
        """A number for people, with groups of three digits; “–” when there is none."""
        if value is None:
            return "–"
        plain = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
        if "." in plain:
            plain = plain.rstrip("0").rstrip(".")
        mark = "." if self.language == "en" else ","
        return plain.translate({ord(","): "\u00a0", ord("."): mark})

    def moment(self, value: datetime | None) -> str:
        """A moment in the town's time zone, to the minute."""
        return value.astimezone(ZoneInfo(town.load().time_zone)).strftime("%Y-%m-%d %H:%M") if value else "–"

    def named(self, entry: Judged | CountedSystem) -> str:
        """A name in the language; where there is none in it, the Finnish one, marked as Finnish."""
        name = {"fi": entry.name_fi, "sv": entry.name_sv}.get(self.language)
        return escape(name) if name else Markup('<span lang="fi">{}</span>').format(entry.name_fi)

    def sector(self, code: str | None) -> str:
        """The name of a sector; its code when the town has none such any more."""
        for sector in town.load().sectors:
            if sector.code == code:
                if self.language == "en":
                    return Markup('<span lang="fi">{}</span>').format(sector.name_fi)
                return sector.name_sv if self.language == "sv" else sector.name_fi
        return code or "–"

    def office(self, office: str | None, registered: dict[str, dict[str, Any]]) -> str:
        """The title of an office and its id."""
        if not office:
            return self.text("none")
        title = registered.get(office, {}).get("title_sv" if self.language == "sv" else "title_fi")
        if not title:
            return office
        shown = Markup('<span lang="fi">{}</span>').format(title) if self.language == "en" else title
        return Markup("{} ({})").format(shown, office)

    def value(self, view: str, value: str, systems: dict[str, CountedSystem]) -> str:
        """The name of a value of a kind of which only some are known here; the bare value when there is no name for it."""
        if view == "sector":
            return self.sector(value)
        if view == "system":
            return self.named(systems[value]) if value in systems else value
        return self.text(f"{view}.{value}") if f"{view}.{value}" in texts() else value

    def reason(self, row: Evidence) -> str:
        """What a row of evidence says; the bare code when this version of the platform has no text for it any more."""
        return reasons.text(row, self.language) if row.reason in reasons.texts() else row.reason

    def occasion(self, reason: str) -> tuple[str, list[str]]:
        """Why a snapshot was taken, in the reader's words, and what became another: ids and codes, which need none."""
        occasion, *changes = reason.split(" · ")
        return self.value("occasion", occasion, {}), changes

    def check(self, check: Check) -> str:
        """What a check looks at; where the suite has no text in the language, the English one, marked as English."""
        found = _descriptions().get(check.check_id, {}).get(self.language)
        if found or self.language == "en":
            return found or check.description
        return Markup('<span lang="en">{}</span>').format(check.description)

    def description(self, registered: dict[str, Any]) -> str | None:
        """What the register says of a dataset; None when it says nothing."""
        found = registered.get("description_sv" if self.language == "sv" else "description_fi")
        if found and self.language == "en":
            return Markup('<span lang="fi">{}</span>').format(found)
        return found
