"""The portal and the static site on a database with a sealed snapshot, as the role of the portal."""

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import psycopg
import pytest
from lxml import html
from psycopg import sql
from starlette.requests import Request
from starlette.testclient import TestClient

from citydata import contract, database
from citydata.governance import snapshot
from citydata.governance.snapshot import Figure
from citydata.portal import pages, static_site, web
from tests.unit.portal import made_up


async def _everybody(request: Request) -> HTTPStatus:
    return HTTPStatus.OK


@pytest.fixture
def client(platform: Path) -> TestClient:
    """A client that may read."""
    return TestClient(web.application(_everybody, lambda request: ""))


def test_the_figure_is_the_same_everywhere(portal: psycopg.Connection, site: Path, client: TestClient) -> None:
    figure = snapshot.required(portal)
    for language in pages.languages():
        address = pages.address("index", language)
        for text in (client.get(f"/{address}").text, (site / address).read_text(encoding="utf-8")):
            tree = html.fromstring(text)
            assert tree.find_class("big")[0].text_content() == figure.text
            assert figure.upper_text in tree.text_content()
            assert figure.sha256 in tree.text_content()
    assert html.fromstring(client.get("/").text).find_class("big")[0].text_content() == figure.text


def test_portal_and_site_have_the_same_pages(site: Path, client: TestClient) -> None:
    files = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert len(files) == 2 + 3 * (len(pages.PAGES) + len(made_up.judged()))
    clock = re.compile(r"\d\d:\d\d")
    for name in files:
        answer = client.get(f"/{name}")
        assert answer.status_code == HTTPStatus.OK, name
        assert clock.sub("", answer.text) == clock.sub("", (site / name).read_text(encoding="utf-8")), name
    for missing in ("fi/datasets/nothing.html", "fi/nothing.html", "de/index.html", "fi/datasets/../index.htm"):
        answer = client.get(f"/{missing}")
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert pages.texts()["missing.heading"]["sv"] in answer.text


def test_a_dataset_is_shown_down_to_the_row_of_evidence(site: Path) -> None:
    tree = html.fromstring((site / pages.address("dataset", "fi", "dataset_3")).read_text(encoding="utf-8"))
    text = tree.text_content()
    for shown in (
        "Kirjanpidon tilit",
        "Laskentapäällikkö (laskentapaallikko)",
        "finance.suppliers",
        "1\u00a0234,5 / 90 d",
        "D-3",
    ):
        assert shown in text
    assert len(tree.xpath("//table[contains(@class, 'evidence')]/tbody/tr")) == 14
    checks = tree.xpath("//section[@aria-labelledby='checks']//tbody/tr")
    assert [row.find_class("badge")[0].text_content() for row in checks] == ["läpäisty", "virhe"]
    assert "Tili alkaa kuntien tilikartan luokalla" in checks[0].text_content()
    assert checks[1].xpath(".//span[@lang='en']")[0].text_content() == "No suite."
    batches = tree.xpath("//section[@aria-labelledby='batches']//tbody/tr")
    assert [row.xpath("./td[2]")[0].text_content() for row in batches] == ["julkaistu", "pidätetty"]


def test_expired_evidence_says_so(platform: Path, client: TestClient) -> None:
    with database.connect("measurer") as connection:
        made_up.seal(connection, datetime.now(UTC) - timedelta(days=3), days=1)
    tree = html.fromstring(client.get("/en/datasets/dataset_0.html").text)
    last = [
        row.xpath("./td[last()]")[0].text_content()
        for row in tree.xpath("//table[contains(@class, 'evidence')]//tr[td]")
    ]
    # Measurements held for two days; what people reviewed holds longer, or expired long ago.
    assert last.count("yes") > 10
    assert "no" in last


def test_quality_counts_the_newest_result_of_each_check(site: Path) -> None:
    tree = html.fromstring((site / "sv/quality.html").read_text(encoding="utf-8"))
    [row] = tree.xpath("//section[@aria-labelledby='by-dataset']//tbody/tr")
    assert [cell.text_content() for cell in row.xpath("./td")] == ["1", "0", "1"]
    rows = tree.xpath("//section[@aria-labelledby='by-dimension']//tbody/tr")
    assert len(rows) == 12
    assert [cell.text_content().strip() for cell in rows[0]] == ["korrekthet", "1", "0", "1"]


