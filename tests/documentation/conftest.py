"""The site, built once for all tests that look at it. The network is closed, as in unit tests."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts
from typer.testing import CliRunner

from citydata.cli import app
from citydata.settings import ROOT
from tests.browser import browser

__all__ = ["browser"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close the network before a test begins; pytest-socket opens it again afterwards."""
    socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the whole site, built without a warning where `./citydata docs` keeps its own."""
    home = tmp_path_factory.mktemp("home")
    directory = home / "documentation" / "html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_HOME", str(home))
        done = CliRunner().invoke(app, ["docs", "--build", str(directory)])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(directory / "index.html")
    return directory


@pytest.fixture(scope="session")
def address(built: Path) -> Iterator[str]:
    """Where `./citydata docs` serves the site; what was built before is not built again."""
    environment = os.environ | {"CITYDATA_HOME": str(built.parents[1])}
    with subprocess.Popen(
        ["./citydata", "docs"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout
        yield serving.stdout.readline().split()[0].rstrip("/")
        serving.send_signal(signal.SIGINT)
        assert serving.wait(timeout=30) == 130
