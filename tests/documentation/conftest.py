"""The site, built once for all tests that look at it. The network is closed, as in unit tests."""

from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts
from typer.testing import CliRunner

from citydata.cli import app
from tests.browser import browser

__all__ = ["browser"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close the network before a test begins; pytest-socket opens it again afterwards."""
    socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of the whole site, built without a warning."""
    directory = tmp_path_factory.mktemp("documentation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_HOME", str(directory / "home"))
        done = CliRunner().invoke(app, ["docs", "--build", str(directory / "site")])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(directory / "site" / "index.html")
    return directory / "site"
