"""The site: every link leads somewhere, the reference holds what contracts and models say, everybody can read it."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from citydata import contract, settings
from citydata.documentation import DocumentationError, models, site
from tests.browser import Browser

EACH_KIND = (
    "index.html",
    "tutorials/index.html",
    "how-to/add-a-dataset.html",
    "reference/tables/index.html",
    "reference/tables/mart_finance.purchase.html",
    "reference/datasets/gis.buildings.html",
    "reference/commands.html",
    "reference/connectors.html",
    "explanation/design.html",
    "runbooks/held-batch.html",
    "glossary.html",
)


def test_every_contract_and_every_table_has_its_page(built: Path) -> None:
    for name in contract.load_all():
        assert (built / "reference" / "datasets" / f"{name}.html").exists(), name
    assert len(models.released()) > 20
    for model in models.released():
        assert (built / "reference" / "tables" / f"{model.schema}.{model.table}.html").exists(), model.name


@pytest.mark.parametrize("page", EACH_KIND)
def test_a_page_of_each_kind_breaks_no_rule_of_wcag(address: str, browser: Browser, page: str) -> None:
    browser.open(f"{address}/{page}")
    assert browser.violations() == []


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that makes a site's pages of a text for the front page, and returns their directory."""

    def make(index: str) -> Path:
        docs = tmp_path / "docs"
        docs.mkdir()
        (docs / "index.md").write_text(index, encoding="utf-8")
        (docs / "conf.py").write_text((site.DOCS / "conf.py").read_text(encoding="utf-8"), encoding="utf-8")
        monkeypatch.setattr(site, "DOCS", docs)
        monkeypatch.setattr(site, "GENERATED", ())
        return docs

    return make


def test_a_link_that_leads_nowhere_is_told_until_it_leads_somewhere(
    documented: Callable[[str], Path], tmp_path: Path
) -> None:
    docs = documented("# Here\n\n[gone](gone.md)\n\n```{toctree}\n:glob:\n\n*\n```\n")
    (docs / "there.md").write_text("# There\n", encoding="utf-8")
    with pytest.raises(DocumentationError, match=r"docs/index\.md:3: .*'gone\.md'"):
        site.build(tmp_path / "state")
    (docs / "gone.md").write_text("# Found\n", encoding="utf-8")
    assert 'href="gone.html"' in (site.build(tmp_path / "state") / "index.html").read_text(encoding="utf-8")
    (docs / "gone.md").unlink()
    with pytest.raises(DocumentationError, match=r"docs/index\.md:3: .*'gone\.md'"):
        site.build(tmp_path / "state")


def test_an_address_outside_that_answers_not_found_is_told_and_one_that_answers_is_not(
    documented: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    answering = tmp_path / "elsewhere"
    answering.mkdir()
    (answering / "there.html").write_text("<p>there</p>", encoding="utf-8")
    with site.serve(answering, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        docs = documented(f"# Here\n\n[there]({address}/there.html)\n\n[gone]({address}/gone.html)\n")
        site.build(tmp_path / "state")
        with pytest.raises(DocumentationError) as told:
            site.check_links(tmp_path / "state")
        (docs / "index.md").write_text(f"# Here\n\n[there]({address}/there.html)\n", encoding="utf-8")
        site.build(tmp_path / "state")
        site.check_links(tmp_path / "state")
        server.shutdown()
    assert f"{address}/gone.html" in str(told.value)
    assert "404" in str(told.value)
    assert "there.html" not in str(told.value)


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DocumentationError, match="holds other things than a site"):
        site.build(tmp_path / "state", tmp_path)


def test_links_of_the_front_page_lead_to_files() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (settings.ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 5
    assert [link for link in links if not (settings.ROOT / link).exists()] == []
