"""JSON documents: the records at the contract's paths become rows of text, numbers as they are written."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from citydata.contract import Contract, TextFormat
from citydata.extract import Block, ContentError
from citydata.extract.csv_text import check_header

MAX_BYTES = 64 << 20  # a document is in memory whole


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Yield one block with the records of the document. Raises ContentError when it is not the contract's JSON."""
    text = bytearray()
    for chunk in chunks:
        text += chunk
        if len(text) > MAX_BYTES:
            raise ContentError(f"the JSON document is larger than {MAX_BYTES} bytes")
    if not text.strip():
        raise ContentError("the file is empty")
    try:
        document = json.loads(text.decode("utf-8-sig"), parse_float=str, parse_int=str, parse_constant=str)
    except UnicodeDecodeError as error:
        raise ContentError(f"the file is not UTF-8 (byte {error.start + 1})") from None
    except json.JSONDecodeError as error:
        raise ContentError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    rows = list(_records(options, document))
    fields = {name for row in rows for name in row}
    # A field that no record has may be optional; one that the contract does not know is a change of the source.
    required = {column.source_name for column in contract.columns if column.required}
    check_header(sorted(fields | (set(columns) - required if rows else set(columns))), sorted(columns))
    arrays = {
        column.name: pa.array([row.get(column.source_name) for row in rows], pa.string())
        for column in contract.columns
        if column.source_name in columns
    }
    yield Block(pa.RecordBatch.from_pydict(arrays), pa.array(range(first_row, first_row + len(rows)), pa.int64()))


def _records(options: TextFormat, document: Any) -> Iterator[dict[str, str | None]]:
    for records in options.records:
        found = document
        for step in records.path:
            if not isinstance(found, dict) or step not in found:
                raise ContentError(f"the JSON document has no “{'.'.join(records.path)}”")
            found = found[step]
        if not isinstance(found, list):
            raise ContentError(f"“{'.'.join(records.path)}” is not a list of records")
        for item in found:
            if records.value:
                yield {records.value: _text(item), **records.constants}
            elif isinstance(item, dict):
                yield {**{name: _text(value) for name, value in item.items()}, **records.constants}
            else:
                raise ContentError(f"“{'.'.join(records.path)}” holds something that is not a record")


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
