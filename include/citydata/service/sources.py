"""The synthetic source systems that answer over HTTP: one process of the installation, at the same address after a restart."""

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from citydata import contract
from citydata.connector_options import FhirConnector
from citydata.service.postgres import is_free
from citydata.service.processes import Daemon
from citydata.settings import ROOT

PREFERRED_PORT = 5480
_LISTENS_SECONDS = 30.0


class SourcesError(RuntimeError):
    """The process cannot be started; the message has the end of its log."""


def _clients() -> dict[str, str]:
    """Clients of the FHIR server by their id, and their public keys (PEM): those of the contracts whose private key is here."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # only who starts the services needs it

    found = {}
    for entry in contract.load_each()[0].values():
        connector = entry.platform.connector
        if isinstance(connector, FhirConnector) and connector.client_id:
            key = os.environ.get(f"CITYDATA_SOURCE_{connector.connection.upper()}_KEY", "")
            if key:
                private = serialization.load_pem_private_key(key.replace("\\n", "\n").encode(), None)
                form = serialization.PublicFormat.SubjectPublicKeyInfo
                public = private.public_key().public_bytes(serialization.Encoding.PEM, form)
                found[connector.client_id] = public.decode()
    return found


class Sources:
    """The process of the installation in `home`; it serves the town of `home`/simulation.json."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._daemon = Daemon("sources", home)
        self._record = home / "run" / "sources.address"

    @property
    def name(self) -> str:
        """Name of the process."""
        return self._daemon.name

    @property
    def address(self) -> str:
        """Where the services are, without a path; empty before the first start."""
        return self._record.read_text(encoding="utf-8").strip() if self._record.exists() else ""

    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._daemon.is_running()

    def start(self) -> None:
        """Start the process if it does not run, and wait until it listens. Raises SourcesError when it does not."""
        if self.is_running():
            return
        port = self._free_port()
        self._record.unlink(missing_ok=True)
        command = [sys.executable, "-m", "simulators", "serve", "--state", str(self._home / "simulation.json")]
        command += ["--port", str(port), "--record", str(self._record)]
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT / "include"), "SIMULATORS_FHIR_CLIENTS": json.dumps(_clients())}
        self._daemon.start(command, environment, self._home)
        deadline = time.monotonic() + _LISTENS_SECONDS
        while not self.address:
            if time.monotonic() > deadline or not self.is_running():
                log = self._daemon.tail()
                self._daemon.stop()
                raise SourcesError(
                    f"the synthetic sources do not answer on port {port}; end of {self._daemon.log}:\n{log}"
                )
            time.sleep(0.05)

    def _free_port(self) -> int:
        first = urlsplit(self.address).port or int(os.environ.get("CITYDATA_SOURCES_PORT") or PREFERRED_PORT)
        for port in range(first, first + 100):
            if is_free(port):
                return port
        raise SourcesError(
            f"no free port from {first} on 127.0.0.1 for the synthetic sources; set CITYDATA_SOURCES_PORT"
        )

    def stop(self) -> bool:
        """End it; return whether it ran."""
        return self._daemon.stop()
