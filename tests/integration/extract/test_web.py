"""Asking a source over HTTP: what is asked again, what ends at once, and how all tasks keep its pace."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from citydata import database
from citydata.connector_options import HttpOptions
from citydata.extract import SourceError
from citydata.extract.web import Answer, Session, Unfit

Reply = Callable[[http.server.BaseHTTPRequestHandler], None]


def say(status: int, body: bytes = b"{}", **headers: str) -> Reply:
    """A whole answer."""

    def reply(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return reply


class Source:
    """A server that gives the replies that a test lists, one a request, and the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[tuple[str, dict[str, str], float]] = []
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.requests.append((self.path, dict(self.headers), time.monotonic()))
                source.replies[min(len(source.requests), len(source.replies)) - 1](self)

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def source(platform: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A source that sessions of this test ask."""
    made = Source()
    monkeypatch.setenv("CITYDATA_SOURCE_TRIAL", f"http://reader:geheim@{made.address}/api/")
    yield made
    made.server.shutdown()
    made.server.server_close()


def session(**options: float) -> Session:
    """A session with the trial source."""
    return Session("trial.rows", HttpOptions(connection="trial", **{"requests_per_second": 100, **options}))


def test_an_answer_comes_whole_with_what_the_source_said(source: Source) -> None:
    source.replies = [say(200, b'{"rows": [1]}', Content_Type="application/json")]
    answer = session().get("rows", {"year": ["2021", "2022"]}, accept="application/json")
    assert answer.json() == {"rows": [1]}
    assert (answer.status, answer.bytes, answer.content_type) == (200, 13, "application/json")
    [(path, headers, _)] = source.requests
    assert path == "/api/rows?year=2021&year=2022"
    assert "data platform" in headers["User-Agent"]
    assert headers["Authorization"].startswith("Basic ")
    assert "geheim" not in answer.url


def test_another_server_is_not_told_the_login(source: Source) -> None:
    other = Source()
    other.replies = source.replies = [say(200)]
    session().get(f"http://{source.address}/api/file")
    session().get(f"http://{other.address}/signed/file")
    assert ["Authorization" in headers for _, headers, _ in (*source.requests, *other.requests)] == [True, False]
    other.server.shutdown()
    other.server.server_close()


@pytest.mark.parametrize(
    "trouble",
    [
        say(500),
        say(502),
        say(503),
        say(429),
        say(200, b'{"rows": [', length="40"),
        say(200, b"not gzip", Content_Encoding="gzip"),
        lambda request: request.connection.close(),
    ],
    ids=["error", "gateway", "unavailable", "too many", "cut", "damaged", "closed"],
)
def test_trouble_that_passes_is_waited_out(source: Source, trouble: Reply) -> None:
    source.replies = [trouble, say(200, b"[1]")]
    assert session().get("rows").json() == [1]
    assert len(source.requests) == 2


def test_trouble_that_stays_ends_with_what_it_was(source: Source) -> None:
    source.replies = [say(500)]
    with pytest.raises(SourceError, match=r"“trial” GET /api/rows failed 3 times: 500"):
        session(attempts=3).get("rows")
    assert len(source.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final_and_names_no_value(source: Source, status: int) -> None:
    source.replies = [say(status)]
    with pytest.raises(SourceError, match=rf"“trial” answers {status}") as refused:
        session().get("people", {"identity": "010190-999X"})
    assert len(source.requests) == 1
    assert "/api/people" in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("010190", "geheim"))


def test_an_answer_that_the_protocol_knows_to_be_wrong_is_asked_for_again(source: Source) -> None:
    def whole(answer: Answer) -> None:
        if answer.read() == b"half":
            raise Unfit("half of it")

    source.replies = [say(200, b"half"), say(200, b"all")]
    assert session().get("rows", check=whole).read() == b"all"
    source.replies = [say(200, b"half")]
    with pytest.raises(SourceError, match="half of it"):
        session(attempts=2).get("rows", check=whole)


def test_a_pause_that_the_source_asks_for_holds_for_all(source: Source) -> None:
    source.replies = [say(429, Retry_After="1"), say(200), say(200)]
    with ThreadPoolExecutor() as threads:
        first = threads.submit(session().get, "rows")
        while not source.requests:
            time.sleep(0.01)
        time.sleep(0.2)
        threads.submit(session().get, "others").result()
        first.result()
    times = [moment for _, _, moment in source.requests]
    assert len(times) == 3
    assert times[1] - times[0] >= 0.9


def test_a_long_pause_is_left_to_the_scheduler(source: Source) -> None:
    source.replies = [say(503, Retry_After="3600")]
    before = time.monotonic()
    with pytest.raises(SourceError, match="asks to wait 3600 s"):
        session().get("rows")
    assert time.monotonic() - before < 5
    with database.connect("loader") as connection:
        row = connection.execute(
            "SELECT next_at > clock_timestamp() + interval '59 min' FROM ops.source_pace"
        ).fetchone()
    assert row == (True,)


def test_parallel_sessions_keep_one_pace(source: Source) -> None:
    source.replies = [say(200)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: session(requests_per_second=10).get(f"rows/{n}"), range(6)))
    times = sorted(moment for _, _, moment in source.requests)
    assert times[-1] - times[0] >= 0.45


def test_an_answer_without_end_is_not_read_to_it(source: Source) -> None:
    source.replies = [say(200, b"x" * 5_000_000)]
    with pytest.raises(SourceError, match="more than 1000000 bytes"):
        session(max_bytes=1_000_000).get("rows")
