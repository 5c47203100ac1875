"""Unit tests reach no network: only this machine, on which some start a process or a database of their own."""

import pytest
from pytest_socket import socket_allow_hosts


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close the network before a test begins; pytest-socket opens it again afterwards."""
    socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)
