"""Chromium without a window, to look at pages as readers do: narrow, without scripts, and with axe-core's rules (WCAG)."""

import os
import shutil
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests import debian_packages

PACKAGES = ("chromium", "chromium-driver")
PAGE_SECONDS = 60
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
"""axe-core's tags of WCAG 2.1, levels A and AA."""


class Browser:
    """One Chromium; pages are addressed by URL."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self._axe = resources.files("selenium_axe_python").joinpath("axe-core/axe.min.js").read_text(encoding="utf-8")

    def open(self, url: str, *, width: int = 1280, scripts: bool = True) -> None:
        """Show a page in a window of `width` × 900 CSS pixels, with the page's scripts allowed or not."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        self.driver.get(url)

    def text(self) -> str:
        """What a reader sees of the page, without what is folded. Works where the page's scripts are off."""
        return self.driver.find_element("tag name", "body").text

    def violations(self) -> list[str]:
        """What breaks a rule of WCAG 2.1 A or AA on the page: rule, what it asks, and where."""
        self.driver.execute_script(self._axe)
        result: dict[str, Any] = self.driver.execute_async_script(
            "const done = arguments[1]; axe.run(document, {runOnly: arguments[0]}).then(done, e => done({error: String(e)}))",
            list(WCAG),
        )
        assert "error" not in result, result["error"]
        assert len(result["passes"]) > 10, "axe-core looked at next to nothing"
        return [
            f"{rule['id']}: {rule['help']}: {node['target'][0]}: {node['failureSummary']}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window: what must be scrolled sideways to be read."""
        return int(
            self.driver.execute_script("const e = document.documentElement; return e.scrollWidth - e.clientWidth")
        )


def _found() -> tuple[str, str] | None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver") or shutil.which("chromium.chromedriver")
    return (browser, driver) if browser and driver else None


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser of this session, installed where it is missing. Skips where it cannot be had; in CI that is a failure."""
    binary, driver_path = debian_packages.required(_found, *PACKAGES)
    options = ChromeOptions()
    options.binary_location = binary
    for argument in (
        *("--headless=new", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"),
        *("--no-proxy-server", "--disable-background-networking"),
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    # Paths are given, so that selenium looks for nothing on the network.
    driver = Chrome(options=options, service=Service(executable_path=driver_path))
    driver.set_page_load_timeout(PAGE_SECONDS)
    driver.set_script_timeout(PAGE_SECONDS)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
