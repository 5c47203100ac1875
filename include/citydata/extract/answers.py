"""Archives of sources that answer over HTTP: the answers one after the other as WARC 1.1 (ISO 28500:2017).

The format keeps each answer's address, status and headers beside its bytes, and any web archive's tools read it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from citydata.extract import ContentError, streams

if TYPE_CHECKING:
    from citydata.extract.web import Answer

CHUNK = 1 << 20
# What a proxy or this connection added says nothing about the content, and the body is kept decoded.
_LEFT_OUT = {"content-encoding", "transfer-encoding", "content-length", "connection", "set-cookie", "keep-alive"}


@dataclass(frozen=True)
class Archived:
    """An answer of an archive. `chunks` must be read before the next answer is asked for."""

    url: str
    content_type: str
    chunks: Iterator[bytes]


def record(answer: "Answer") -> Iterator[bytes]:
    """The bytes of an answer's record, for the archive."""
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _LEFT_OUT]
    sink = io.BytesIO()
    writer = WARCWriter(sink, gzip=False, warc_version="1.1")
    head = StatusAndHeaders(
        f"{answer.status} {answer.reason}", [*headers, ("Content-Length", str(answer.bytes))], protocol="HTTP/1.1"
    )
    made = writer.create_warc_record(
        answer.url,
        "response",
        payload=io.BytesIO(),
        http_headers=head,
        warc_headers_dict={"WARC-Date": answer.server_time.strftime("%Y-%m-%dT%H:%M:%SZ")},
    )
    http = head.to_bytes()
    made.rec_headers.replace_header("Content-Type", "application/http; msgtype=response")
    made.rec_headers.replace_header("Content-Length", str(len(http) + answer.bytes))
    made.rec_headers.headers = [
        (name, value) for name, value in made.rec_headers.headers if not name.endswith("-Digest")
    ]  # the archive as a whole is sealed by its digest
    yield made.rec_headers.to_bytes() + http
    body = answer.open()
    while chunk := body.read(CHUNK):
        yield chunk
    yield b"\r\n\r\n"


def read(chunks: Iterator[bytes]) -> Iterator[Archived]:
    """The answers of an archive in their order. Raises ContentError when it is not whole."""
    stream = streams.reader(chunks)
    try:
        for entry in ArchiveIterator(stream):
            if entry.rec_type == "response":
                yield Archived(
                    entry.rec_headers.get_header("WARC-Target-URI"),
                    entry.http_headers.get_header("Content-Type") or "",
                    _chunks(entry.content_stream(), int(entry.http_headers.get_header("Content-Length"))),
                )
    except (ArchiveLoadFailed, EOFError) as error:
        raise ContentError("the archive of answers is not whole") from error
    stream.read()  # what follows must pass through the archive too


def _chunks(body: IO[bytes], size: int) -> Iterator[bytes]:
    while chunk := body.read(CHUNK):
        size -= len(chunk)
        yield chunk
    if size:
        raise ContentError("the archive of answers is not whole")
