"""JSON documents: the records at the contract's paths become rows of text, numbers as they are written."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa

from citydata.connector_options import TextFormat
from citydata.contract import Contract
from citydata.extract import Block, ContentError, document_kind, titles
from citydata.extract.csv_text import check_header

MAX_BYTES = 64 << 20  # a document is in memory whole
PLAIN_DIGITS = 40  # more than any column holds


class Number(str):
    """A number as the document writes it."""


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Yield one block with the records of the document. Raises ContentError when it is not the contract's JSON."""
    whole = document(chunks)
    rows = list(_records(contract, options, whole, set(columns)))
    fields = {name for row in rows for name in row}
    check_fields(contract, whole, fields, columns, any_rows=bool(rows))
    arrays = {
        column.name: pa.array([row.get(column.source_name) for row in rows], pa.string())
        for column in contract.columns
        if column.source_name in columns
    }
    yield Block(pa.RecordBatch.from_pydict(arrays), pa.array(range(first_row, first_row + len(rows)), pa.int64()))


def document(chunks: Iterator[bytes]) -> Any:
    """The whole document, its numbers as `Number`. Raises ContentError when it is none, or not one that can be kept."""
    text = bytearray()
    for chunk in chunks:
        text += chunk
        if len(text) > MAX_BYTES:
            raise ContentError(f"the JSON document is larger than {MAX_BYTES} bytes")
    if not text.strip():
        raise ContentError("the file is empty")
    try:
        found = json.loads(
            text.decode("utf-8-sig"),
            parse_float=_number,
            parse_int=Number,
            parse_constant=str,
            object_pairs_hook=_object,
        )
        if b"\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ContentError(f"the file is not UTF-8 (byte {error.start + 1})") from None
    except UnicodeEncodeError:
        raise ContentError(
            "a text of the document holds half a character (an escape from \\ud800 to \\udfff)"
        ) from None
    except json.JSONDecodeError as error:
        kind = document_kind.of_text(bytes(text))
        found_instead = f"; the file is {kind}" if kind else ""
        raise ContentError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}{found_instead}"
        ) from None
    except RecursionError:
        raise ContentError("the document is nested too deeply") from None
    return found


def _number(text: str) -> Number:
    """A number with a fraction; the form with an exponent, which some writers use from ten million on, becomes the plain one."""
    if "e" in text.lower() and abs((number := Decimal(text)).adjusted()) < PLAIN_DIGITS:
        return Number(format(number, "f"))
    return Number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ContentError("an object of the document has one name twice, and only one of the values could be kept")
    return found


def check_fields(contract: Contract, whole: Any, fields: set[str], columns: list[str], *, any_rows: bool) -> None:
    """Raise ContentError when records have not the contract's fields; `whole` is their document, if it may be another."""
    # A field that no record has may be optional; one that the contract does not know is a change of the source.
    required = {column.source_name for column in contract.columns if column.required}
    try:
        check_header(sorted(fields | (set(columns) - required if any_rows else set(columns))), sorted(columns))
    except ContentError as error:
        raise (otherwise(str(error), whole) if document_kind.of(whole) else error) from None


def otherwise(complaint: str, whole: Any) -> ContentError:
    """The error of a document that is not what was expected, with what it is instead where that can be told."""
    kind = document_kind.of(whole)
    return ContentError(f"{complaint}; the document is {kind}" if kind else complaint)


def titles_of(contract: Contract, options: TextFormat, chunks: Iterator[bytes]) -> list[str]:
    """The fields of a document's records as they stand in it, in the order in which they are met first."""
    whole = document(chunks)
    own = {title for column in contract.columns for title in column.titles}
    return list(dict.fromkeys(name for row in _as_sent(options, whole, own) for name in row))


def _records(contract: Contract, options: TextFormat, whole: Any, columns: set[str]) -> Iterator[dict[str, str | None]]:
    former = {title for one in contract.columns if one.source_name in columns for title in one.settings.formerNames}
    for row in _as_sent(options, whole, columns | former):
        yield dict(zip(titles.today(contract, row), row.values(), strict=True)) if former & row.keys() else row


def _as_sent(options: TextFormat, whole: Any, columns: set[str]) -> Iterator[dict[str, str | None]]:
    for records in options.records:
        found = whole
        for step in records.path:
            if not isinstance(found, dict) or step not in found:
                raise otherwise(f"the JSON document has no “{'.'.join(records.path)}”", whole)
            found = found[step]
        if not isinstance(found, list):
            place = f"“{'.'.join(records.path)}”" if records.path else "the JSON document"
            raise otherwise(f"{place} is not a list of records", whole)
        for item in found:
            if records.value:
                yield {records.value: as_text(item), **records.constants}
            elif isinstance(item, dict):
                fields = record_fields(item, columns, set(records.left_out))
                yield {**{name: as_text(value) for name, value in fields}, **records.constants}
            else:
                raise ContentError(f"“{'.'.join(records.path)}” holds something that is not a record")


def record_fields(
    item: dict[str, Any], columns: set[str], left_out: set[str], above: str = "", known: bool = False
) -> Iterator[tuple[str, Any]]:
    """Fields of a record by the dotted names that the contract has for them; those that are `left_out` do not come."""
    for name, value in item.items():
        path = f"{above}{name}"
        not_taken = known or path in left_out
        if path not in columns and isinstance(value, dict) and _named_below(path, columns | left_out):
            yield from record_fields(value, columns, left_out, f"{path}.", not_taken)
        elif path in columns or not not_taken:
            yield path, value


def _named_below(path: str, names: set[str]) -> bool:
    return any(name.startswith(f"{path}.") for name in names)


def as_text(value: Any) -> str | None:
    """A value as a text: numbers as they are written, lists and objects as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return _written(value)
    except RecursionError:
        raise ContentError("the document is nested too deeply") from None


def _written(value: Any) -> str:
    if isinstance(value, Number):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(name)}: {_written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
