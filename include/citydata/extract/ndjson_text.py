"""Lines of JSON (NDJSON): each line an object that becomes a row of text, numbers as they are written."""

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from citydata.connector_options import TextFormat
from citydata.contract import Contract
from citydata.extract import Block, ContentError, Refused, json_text, titles

ROWS = 20_000  # of a block


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Yield blocks of rows. A line that is no JSON object is refused; blank lines are no rows.

    `left_out` of the contract's first `records` are fields that are not taken. Raises ContentError for fields that the
    contract does not know, and for a line longer than its `max_line_bytes`.
    """
    left_out = set(options.records[0].left_out) if options.records else set()
    former = {title for one in contract.columns if one.source_name in columns for title in one.settings.formerNames}
    wanted = {*columns, *former}
    rows: list[dict[str, str | None]] = []
    numbers: list[int] = []
    refused: list[Refused] = []
    for number, line in enumerate(_lines(options, chunks), first_row):
        if not line.strip():
            continue
        try:
            record = json_text.document(iter([line]))
            if not isinstance(record, dict):
                raise ContentError("no object")
        except ContentError:
            refused.append(Refused(number, "json", line.decode("utf-8", "replace").replace("\0", "␀")))
            continue
        row = {name: json_text.as_text(value) for name, value in json_text.record_fields(record, wanted, left_out)}
        rows.append(dict(zip(titles.today(contract, row), row.values(), strict=True)) if former & row.keys() else row)
        numbers.append(number)
        if len(rows) + len(refused) >= ROWS:
            yield _block(contract, columns, rows, numbers, refused)
            rows, numbers, refused = [], [], []
    yield _block(contract, columns, rows, numbers, refused)


def titles_of(contract: Contract, options: TextFormat, chunks: Iterator[bytes]) -> list[str]:
    """The fields of all lines as they stand there, in the order in which they are met first."""
    left_out = set(options.records[0].left_out) if options.records else set()
    own = {title for column in contract.columns for title in column.titles}
    found: dict[str, None] = {}
    for line in _lines(options, chunks):
        with contextlib.suppress(ContentError):  # a line that is no object is refused when it is loaded
            record = json_text.document(iter([line]))
            if isinstance(record, dict):
                found |= dict.fromkeys(name for name, _ in json_text.record_fields(record, own, left_out))
    return list(found)


def _block(
    contract: Contract,
    columns: list[str],
    rows: list[dict[str, str | None]],
    numbers: list[int],
    refused: list[Refused],
) -> Block:
    names = {name for row in rows for name in row}
    json_text.check_fields(contract, None, names, columns, any_rows=bool(rows) or bool(refused))
    arrays = {
        column.name: pa.array([row.get(column.source_name) for row in rows], pa.string())
        for column in contract.columns
        if column.source_name in columns
    }
    return Block(pa.RecordBatch.from_pydict(arrays), pa.array(numbers, pa.int64()), refused)


def _lines(options: TextFormat, chunks: Iterator[bytes]) -> Iterator[bytes]:
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        yield from lines
        if len(pending) > options.max_line_bytes:
            raise ContentError(f"a line is longer than {options.max_line_bytes} bytes (max_line_bytes)")
    if pending:
        yield pending
