"""Files that a source drops into a directory: taken when complete, once, by content.

Complete is a file with a `.done` file beside it, one whose manifest (`<file>.manifest.json` with `rows` and optionally
`sha256` and `observed_at`) agrees with it, or one that has not changed for the contract's `settle_seconds`.
Files are left where they are: what was taken stands in `ops.arrival`, what it said in the archive.
"""

import functools
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from citydata import settings
from citydata.connector_options import FilesConnector
from citydata.contract import Contract
from citydata.extract import Block, Candidate, ContentError, Fetch, Offer, Position, SourceError, text_format
from citydata.privacy import identity_code

CHUNK = 1 << 20


# What lies beside a file and is about it, or is still being written.
BESIDE = (".done", ".manifest.json", ".part", ".tmp")


@dataclass(frozen=True)
class File:
    """A complete file in the drop directory."""

    path: Path
    bytes: int
    observed_at: datetime
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The file's name as the ledger and errors may hold it."""
        return identity_code.mask(self.path.name, all_alike=True)


def complete(contract: Contract) -> list[File]:
    """Complete files of a dataset, oldest observation first. One that is still being written is left for the next time."""
    options = contract.platform.connector
    assert isinstance(options, FilesConnector)
    directory = settings.drop_directory() / options.directory
    found = []
    for path in directory.glob(options.pattern):
        if path.name.endswith(BESIDE) or not path.is_file():
            continue
        status = path.stat()
        observed = datetime.fromtimestamp(status.st_mtime, UTC)
        manifest: dict[str, Any] = {}
        if options.complete == "done_file" and not path.with_name(path.name + ".done").exists():
            continue
        if options.complete == "settled" and (datetime.now(UTC) - observed).total_seconds() < options.settle_seconds:
            continue
        if options.complete == "manifest":
            beside = path.with_name(path.name + ".manifest.json")
            if not beside.exists():
                continue
            try:
                manifest = json.loads(beside.read_text(encoding="utf-8"))
                observed = datetime.fromisoformat(manifest["observed_at"]) if "observed_at" in manifest else observed
            except (ValueError, TypeError) as error:
                raise SourceError(
                    f"{contract.dataset}: {beside.name} is not a manifest: {type(error).__name__}"
                ) from error
        found.append(File(path, status.st_size, observed, manifest))
    return sorted(found, key=lambda file: (file.observed_at, file.path.name))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def candidates(contract: Contract, position: Position) -> Iterator[Candidate]:
    """The batches that the complete files would become."""
    for file in complete(contract):
        source: dict[str, Any] = {"file": file.name, "bytes": file.bytes}
        if file.manifest:
            source["manifest"] = {key: file.manifest[key] for key in ("rows", "sha256") if key in file.manifest}
        offer = Offer(file.name, file.bytes, file.observed_at, functools.partial(_digest, file.path))
        yield Candidate(file.observed_at, place=file, source=source, offer=offer)


def fetch(contract: Contract, candidate: Candidate) -> Fetch:
    """Open the file. A file that changes while it is read is a SourceError: it was not complete."""
    file: File = candidate.place
    return Fetch(_chunks(file), dict(candidate.source))


def _chunks(file: File) -> Iterator[bytes]:
    size = 0
    try:
        with open(file.path, "rb") as opened:
            before = os.fstat(opened.fileno())
            while size <= file.bytes and (chunk := opened.read(CHUNK)):  # one that grows is not read for ever
                size += len(chunk)
                yield chunk
            after = os.fstat(opened.fileno())
    except OSError as error:
        raise SourceError(f"{file.name} could not be read: {error.strerror}") from error
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or size != file.bytes:
        raise SourceError(f"{file.name} changed while it was read; it is taken when it is complete")


def parse(contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
    """Decompress and parse by the contract's format."""
    options = contract.platform.connector
    assert isinstance(options, FilesConnector)
    return text_format.parse(contract, options, _plain(options, chunks), columns)


def titles_of(contract: Contract, chunks: Iterator[bytes]) -> list[str]:
    """The titles of an archived file as its source has them."""
    options = contract.platform.connector
    assert isinstance(options, FilesConnector)
    return text_format.titles_of(contract, options, _plain(options, chunks))


def _plain(options: FilesConnector, chunks: Iterator[bytes]) -> Iterator[bytes]:
    return _gunzipped(chunks) if options.compression == "gzip" else chunks


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress in bounded steps; a stream that ends early is an error, not the end of the file."""
    stream = zlib.decompressobj(wbits=31)
    any_bytes = False
    try:
        for received in chunks:
            chunk = received
            any_bytes = any_bytes or bool(chunk)
            while chunk:
                if stream.eof:  # a file of several members
                    stream = zlib.decompressobj(wbits=31)
                yield stream.decompress(chunk, CHUNK)
                chunk = stream.unconsumed_tail or stream.unused_data
    except zlib.error:
        raise ContentError("the gzip stream is damaged") from None
    if any_bytes and not stream.eof:
        raise ContentError("the gzip stream is cut off before its end")
