"""Every kind of page in every language in a browser: WCAG 2.1 A and AA, narrow windows, no scripts, nothing from outside."""

import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import uvicorn
from starlette.requests import Request

from citydata.governance.snapshot import Figure
from citydata.portal import pages, web
from tests.browser import Browser
from tests.unit.portal import made_up

UNFOLD = "document.querySelectorAll('details').forEach(part => { part.open = true; })"
WIDTHS = (1280, 320)


def _addresses(language: str) -> list[str]:
    hostile = next(entry for entry in made_up.judged() if entry.name_fi == made_up.HOSTILE)
    found = [pages.address(page, language) for page in pages.PAGES]
    return [*found, *(pages.address("dataset", language, name) for name in ("dataset_3", "dataset_7", hostile.dataset))]


@pytest.mark.parametrize("language", ["fi", "sv", "en"])
def test_pages_break_no_rule_of_wcag(browser: Browser, site: Path, language: str) -> None:
    for address in ["index.html", *_addresses(language)]:
        for width in WIDTHS:
            browser.open((site / address).as_uri(), width=width)
            browser.driver.execute_script(UNFOLD)
            # What changes with the width is the same in every language.
            if width == WIDTHS[0] or language == "fi":
                assert browser.violations() == [], (address, width)
            assert browser.overflow() == 0, (address, width)


def test_the_rules_find_what_is_wrong(browser: Browser, site: Path) -> None:
    """A page that breaks them is not passed: the check above can fail."""
    text = (site / "fi" / "index.html").read_text(encoding="utf-8")
    text = text.replace('<html lang="fi">', "<html>").replace("<caption", '<img src="x.png"><caption', 1)
    (site / "fi" / "broken.html").write_text(text, encoding="utf-8")
    browser.open((site / "fi" / "broken.html").as_uri())
    assert {found.partition(":")[0] for found in browser.violations()} >= {"html-has-lang", "image-alt"}


def test_the_content_is_there_without_scripts(browser: Browser, sealed: Figure, site: Path) -> None:
    for language in pages.languages():
        browser.open((site / pages.address("index", language)).as_uri(), scripts=False)
        shown = browser.text()
        assert sealed.text in shown
        assert pages.texts()["heat.heading"][language] in shown
        browser.open((site / pages.address("dataset", language, "dataset_3")).as_uri(), scripts=False)
        assert pages.texts()["met.C11"][language] in browser.text()


def test_style_is_applied_and_a_keyboard_reaches_what_scrolls(browser: Browser, site: Path) -> None:
    browser.open((site / "fi" / "index.html").as_uri(), width=320)
    colour = browser.driver.execute_script("return getComputedStyle(document.querySelector('header')).backgroundColor")
    assert colour == "rgb(11, 61, 102)"
    scrolling = browser.driver.execute_script(
        "return [...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))"
        ".map(e => [e.tabIndex, e.getAttribute('role'), document.getElementById(e.getAttribute('aria-labelledby'))?.textContent])"
    )
    assert scrolling
    assert all(index == 0 and role == "region" and name for index, role, name in scrolling)


@pytest.fixture
def address(sealed: Figure) -> Iterator[str]:
    """The portal over HTTP, with its security headers."""

    async def everybody(request: Request) -> HTTPStatus:
        return HTTPStatus.OK

    config = uvicorn.Config(web.application(everybody, lambda request: ""), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def test_nothing_is_asked_from_outside_and_the_policy_lets_the_style_in(browser: Browser, address: str) -> None:
    for page in _addresses("sv"):
        browser.open(f"{address}/{page}")
        asked = browser.driver.execute_script(
            "return performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        assert asked == [f"{address}/style.css"], page
        assert len(browser.driver.execute_script("return [...document.styleSheets[0].cssRules].map(String)")) > 50


def test_the_policy_lets_no_other_content_in(browser: Browser, address: str) -> None:
    browser.open(f"{address}/fi/index.html")
    refused = browser.driver.execute_async_script(
        "const done = arguments[0]; const seen = [];"
        "document.addEventListener('securitypolicyviolation', e => seen.push(e.effectiveDirective));"
        "for (const [tag, source] of [['script', 'x.js'], ['img', 'x.png'], ['iframe', 'x.html']]) {"
        "  const e = document.createElement(tag); e.src = source; document.body.append(e); }"
        "const style = document.createElement('style'); style.textContent = 'p {}'; document.body.append(style);"
        "setTimeout(() => done(seen), 500)"
    )
    assert set(refused) >= {"script-src-elem", "img-src", "frame-src", "style-src-elem"}
