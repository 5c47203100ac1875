"""A bounded sample of a source, read with the connector and the parser that will load it."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from citydata import contract as contracts
from citydata.contract import Contract, ContractError
from citydata.extract import Block, is_title

ROWS = 10_000
"""Rows of a sample at most: enough to see formats, few enough to wait for."""
BYTES = 64 << 20
"""Bytes of a text that are looked at at most."""

Report = Callable[[str], None]


class DraftError(RuntimeError):
    """A draft that cannot be made. The text says of what, why, and what to do; it holds no value of the source."""


@dataclass(frozen=True)
class Known:
    """What a source's own catalogue says of a column."""

    type: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    required: bool | None = None
    key: bool = False


@dataclass(frozen=True)
class Field:
    """A column of the sample: its name in the source, and its texts. `geometry` says that these are EWKT."""

    title: str
    texts: pa.Array
    geometry: bool = False
    known: Known = Known()


@dataclass(frozen=True)
class Sample:
    """Some rows of a source and how it is read. `connector` is what the contract says; None in it is what nobody can see.

    `refused` counts the rows that could not be split into columns by the rule that they break; `whole` says that there is no
    more; `undecided` has for a key of the connector what a person must find out.
    """

    connector: dict[str, Any]
    fields: tuple[Field, ...]
    refused: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    notes: tuple[str, ...] = ()
    undecided: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.fields[0].texts) if self.fields else 0


def check_titles(titles: Iterable[str], what: str = "column") -> None:
    """Raise DraftError, with the number of the column, for one whose title may be a value: before anything is told or written."""
    for number, title in enumerate(titles, 1):
        if not (is_title(title) or all(map(is_title, re.split("[./]", title)))):  # paths of records are long
            raise DraftError(
                f"{what} {number} has no title but what may be a value, so it seems to have no line of titles; ask for a file"
                " whose first line has the titles (for records, whose fields have names). A title begins with a letter, has at"
                " most 60 letters, digits, spaces and . , : / ( ) % - and holds no identity code. If it is a title all the same,"
                " give it a plain one in a copy, draft from that, and correct physicalName"
            )


def provisional(connector: dict[str, Any], titles: Sequence[str], geometry: str | None = None) -> Contract:
    """A contract under which every column is a text, for reading the sample. Raises DraftError for wrong options."""
    said = [{"property": "description_sv", "value": "x"}, {"property": "description_en", "value": "x"}]
    shape = {"property": "geometry", "value": {"types": ["Point"], "within": "country"}}
    properties = [
        {
            "name": f"c{number}", "physicalName": title, "logicalType": "string", "classification": "secret", "description": "x",
            "customProperties": [*said, shape] if title == geometry else said,
        }
        for number, title in enumerate(titles)
    ]  # fmt: skip
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "draft.sample", "name": "x", "version": "0", "status": "sample",
        "domain": "x", "description": {"purpose": "x"},
        "team": {"members": [{"username": "x", "role": "owner"}, {"username": "x", "role": "steward"}]},
        "support": [{"url": "x"}], "schema": [{"name": "sample", "properties": properties}],
        "slaProperties": [{"property": "latency", "value": 1, "unit": "h"}],
        "customProperties": [
            *said, {"property": "connector", "value": connector}, {"property": "mode", "value": "snapshot"},
            {"property": "keyless", "value": True}, {"property": "schedule", "value": "0 0 * * *"},
            {"property": "fi.tietovaranto", "value": "x"},
        ],
    }  # fmt: skip
    try:
        return contracts.parse(Path("draft/sample.yaml"), json.dumps(document))
    except ContractError as error:
        raise DraftError(f"the source cannot be described: {str(error).split(': ', 2)[-1]}") from None


def taken(
    contract: Contract, blocks: Iterable[Block], geometry: str | None = None, known: dict[str, Known] | None = None
) -> tuple[tuple[Field, ...], dict[str, int], bool]:
    """Fields of the first rows, what was refused among them, and whether these are all rows."""
    batches: list[pa.RecordBatch] = []
    refused: Counter[str] = Counter()
    rows, whole = 0, True
    reading: Iterator[Block] = iter(blocks)
    for block in reading:
        batches.append(block.rows)
        refused.update(row.rule for row in block.refused)
        rows += len(block.rows)
        if rows >= ROWS:
            whole = rows == ROWS and next(reading, None) is None
            break
    fields = []
    for column in contract.columns:
        arrays = [batch.column(column.name) for batch in batches]
        texts = pa.concat_arrays(arrays).slice(0, ROWS) if arrays else pa.array([], pa.string())
        fields.append(
            Field(
                column.source_name,
                texts,
                column.source_name == geometry,
                (known or {}).get(column.source_name, Known()),
            )
        )
    return tuple(fields), dict(refused), whole
