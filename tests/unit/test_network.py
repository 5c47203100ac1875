"""The network is closed in unit tests."""

import socket

import pytest
from pytest_socket import SocketConnectBlockedError


def test_no_host_but_this_machine_is_reached() -> None:
    with socket.socket() as client, pytest.raises(SocketConnectBlockedError):
        client.connect(("192.0.2.1", 80))
