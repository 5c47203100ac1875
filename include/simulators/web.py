"""The source systems of a synthetic Porvoo that answer over HTTP, on one server of this machine.

Each module of a protocol gives its routes with their full paths; they ask for the town at each request, so that a day
that passes needs no new process. What real services do wrong is a middleware around all of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulators import Town, TownNow, features, fhir, random_for, sotkanet

LOG = logging.getLogger("simulators.web")
LOOPBACK = "127.0.0.1"
FAULTS = ("too many", "error", "unavailable", "cut", "reset", "report", "slow")
"""What happens to a request that has a fault, each equally often."""
RETRY_AFTER = 1
SLOWEST = 0.3


class TownOfFile:
    """The town as a state file has it now; where there is no file, town 1 on its first day."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._town = Town()

    def __call__(self) -> Town:
        """Read the file when it has changed. One that is being written is read at the next request."""
        try:
            status = self._path.stat()
            if (seen := (status.st_mtime_ns, status.st_size)) != self._seen:
                record = json.loads(self._path.read_text(encoding="utf-8"))
                recorded = {dataset: Path(path) for dataset, path in record.get("recorded", {}).items()}
                self._town = Town(record["seed"], record["scale"], record["day"], recorded)
                self._seen = seen
        except (FileNotFoundError, json.JSONDecodeError):
            pass
        return self._town


def app(town: TownNow, faults: float | Callable[[], float] = 0.0, seed: int = 0) -> Starlette:
    """All services. `faults` is the share of requests that something happens to, the same ones for the same `seed`."""
    rate = faults if callable(faults) else lambda: faults
    routes: list[BaseRoute] = [*sotkanet.routes(town), *fhir.routes(town), *features.routes(town)]
    return Starlette(routes=routes, middleware=[Middleware(_Faults, rate=rate, seed=seed)])


class _Connection(H11Protocol):
    """uvicorn's connection, which can be found by its peer: a fault breaks it in the middle of an answer."""

    opened: dict[tuple[str, int], asyncio.Transport] = {}  # noqa: RUF012 - of all connections of the process

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.access_log = False  # it would tell the values of queries, whatever else configures logging
        self.opened[transport.get_extra_info("peername")] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.opened.pop(self.transport.get_extra_info("peername"), None)
        super().connection_lost(exc)


class _Faults:
    """What services do wrong, and one line of log a request that never holds the values of a query."""

    def __init__(self, inner: ASGIApp, rate: Callable[[], float], seed: int) -> None:
        self._inner, self._rate, self._seed = inner, rate, seed
        self._requests = 0
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        with self._lock:
            self._requests += 1
            rng = random_for(self._seed, "web faults", self._requests)
        fault = rng.choice(FAULTS) if rng.random() < self._rate() else None
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._answer(fault, rng, scope, receive, watch)
        LOG.info("%s %s %s%s", scope["method"], scope["path"], status, f" ({fault})" if fault else "")

    async def _answer(self, fault: str | None, rng: random.Random, scope: Scope, receive: Receive, send: Send) -> None:
        agent = dict(scope["headers"]).get(b"user-agent", b"")
        if not agent.strip():
            await _say(send, 403, b"Forbidden")
        elif fault == "too many":
            await _say(send, 429, b"Too Many Requests", retry_after=RETRY_AFTER)
        elif fault == "error":
            await _say(send, 500, b"Internal Server Error")
        elif fault == "unavailable":
            await _say(send, 503, b"Service Unavailable", retry_after=RETRY_AFTER)
        elif fault == "report":
            content_type, body = _report(scope["path"])
            await _say(send, 200, body, content_type=content_type)
        elif fault in ("cut", "reset"):
            await self._broken(fault, scope, receive, send)
        else:
            if fault == "slow":
                await asyncio.sleep(rng.uniform(0.02, SLOWEST))
            await self._inner(scope, receive, send)

    async def _broken(self, fault: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Half of the answer, then the connection ends: closed (`cut`) or reset."""
        start: dict[str, Any] = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._inner(scope, receive, keep)
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        start["headers"] = [*headers, (b"content-length", str(len(body) + 1).encode())]
        await send(start)
        await send({"type": "http.response.body", "body": bytes(body[: len(body) // 2]), "more_body": True})
        transport = _Connection.opened.get(tuple(scope["client"]))
        if transport is None:
            raise RuntimeError("the services run on the server of this module, whose connections can be broken")
        if fault == "reset":
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _say(
    send: Send, status: int, body: bytes, *, content_type: str = "text/plain", retry_after: int | None = None
) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _report(path: str) -> tuple[str, bytes]:
    """What a service says with status 200 when it did not do what it was asked: content type and body."""
    if path.startswith("/wfs"):
        return "text/xml", (
            b'<?xml version="1.0" encoding="UTF-8"?>\n'
            b'<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="2.0.0">'
            b'<ows:Exception exceptionCode="NoApplicableCode"><ows:ExceptionText>'
            b"java.lang.RuntimeException: connection pool exhausted</ows:ExceptionText></ows:Exception>"
            b"</ows:ExceptionReport>"
        )
    return "text/html; charset=utf-8", (
        "<!DOCTYPE html><html><head><title>Häiriö</title></head>"
        "<body><h1>Palvelussa on häiriö – Störning i tjänsten</h1></body></html>"
    ).encode()


class Server(uvicorn.Server):
    """The server of all services on the loopback address; `address` is known when it listens."""

    def __init__(
        self, services: ASGIApp, port: int = 0, listening: Callable[[str], object] = lambda address: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                services,
                interface="asgi3",
                http=_Connection,
                lifespan="off",
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=1,
            )
        )
        self._port, self._listening = port, listening
        self.address = ""

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until SIGTERM, or until `should_exit` is set."""
        with socket.create_server((LOOPBACK, self._port), backlog=128) as listener:
            self.address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
            super().run([listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and only then tell the address."""
        await super().startup(sockets)
        self._listening(self.address)


def serve(town: TownNow, *, port: int, record: Path | None, faults: float) -> None:
    """Run all services until SIGTERM; `record` holds their address as soon as they answer."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def listening(address: str) -> None:
        if record:
            part = record.with_name(f"{record.name}.part")
            part.write_text(f"{address}\n", encoding="utf-8")
            os.replace(part, record)
        LOG.info("listening on %s", address)

    Server(app(town, faults, town().seed), port, listening).run()
