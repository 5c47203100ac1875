"""The portal as an ASGI application. Who may read is decided before an address is looked at; how, its caller says."""

import functools
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus

import psycopg
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from citydata import database
from citydata.portal import pages

log = logging.getLogger(__name__)

Admit = Callable[[Request], Awaitable[HTTPStatus]]
"""OK for who may read, UNAUTHORIZED for who has not signed in, FORBIDDEN for who may not."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
AT_ONCE = 4
"""Pages that are read from the database at the same time; the others wait."""


def application(
    admit: Admit,
    login: Callable[[Request], str],
    connect: Callable[[], psycopg.Connection] | None = None,
) -> FastAPI:
    """The application, to be mounted anywhere: its pages have relative links only.

    `login` says where to sign in, `connect` opens a connection to the database: as the role portal when nothing else is said.
    """
    connect = connect or functools.partial(database.connect, "portal")
    # Every page is beneath one route, so there is none that could be open; and none that describes the others.
    app = FastAPI(title="Governance portal", docs_url=None, redoc_url=None, openapi_url=None)
    limiter = CapacityLimiter(AT_ONCE)

    async def page(path: str) -> Response:
        if path == "style.css":
            return Response(pages.STYLE.read_bytes(), media_type="text/css")
        if path in pages.languages():
            return RedirectResponse(f"{path}/index.html")
        if path.removesuffix("/") in pages.languages():
            return RedirectResponse("index.html")
        return await to_thread.run_sync(_read, connect, path, limiter=limiter)

    app.add_api_route("/{path:path}", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_middleware(Gate, admit=admit, login=login)
    return app


class Gate:
    """Refuses whoever may not read, whatever they ask for, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, admit: Admit, login: Callable[[Request], str]) -> None:
        self._app = app
        self._admit = admit
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope, receive)
        status = await self._admit(request)
        if status is HTTPStatus.OK:
            await self._app(scope, receive, send_with_headers)
            return
        refused = status is HTTPStatus.UNAUTHORIZED
        text = pages.notice("refused" if refused else "forbidden", link=self._login(request) if refused else None)
        response = HTMLResponse("" if request.method == "HEAD" else text, status)
        if refused:
            response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send_with_headers)


def _read(connect: Callable[[], psycopg.Connection], path: str) -> Response:
    """A page as the database says now: one transaction, so that all of it is of one snapshot."""
    root = "../" * path.count("/")
    try:
        with connect() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            text = _page(connection, path)
    except psycopg.Error as error:
        log.error("the page %s could not be read: %s", path, database.cleaned(error))
        return HTMLResponse(pages.notice("down", root=root), HTTPStatus.SERVICE_UNAVAILABLE)
    if text is None:
        return HTMLResponse(pages.notice("missing", root=root, link=f"{root}index.html"), HTTPStatus.NOT_FOUND)
    return HTMLResponse(text)


def _page(connection: psycopg.Connection, path: str) -> str | None:
    sealed = pages.read(connection, datetime.now(UTC))
    if path in ("", "index.html"):
        return pages.first_page(sealed.figure if sealed else None)
    asked = pages.asked(path)
    if asked is None:
        return None
    if sealed is None:
        return pages.render("empty", asked.language, {"figure": None}) if asked.name is None else None
    if asked.name is None:
        return pages.render(asked.page, asked.language, pages.data(connection, asked.page, sealed))
    entry = sealed.find(asked.name)
    if entry is None:
        return None
    return pages.render("dataset", asked.language, pages.data(connection, "dataset", sealed, entry))
