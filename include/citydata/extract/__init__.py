"""Connectors: one module a protocol. A connector finds what there is to read, fetches its bytes and parses them.

Fetching and parsing are apart because a batch is parsed twice in its life: while it is fetched, and again from its
archive when the landing table was lost. Both ways go through `parse`, so they cannot differ.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast

import pyarrow as pa

from citydata.contract import Contract
from citydata.privacy import identity_code


class SourceError(RuntimeError):
    """The source could not be read. Fetching again may succeed."""


class ContentError(ValueError):
    """What the source sent is not what the contract says. Fetching again would bring the same; the batch is held."""


Columns = dict[str, list[str]]
NO_DIFFERENCE: Columns = {"added": [], "missing": []}
"""Of a source whose columns are the contract's. Where the contract names what it takes of a larger standard (GML, FHIR), what
else there is makes no difference."""

_TITLE = re.compile(r"[^\W\d][\w .,:/()%-]{0,59}")
_MOST_TITLES = 50


class ColumnsDiffer(ContentError):
    """The columns of the source are not the contract's; `columns` has the names that are new and those that are missing."""

    def __init__(self, text: str, added: Iterable[str] = (), missing: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.columns = differing(added, missing)


def differing(added: Iterable[str], missing: Iterable[str]) -> Columns:
    """Names for the ledger: what does not look like a title may be a value, and is a question mark."""
    named = [name if is_title(name) else "?" for name in added]
    return {"added": named[:_MOST_TITLES], "missing": list(missing)[:_MOST_TITLES]}


def is_title(name: str) -> bool:
    """Whether a name looks like a title: a letter first, at most 60 signs, no identity code, e-mail address or telephone number."""
    return bool(_TITLE.fullmatch(name)) and identity_code.mask(name, all_alike=True) == name


@dataclass(frozen=True)
class Refused:
    """A row that could not even be split into columns. `text` is as received; row numbers start at 1."""

    row_number: int
    rule: str
    text: str


@dataclass(frozen=True)
class Block:
    """Some rows of a batch: string columns named as in the contract, `numbers` their row numbers (int64).

    `clean` says that no value of the block holds a NUL or looks like a personal identity code. `broken` has, for a rule of
    rows that the format knows, a mask of the rows that break it: unlike `refused`, these have columns, and so a key.
    """

    rows: pa.RecordBatch
    numbers: pa.Array
    refused: list[Refused] = field(default_factory=list)
    clean: bool = False
    broken: dict[str, pa.Array] = field(default_factory=dict)


@dataclass
class Fetch:
    """An open reading of a source. `source` and `watermark` are complete when `chunks` is exhausted."""

    chunks: Iterator[bytes]
    source: dict[str, Any] = field(default_factory=dict)
    watermark: str | None = None


@dataclass(frozen=True)
class Offer:
    """What a source offers once: a content that is known already is not taken again.

    `name` is how ledger and errors call it. `digest` gives a SHA-256 that changes when the content does; it is asked only
    when name, size and time do not tell.
    """

    name: str
    bytes: int
    observed_at: datetime
    digest: Callable[[], str]


@dataclass(frozen=True)
class Candidate:
    """Something that can be fetched now as one batch.

    `kind` is load, sweep (the keys of all rows: the absent ones are closed) or deletions (keys that the source deleted).
    Without `observed_at` the batch has the fetch's `server_time`. `part` are the values of the scope's columns that it covers;
    `selected` says that the content holds others too, which are not the batch's.
    """

    observed_at: datetime | None
    kind: str = "load"
    content_sha256: str | None = None
    watermark_from: str | None = None
    place: Any = None
    source: dict[str, Any] = field(default_factory=dict)
    offer: Offer | None = None
    part: list[Any] | None = None
    selected: bool = False


@dataclass(frozen=True)
class Asked:
    """What a backfill asks for: what changed in a window (from, to; UTC), or a part of the dataset. Batches are marked with `mark`."""

    window: tuple[datetime, datetime]
    mark: dict[str, Any]
    part: list[Any] | None = None


@dataclass(frozen=True)
class Position:
    """How far a dataset is read: its watermark, when all its keys were last read, and the window of a backfill."""

    watermark: str | None = None
    swept_at: datetime | None = None
    window: tuple[datetime, datetime] | None = None


class Connector(Protocol):
    """What a protocol module offers."""

    def candidates(self, contract: Contract, position: Position) -> Iterator[Candidate]:
        """What there is to fetch now, in the order of publishing. Raises SourceError when the source cannot say."""
        ...

    def fetch(self, contract: Contract, candidate: Candidate) -> Fetch:
        """Open the source. Raises SourceError when it cannot be reached."""
        ...

    def parse(self, contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
        """Turn the bytes of a batch into rows. Raises ContentError when they are not what the contract says."""
        ...


def connector(contract: Contract) -> Connector:
    """The connector that a contract names: the module of its protocol. A task loads only the one that it speaks."""
    return cast(Connector, importlib.import_module(f"{__name__}.{contract.platform.connector.type}"))
