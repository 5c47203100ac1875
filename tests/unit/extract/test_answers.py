"""Archives of answers: what was put in comes out, and an archive that is not whole is noticed."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citydata.extract import ContentError, answers


class _Answer:
    """What `record` asks of an answer."""

    status, reason = 200, "OK"
    server_time = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __init__(self, url: str, body: bytes, content_type: str = "application/json") -> None:
        self.url, self._body, self.bytes = url, body, len(body)
        self.headers = {"Content-Type": content_type, "Content-Encoding": "gzip", "Set-Cookie": "session=1"}

    def open(self) -> io.BytesIO:
        return io.BytesIO(self._body)


def _archive(bodies: list[bytes]) -> bytes:
    made: list[Any] = [_Answer(f"https://source.example/rows?page={n}", body) for n, body in enumerate(bodies)]
    return b"".join(chunk for answer in made for chunk in answers.record(answer))


def _chunks(archive: bytes, size: int) -> Iterator[bytes]:
    return (archive[start : start + size] for start in range(0, len(archive), size))


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 400))
def test_answers_come_back_as_they_were_received(bodies: list[bytes], size: int) -> None:
    found = [(one.url, b"".join(one.chunks)) for one in answers.read(_chunks(_archive(bodies), size))]
    assert found == [(f"https://source.example/rows?page={n}", body) for n, body in enumerate(bodies)]


def test_bodies_that_look_like_records_are_bodies() -> None:
    body = _archive([b"{}"])
    assert [b"".join(one.chunks) for one in answers.read(iter([_archive([body, body])]))] == [body, body]


def test_the_archive_says_what_the_source_said_and_no_more() -> None:
    archive = _archive([b"[1]"])
    assert archive.startswith(b"WARC/1.1\r\n")
    assert b"WARC-Type: response\r\n" in archive
    assert b"Content-Type: application/http; msgtype=response\r\n" in archive
    assert b"WARC-Date: 2026-11-24T12:00:00Z" in archive
    assert b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n" in archive
    assert b"session" not in archive
    assert b"gzip" not in archive
    [one] = answers.read(iter([archive]))
    assert one.content_type == "application/json"


@pytest.mark.parametrize("cut", [5, 60, 103])
def test_an_answer_that_is_cut_is_not_a_shorter_one(cut: int) -> None:
    archive = _archive([b"x" * 100, b"y" * 100])

    def read() -> None:
        for one in answers.read(iter([archive[:-cut]])):
            list(one.chunks)

    with pytest.raises(ContentError, match="not whole"):
        read()
