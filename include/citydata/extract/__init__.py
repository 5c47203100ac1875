"""Connectors: one module a protocol. A connector finds what there is to read, fetches its bytes and parses them.

Fetching and parsing are apart because a batch is parsed twice in its life: while it is fetched, and again from its
archive when the landing table was lost. Both ways go through `parse`, so they cannot differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from citydata.contract import Contract


class SourceError(RuntimeError):
    """The source could not be read. Fetching again may succeed."""


class ContentError(ValueError):
    """What the source sent is not what the contract says. Fetching again would bring the same; the batch is held."""


@dataclass(frozen=True)
class Refused:
    """A row that could not even be split into columns. `text` is as received; row numbers start at 1."""

    row_number: int
    rule: str
    text: str


@dataclass(frozen=True)
class Block:
    """Some rows of a batch: string columns named as in the contract, `numbers` their row numbers (int64).

    `clean` says that no value of the block holds a NUL or looks like a personal identity code.
    """

    rows: pa.RecordBatch
    numbers: pa.Array
    refused: list[Refused] = field(default_factory=list)
    clean: bool = False


@dataclass
class Fetch:
    """An open reading of a source. `source` and `watermark` are complete when `chunks` is exhausted."""

    chunks: Iterator[bytes]
    source: dict[str, Any] = field(default_factory=dict)
    watermark: str | None = None


@dataclass(frozen=True)
class Candidate:
    """Something that can be fetched now as one batch."""

    observed_at: datetime | None
    kind: str = "load"
    content_sha256: str | None = None
    watermark_from: str | None = None
    place: Any = None
    source: dict[str, Any] = field(default_factory=dict)


class Connector(Protocol):
    """What a protocol module offers."""

    def fetch(self, contract: Contract, candidate: Candidate) -> Fetch:
        """Open the source. Raises SourceError when it cannot be reached."""
        ...

    def parse(self, contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
        """Turn the bytes of a batch into rows. Raises ContentError when they are not what the contract says."""
        ...


def connector(contract: Contract) -> Connector:
    """The connector that a contract names."""
    if contract.platform.connector.type == "files":
        from citydata.extract import files  # noqa: PLC0415 - a task loads only the protocol it speaks

        return files
    from citydata.extract import sql  # noqa: PLC0415

    return sql
