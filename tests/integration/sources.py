"""The synthetic services of a test: their day, recorded answers and faults can change while it runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from simulators import Town, web


class Sources:
    """One server for the whole session; each test has services of its own behind it, which `reset` makes new."""

    def __init__(self) -> None:
        self.listening = threading.Event()
        self.server = web.Server(self._answer, listening=lambda address: self.listening.set())
        self.reset(scale=1.0)

    def reset(self, *, scale: float) -> None:
        """The first day of a small town without faults or recorded answers."""
        self.town, self.faults = Town(scale=scale), 0.0
        self._services: ASGIApp = web.app(lambda: self.town, lambda: self.faults)

    @property
    def address(self) -> str:
        """Where the services are, without a path."""
        return self.server.address

    def advance(self, days: int = 1) -> None:
        """Let days pass."""
        self.town = replace(self.town, day=self.town.day + days)

    def serve_recorded(self, dataset: str, path: Path) -> None:
        """Answer for a dataset with a recorded file from now on."""
        self.town = replace(self.town, recorded={**self.town.recorded, dataset: path})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._services(scope, receive, send)


@contextmanager
def running() -> Iterator[Sources]:
    """Serve in a thread until the block ends."""
    sources = Sources()
    thread = threading.Thread(target=sources.server.run, daemon=True)
    thread.start()
    assert sources.listening.wait(10), "the synthetic services do not listen"
    yield sources
    sources.server.should_exit = True
    thread.join(10)
