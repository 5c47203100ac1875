"""Who is refused, whatever they ask for, and what is served to those who are not."""

import logging
import random
import string
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Match
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from citydata.portal import pages, web

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "MADEUP")
LOGIN = "http://testserver/auth/login?next=%3C%22"


def _no_database() -> psycopg.Connection:
    raise psycopg.OperationalError('connection to server at "10.0.0.1" failed for user "portal"')


@pytest.fixture
def app() -> FastAPI:
    """The application: the header X-Who says who asks, and the database is down."""

    async def admit(request: Request) -> HTTPStatus:
        return {"officer": HTTPStatus.OK, "guest": HTTPStatus.FORBIDDEN}.get(
            request.headers.get("x-who", ""), HTTPStatus.UNAUTHORIZED
        )

    return web.application(admit, lambda request: LOGIN, _no_database)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A client of the application, mounted as Airflow mounts it."""
    outer = FastAPI()
    outer.mount("/governance", app)
    with TestClient(outer, base_url="http://testserver/governance/") as found:
        yield found


def _paths(app: FastAPI) -> list[str]:
    random.seed(638)
    alphabet = string.ascii_letters + string.digits + "/._-~%"
    made_up = ["".join(random.choices(alphabet, k=random.randint(1, 40))).lstrip("/") for _ in range(40)]  # noqa: S311
    known = [pages.address(page, language) for page in pages.PAGES for language in pages.languages()]
    routes = [getattr(route, "path", "").replace("{path:path}", "x").lstrip("/") for route in app.routes]
    return [
        *routes, *known, *made_up, "", "index.html", "style.css", "fi", "fi/", "fi/datasets/finance.accounts.html", "docs", "redoc",
    ]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_whoever_has_not_signed_in_is_refused_everywhere(app: FastAPI, client: TestClient, method: str) -> None:
    for path in _paths(app):
        answer = client.request(method, path, follow_redirects=False)
        assert answer.status_code == HTTPStatus.UNAUTHORIZED, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert {name: answer.headers[name] for name in web.HEADERS} == web.HEADERS
        if method == "HEAD":
            assert answer.content == b""
            continue
        for language in pages.languages():
            assert pages.texts()["refused.text"][language] in answer.text
        assert 'href="http://testserver/auth/login?next=%3C%22"' in answer.text
        assert "style.css" not in answer.text


def test_every_route_lies_behind_the_gate(app: FastAPI, client: TestClient) -> None:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/anything/at/all", "headers": []}
    assert [route.matches(scope)[0] for route in app.routes] == [Match.FULL]
    assert app.openapi_url is None
    assert app.docs_url is None
    assert app.redoc_url is None


def test_websockets_are_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("ws://testserver/governance/fi"):
        pass


def test_who_has_signed_in_but_may_not_read_is_told_so(client: TestClient) -> None:
    answer = client.get("fi/index.html", headers={"x-who": "guest"})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert pages.texts()["forbidden.text"]["sv"] in answer.text
    assert LOGIN not in answer.text


def test_who_may_read_gets_the_style_and_is_led_to_the_first_page(client: TestClient) -> None:
    officer = {"x-who": "officer"}
    style = client.get("style.css", headers=officer)
    assert (style.status_code, style.headers["content-type"]) == (HTTPStatus.OK, "text/css; charset=utf-8")
    assert {name: style.headers[name] for name in web.HEADERS} == web.HEADERS
    for start in ("fi", "fi/"):
        answer = client.get(start, headers=officer, follow_redirects=False)
        assert answer.status_code == HTTPStatus.TEMPORARY_REDIRECT
        assert (
            str(client.base_url.join(start).join(answer.headers["location"]))
            == "http://testserver/governance/fi/index.html"
        )
    assert client.post("fi/index.html", headers=officer).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_database_that_is_down_is_told_without_its_address(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get("fi/index.html", headers={"x-who": "officer"})
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert pages.texts()["down.heading"]["en"] in answer.text
    assert "10.0.0.1" not in answer.text + caplog.text
    assert "fi/index.html" in caplog.text
