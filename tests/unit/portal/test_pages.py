"""Pages of made-up snapshots: every text in every language, hostile names as text, links that lead somewhere."""

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from jinja2 import nodes
from lxml import html

from citydata import quality, town
from citydata.governance import evidence, share, snapshot
from citydata.governance.evidence import CRITERIA, LEVELS
from citydata.portal import pages
from citydata.portal.pages import Check, Quarantined, Sealed
from tests.unit.portal import made_up

LANGUAGES = ("fi", "sv", "en")


@pytest.fixture
def sealed() -> Sealed:
    """The made-up snapshot."""
    entries, systems = made_up.judged(), made_up.systems()
    return Sealed(
        made_up.figure(entries, systems), tuple(entries), {system.system: system for system in systems}, made_up.NOW
    )


@pytest.fixture
def content(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What each address shows, with answers made up where a page asks the database."""
    rows = [
        snapshot.EvidenceRow(**vars(row), dataset=dataset, number=number)
        for dataset, found in made_up.evidence_of(sealed.judged).items()
        for number, row in enumerate(found, start=1)
    ]
    earlier = replace(
        sealed.figure, snapshot_id=2, as_of=sealed.figure.as_of - timedelta(days=1), n=9, share=Decimal("13.8")
    )
    checks = [
        Check(
            dataset,
            f"{dataset}.{outcome}",
            dimension,
            severity,
            made_up.HOSTILE,
            outcome,
            12345,
            2,
            made_up.NOW,
            1,
            None,
        )
        for dataset, outcome, dimension, severity in (
            ("finance.accounts", "pass", "correctness", "critical"),
            ("finance.suppliers", "fail", "uniqueness", "quarantine"),
            (None, "error", "punctuality", "warning"),
        )
    ]
    batches = [
        {"dataset": "finance.accounts", "batch_id": 7, "state": state, "started_at": made_up.NOW, "extracted": 10}
        | dict.fromkeys(("inserted", "changed", "closed", "quarantined"), 1)
        for state in ("published", "held")
    ]
    register = {"description_fi": made_up.HOSTILE, "description_sv": made_up.HOSTILE, "title_fi": "Talousjohtaja"}
    monkeypatch.setattr(snapshot, "figures", lambda connection: [sealed.figure, earlier])
    monkeypatch.setattr(
        snapshot, "evidence", lambda connection, of, dataset=None: [r for r in rows if dataset in (None, r.dataset)]
    )
    monkeypatch.setattr(pages, "_registered", lambda connection, figure, kind, ids: dict.fromkeys(ids[:1], register))
    monkeypatch.setattr(pages, "_checks", lambda connection, now, contracts=None: checks)
    monkeypatch.setattr(pages, "_batches", lambda connection, contracts: batches)
    monkeypatch.setattr(
        pages, "_held", lambda connection: [{"dataset": "finance.accounts", "batches": 2, "since": made_up.NOW}]
    )
    monkeypatch.setattr(
        pages, "_quarantined", lambda connection: Quarantined((("finance.accounts", 1234, made_up.NOW),), ("hr",))
    )
    connection: Any = None
    found = {page: pages.data(connection, page, sealed) for page in pages.PAGES}
    return found | {entry.dataset: pages.data(connection, "dataset", sealed, entry) for entry in sealed.judged}


def _site(content: dict[str, dict[str, Any]], sealed: Sealed) -> dict[str, str]:
    written = {"index.html": pages.first_page(sealed.figure), "style.css": ""}
    for language in LANGUAGES:
        for name, data in content.items():
            page, dataset = (name, None) if name in pages.PAGES else ("dataset", name)
            written[pages.address(page, language, dataset)] = pages.render(page, language, data)
    return written


def test_every_text_is_there_in_every_language_with_the_same_names_in_braces() -> None:
    for key, texts in pages.texts().items():
        assert set(texts) == set(LANGUAGES), key
        assert all(text.strip() for text in texts.values()), key
        assert len({tuple(sorted(re.findall(r"{(\w+)}", text))) for text in texts.values()}) == 1, key


def test_every_key_that_a_template_names_exists_and_every_text_is_used() -> None:
    environment = pages._templates()
    named: set[str] = {"none", "language.fi", "language.sv", "language.en"}
    beginnings: set[str] = set()
    for name in environment.list_templates():
        source = environment.loader.get_source(environment, name)[0]  # type: ignore[union-attr]
        tree = environment.parse(source)
        for call in tree.find_all(nodes.Call):
            function = call.node
            if not (isinstance(function, nodes.Name) and function.name == "t") and not (
                isinstance(function, nodes.Getattr) and function.attr == "text"
            ):
                continue
            argument = call.args[0]
            if isinstance(argument, nodes.Const):
                named.add(argument.value)
            elif isinstance(argument, nodes.Concat) and isinstance(argument.nodes[0], nodes.Const):
                beginnings.add(argument.nodes[0].value)
    assert named - set(pages.texts()) == set()
    notices = {
        f"{kind}.{part}" for kind in ("refused", "forbidden", "missing", "down") for part in ("heading", "text", "link")
    }
    views = {key for key in pages.texts() if key.startswith(("criticality.", "personal_data.", "unit.", "occasion."))}
    used = named | notices | views | set(CRITERIA)
    unused = {key for key in pages.texts() if key not in used and not key.startswith(tuple(beginnings))}
    assert unused == set()


def test_codes_that_the_platform_knows_have_texts() -> None:
    from citydata.governance import method, share

    wanted = {
        *CRITERIA,
        *(f"met.{name}" for name in CRITERIA),
        *(f"level.{level}" for level in (0, *LEVELS)),
        *(f"result.{result}" for result in evidence.RESULTS),
        *(f"dimension.{code}" for code in quality.DIMENSIONS),
        *(f"severity.{code}" for code in quality.SEVERITIES),
        *(f"outcome.{code}" for code in quality.OUTCOMES),
        *(f"uncounted.{code}" for code in share.UNCOUNTED),
        *(f"threshold.{name}" for name in pages.THRESHOLDS),
        *(f"kind.{kind}" for kind in method.CURRENT.dimensions),
        *(f"view.{view}" for view in share.VIEWS),
    }
    assert wanted - set(pages.texts()) == set()


def test_every_page_in_every_language_shows_the_figure_or_belongs_to_its_snapshot(
    content: dict[str, dict[str, Any]], sealed: Sealed
) -> None:
    for language in LANGUAGES:
        tree = html.fromstring(pages.render("index", language, content["index"]))
        assert tree.find_class("big")[0].text_content() == sealed.figure.text == "10/65 (15,3 %)"
        assert sealed.figure.upper_text in tree.text_content()
        assert sealed.figure.sha256 in tree.text_content()
        assert tree.get("lang") == language
    for name, text in _site(content, sealed).items():
        if name.endswith(".html") and "/" in name:
            tree = html.fromstring(text)
            assert len(tree.xpath("//h1")) == 1, name
            assert len(tree.xpath("//main")) == 1, name
            assert f" {sealed.figure.snapshot_id}, {sealed.figure.as_of}" in tree.xpath("//footer")[0].text_content(), (
                name
            )
            assert all(table.xpath("./caption") for table in tree.xpath("//table")), name
            assert all(cell.get("scope") for cell in tree.xpath("//th")), name
            ids = Counter(tree.xpath("//@id"))
            assert [i for i, count in ids.items() if count > 1] == [], name


def test_names_from_the_inventory_are_text_and_never_markup(content: dict[str, dict[str, Any]], sealed: Sealed) -> None:
    site = _site(content, sealed)
    for name, text in site.items():
        assert "<script" not in text.lower(), name
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", text.split("<main")[0] if "<main" in text else text), (
            name
        )
    hostile = site[pages.address("dataset", "fi", 'od/../d "id"<b>')]
    assert html.fromstring(hostile).xpath("//h1")[0].text_content() == made_up.HOSTILE
    assert not html.fromstring(hostile).xpath("//b | //script | //*[@onclick]")


def test_every_link_leads_to_a_page_that_is_there_and_none_out(
    content: dict[str, dict[str, Any]], sealed: Sealed
) -> None:
    site = _site(content, sealed)
    links = 0
    for name, text in site.items():
        if not name.endswith(".html"):
            continue
        tree = html.fromstring(text)
        for link in tree.xpath("//@href | //@src"):
            assert not re.match(r"[a-z]+:|/", link), (name, link)
            path, _, fragment = link.partition("#")
            target = str(PurePosixPath(name).parent.joinpath(path)) if path else name
            parts: list[str] = []
            for part in target.split("/"):
                parts = parts[:-1] if part == ".." else [*parts, part]
            target = "/".join(parts)
            assert target in site, (name, link)
            if fragment:
                assert html.fromstring(site[target]).xpath(f"//*[@id='{fragment}']"), (name, link)
            links += 1
    assert links > 1000


def test_languages_switch_to_the_same_page(content: dict[str, dict[str, Any]]) -> None:
    tree = html.fromstring(pages.render("dataset", "fi", content["dataset_3"]))
    switches = dict(zip(tree.xpath("//nav//a/@hreflang"), tree.xpath("//nav//a[@hreflang]/@href"), strict=True))
    assert switches == {"sv": "../../sv/datasets/dataset_3.html", "en": "../../en/datasets/dataset_3.html"}


def test_a_page_with_a_sector_or_level_that_no_text_knows_is_still_shown(sealed: Sealed) -> None:
    entry = replace(sealed.judged[0], sector="merged_away", criticality="odd", personal_data="odd", system="gone")
    assert pages._Words("fi").sector(entry.sector) == "merged_away"
    assert pages._Words("sv").value("criticality", entry.criticality, {}) == "odd"
    assert pages._Words("en").value("system", entry.system, {}) == "gone"


def test_numbers_and_moments_are_written_as_in_the_language() -> None:
    assert pages._Words("fi").number(Decimal("1234567.50")) == "1\u00a0234\u00a0567,5"
    assert pages._Words("sv").number(Decimal("0.25")) == "0,25"
    assert pages._Words("en").number(Decimal("1234.50")) == "1\u00a0234.5"
    assert pages._Words("fi").number(100) == "100"
    assert pages._Words("fi").number(Decimal("100")) == "100"
    assert pages._Words("fi").number(None) == "–"
    assert pages._Words("fi").moment(made_up.NOW) == "2026-03-12 11:30"


def test_a_town_with_one_language_has_pages_in_it_and_in_english(
    content: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    finnish = replace(town.load(), languages=("fi",))
    monkeypatch.setattr(town, "load", lambda: finnish)
    assert pages.languages() == ("fi", "en")
    tree = html.fromstring(pages.render("index", "fi", content["index"]))
    assert tree.xpath("//nav//a/@hreflang") == ["en"]
    assert pages.asked("sv/index.html") is None
    assert "sv/index.html" not in pages.first_page(content["index"]["figure"])


def test_before_there_is_a_snapshot_the_page_says_what_to_type() -> None:
    for language in LANGUAGES:
        tree = html.fromstring(pages.render("empty", language, {"figure": None}))
        assert tree.xpath("//code")[0].text_content() == "./citydata governance snapshot"
        assert [link for link in tree.xpath("//a/@href") if "index" not in link and link != "#content"] == []


def test_heat_shows_all_and_none_apart_and_counts_only_what_would_rise(sealed: Sealed) -> None:
    rows = dict(pages.heat(sealed.units))
    for sector, cells in rows.items():
        members = [entry for entry in sealed.judged if entry.sector == sector]
        for cell in cells:
            assert cell.of == len(members)
            assert cell.passed == sum(cell.criterion not in entry.missing for entry in members)
            assert (cell.shade == 4) == (cell.passed == cell.of)
            assert (cell.shade == 0) == (cell.passed == 0)
    one = [
        replace(sealed.judged[0], missing=("C7", "C12"), level=2),
        replace(sealed.judged[1], missing=("C7", "C8"), level=2),
    ]
    found = {blocker.criterion: (blocker.lacking, blocker.only) for blocker in share.blockers(one)}
    assert found["C7"] == (2, 1)
    assert found["C8"] == (1, 0)
    assert found["C12"] == (1, None)
    gone = [replace(one[0], uncounted="vanished")]
    assert {b.criterion: b.only for b in share.blockers(gone)}["C7"] == 0


def test_evidence_that_the_platform_renews_is_counted_and_what_people_renew_is_listed(sealed: Sealed) -> None:
    rows = [
        snapshot.EvidenceRow(**vars(row), dataset=dataset, number=number)
        for dataset, found in made_up.evidence_of(sealed.judged).items()
        for number, row in enumerate(found, start=1)
    ]
    listed, renewing = pages._expiring(rows, made_up.NOW)
    assert listed
    assert {row.criterion for row in listed} <= {"C7", "C9"}
    assert [row.expires_at for row in listed] == sorted(row.expires_at for row in listed)
    assert all(made_up.NOW < row.expires_at <= made_up.NOW + timedelta(days=30) for row in listed)
    assert renewing == sum(row.result == "not_applicable" for row in rows)


def test_the_last_change_is_where_the_figure_became_what_it_is(sealed: Sealed) -> None:
    same = replace(sealed.figure, snapshot_id=4, reason="nothing new")
    before = replace(sealed.figure, snapshot_id=2, n=9, share=Decimal("13.8"))
    assert pages._last_change([same, sealed.figure, before]) == (sealed.figure, before)
    assert pages._last_change([same, sealed.figure]) == (sealed.figure, None)


def test_a_day_has_one_point_and_the_chart_begins_at_its_left(sealed: Sealed) -> None:
    day = sealed.figure.as_of
    figures = [
        replace(sealed.figure, snapshot_id=9 - n, as_of=day - timedelta(days=n // 2), share=Decimal(50 - n))
        for n in range(8)
    ]
    trend = pages._one_a_day(figures)
    assert [figure.snapshot_id for figure in trend] == [9, 7, 5, 3]
    chart = pages.chart(trend)
    assert (chart.points[0][0], chart.points[-1][0]) == ("50.0", "620.0")
    assert chart.points[-1][1] == "100.0"
    assert pages.chart([replace(sealed.figure, share=None)]).points == ()
    old = replace(sealed.figure, as_of=day - timedelta(days=pages.TREND_DAYS))
    assert pages._one_a_day([sealed.figure, old]) == [sealed.figure]


def test_an_id_that_is_no_file_name_gets_one() -> None:
    assert pages.file_name("finance.accounts-2") == "finance.accounts-2"
    for odd in ("../../etc", ".hidden", "a/b", "ä", "", "a" * 200, "index.html\n"):
        assert re.fullmatch(r"[0-9a-f]{16}", pages.file_name(odd))
    for address in ("fi/../index.html", "de/index.html", "fi/datasets/.html/../x", "fi/index.html\n", "fi//index.html"):
        assert pages.asked(address) is None
