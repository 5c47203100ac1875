"""A Redis of a test's own: on a free port, with a password, nothing kept. Installed from Debian where it may be."""

import contextlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests import debian_packages

PACKAGE = "redis-server"
START_SECONDS = 20


@dataclass(frozen=True)
class RedisServer:
    """A running Redis."""

    port: int
    password: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address with the password, as CITYDATA_BROKER_URL wants it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


@contextlib.contextmanager
def running(*, host: str = "127.0.0.1") -> Iterator[RedisServer]:
    """A Redis that listens on `host`; skips where it cannot be had, which in CI is a failure."""
    program = debian_packages.required(lambda: shutil.which("redis-server"), PACKAGE)
    password = secrets.token_hex(16)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="citydata-redis-") as directory:
        settings = Path(directory) / "redis.conf"
        settings.write_text(
            f'bind {host}\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {directory}\n',
            encoding="ascii",
        )
        process = subprocess.Popen(
            [program, settings], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            server = RedisServer(port, password, process)
            _wait(server)
            yield server
        finally:
            process.kill()
            process.wait()


def _wait(server: RedisServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(server.url) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                assert server.process.poll() is None, f"redis-server ended with {server.process.returncode}"
                assert time.monotonic() < deadline, f"redis-server does not answer after {START_SECONDS} s"
                time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
