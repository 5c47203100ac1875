"""An object storage of a test's own: moto's server, which speaks S3 over HTTP, in a process and with a bucket."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.redis_server import free_port

BUCKET = "archive"
START_SECONDS = 30


@dataclass(frozen=True)
class ObjectStorage:
    """A running store with one empty bucket."""

    address: str
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """What the platform needs to keep its archive here."""
        return {
            "CITYDATA_ARCHIVE": f"s3://{BUCKET}/town",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "trial",
            "AWS_SECRET_ACCESS_KEY": "trial-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextlib.contextmanager
def running(*, host: str = "127.0.0.1") -> Iterator[ObjectStorage]:
    """An object storage that listens on `host`; everything in it is gone afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="citydata-objects-") as directory:
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "--host", host, "--port", str(port)],
                env=os.environ | {"TMPDIR": directory},  # where it keeps large objects
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            store = ObjectStorage(f"http://127.0.0.1:{port}", process)
            deadline = time.monotonic() + START_SECONDS
            while True:
                with contextlib.suppress(requests.ConnectionError):
                    requests.put(f"{store.address}/{BUCKET}", timeout=START_SECONDS).raise_for_status()
                    break
                assert process.poll() is None, f"moto's server ended: {log.read_text(errors='replace')[-500:]}"
                assert time.monotonic() < deadline, f"moto's server does not answer after {START_SECONDS} s"
                time.sleep(0.05)
            yield store
        finally:
            process.kill()
            process.wait()