def test_a_page_is_of_one_snapshot_while_the_next_is_sealed(
    sealed: Figure, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pages.read

    def read_slowly(connection: psycopg.Connection, now: datetime) -> pages.Sealed | None:
        found = read(connection, now)
        with database.connect("measurer") as other:
            made_up.seal(other, now + timedelta(days=1), days=1)
        return found

    monkeypatch.setattr(pages, "read", read_slowly)
    tree = html.fromstring(client.get("/fi/index.html").text)
    numbers = [
        row.xpath("./td[last()]")[0].text_content() for row in tree.xpath("//section[@aria-labelledby='trend']//tr[td]")
    ]
    assert numbers == ["3", "2", "1"]
    monkeypatch.setattr(pages, "read", read)
    assert (
        f" {sealed.snapshot_id + 1}, "
        in html.fromstring(client.get("/fi/index.html").text).xpath("//footer")[0].text_content()
    )


def test_the_portal_changes_nothing(sealed: Figure) -> None:
    for statement in (
        "DELETE FROM governance.snapshot",
        "UPDATE ops.batch SET state = 'published'",
        "TABLE restricted.pseudonym_key",
    ):
        with database.connect("portal") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_quarantine_is_counted_where_the_role_may_and_never_taken_for_empty(portal: psycopg.Connection) -> None:
    systems = sorted({entry.system for entry in contract.load_all().values()})
    with database.connect_admin(autocommit=True) as admin:
        admin.execute("GRANT USAGE ON SCHEMA quarantine TO citydata_portal")
        for system in systems:
            admin.execute(sql.SQL("REVOKE ALL ON {} FROM citydata_portal").format(sql.Identifier("quarantine", system)))
        assert pages._quarantined(portal) == pages.Quarantined((), tuple(systems))
        admin.execute("GRANT SELECT (dataset, state, created_at) ON quarantine.finance TO citydata_portal")
        row = "('finance.accounts', 1, 1, '{x}', '{}', %s)"
        admin.execute(
            f"INSERT INTO quarantine.finance (dataset, batch_id, row_number, reasons, row, state) VALUES {row}, {row}, {row}",
            ("open", "open", "resolved"),
        )
    counted = pages._quarantined(portal)
    assert [found[:2] for found in counted.rows] == [("finance.accounts", 2)]
    assert counted.unread == tuple(system for system in systems if system != "finance")


def test_a_site_replaces_the_one_before_whole(portal: psycopg.Connection, site: Path) -> None:
    (site / "fi" / "datasets" / "gone.html").write_text("old", encoding="utf-8")
    before = site.with_name(".site.before")
    site.rename(before)  # as if the writer had been killed between its two renames
    assert static_site.write(portal, site) == 1 + 3 * (len(pages.PAGES) + len(made_up.judged()))
    assert not (site / "fi" / "datasets" / "gone.html").exists()
    assert {path.name for path in site.parent.iterdir()} & {".site.before"} == set()
    assert [path for path in site.parent.iterdir() if path.name.startswith(".site.") and path.is_dir()] == []


def test_a_folder_with_other_files_is_left_alone(portal: psycopg.Connection, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(static_site.SiteError, match="name another directory"):
        static_site.write(portal, tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text(encoding="utf-8") == "dear"


def test_before_there_is_a_snapshot_portal_and_site_say_what_to_type(client: TestClient, tmp_path: Path) -> None:
    with database.connect("portal", autocommit=True) as connection:
        assert static_site.write(connection, tmp_path / "site") == 1 + 3 * len(pages.PAGES)
    for path in ("fi/index.html", "sv/datasets.html", "en/method.html"):
        for text in (client.get(f"/{path}").text, (tmp_path / "site" / path).read_text(encoding="utf-8")):
            assert "./citydata governance snapshot" in text
    assert pages.texts()["empty.heading"]["fi"] in client.get("/index.html").text
    assert client.get("/fi/datasets/dataset_3.html").status_code == HTTPStatus.NOT_FOUND
