"""Delimited text, read strictly: a line is what the contract says or is refused with its number and the rule it breaks.

pyarrow parses; before it, each block is checked for what a tolerant parser would let through or swallow silently:
NUL bytes, bytes that are not of the encoding, quotes that join two lines, a line without end.
"""

import csv
import io
import itertools
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from citydata.connector_options import TextFormat, Unpivot
from citydata.contract import Column, Contract
from citydata.extract import Block, ColumnsDiffer, ContentError, Refused, document_kind, titles
from citydata.privacy import identity_code

BLOCK = 4 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse(
    contract: Contract, options: TextFormat, chunks: Iterator[bytes], columns: list[str], first_row: int = 1
) -> Iterator[Block]:
    """Yield blocks of string rows whose columns are named as in the contract.

    `columns` are the header fields the contract knows, by their source names. Raises ContentError for an empty file, a
    header that differs, or a line longer than the contract's `max_line_bytes`. Where the contract says `unpivot`, a line
    becomes a row for each column that is one, and a line that cannot be split is refused once.
    """
    lines = _lines(options, chunks)
    first = next(lines, b"")
    if not first.strip():
        raise ContentError("the file is empty: not even a header")
    head, _, rest = first.removeprefix(BYTE_ORDER_MARK).partition(b"\n")
    try:
        header = titles.today(contract, _header(options, head, _known(contract, columns)))
        values = _values(options.unpivot, header) if options.unpivot else {}
        found = [name for name in header if name not in values] + _spread(contract, options)
        check_header(found, titles.expected(contract, columns, found))
    except ContentError as error:
        kind = document_kind.of_text(first)
        raise (ContentError(f"{error}; the file is {kind}") if kind else error) from None
    parser = _Parser(contract, options, header)
    start = first_row + 1  # after the header; row numbers are line numbers of the text
    for text in itertools.chain([rest], lines):
        if text:
            parsed, count = parser.block(text, start)
            start += count
            yield from parser.unpivoted(parsed, values, options.unpivot) if options.unpivot else (parsed,)


def check_header(found: list[str], expected: list[str]) -> None:
    """Raise ContentError when the fields are not exactly the contract's, in any order."""
    missing = [name for name in expected if name not in found]
    new = [name for name in found if name not in expected]
    repeated = sorted({name for name in found if found.count(name) > 1})
    if missing or new or repeated:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += (
            [f"unknown: {', '.join(identity_code.mask(name, all_alike=True)[:60] for name in new[:10])}"] if new else []
        )
        parts += [f"repeated: {', '.join(repeated)}"] if repeated else []
        # Without any title of the contract, the line is perhaps no header but the first row, and its fields are values.
        header = any(name in expected for name in found)
        raise ColumnsDiffer(
            f"the columns are not the contract's ({'; '.join(parts)})", new if header else ["?"] * len(new), missing
        )


def _lines(options: TextFormat, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut the stream into blocks of whole lines (of whole records where values may hold newlines)."""
    quote = options.quote.encode()
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        if len(pending) < BLOCK:
            continue
        end = _end_of_record(pending, quote) if options.newlines_in_values and quote else pending.rfind(b"\n") + 1
        if end:
            yield bytes(memoryview(pending)[:end])
            del pending[:end]
        _refuse_endless(options, len(pending))
    if b"\n" not in pending:
        _refuse_endless(options, len(pending))
    if pending:
        yield bytes(pending)


def _refuse_endless(options: TextFormat, length: int) -> None:
    if length > options.max_line_bytes:
        raise ContentError(
            f"a line is longer than {options.max_line_bytes} bytes; the file is cut or not delimited text"
        )


def _end_of_record(text: bytearray, quote: bytes) -> int:
    """Offset after the last newline that stands outside quotes."""
    array = np.frombuffer(text, dtype=np.uint8)
    inside = np.cumsum(array == quote[0]) % 2 == 1
    ends = np.flatnonzero((array == 10) & ~inside)
    del array, inside  # they hold the buffer, which is cut next
    return int(ends[-1]) + 1 if len(ends) else 0


def titles_of(contract: Contract, options: TextFormat, chunks: Iterator[bytes]) -> list[str]:
    """The titles of a text as they stand in it, without those that are values. Raises ContentError when they cannot be told."""
    first = next(_lines(options, chunks), b"")
    head, _, _ = first.removeprefix(BYTE_ORDER_MARK).partition(b"\n")
    header = _header(options, head, list(contract.columns))
    values = _values(options.unpivot, header) if options.unpivot else {}
    return [name for name in header if name not in values] + _spread(contract, options)


def _known(contract: Contract, columns: list[str]) -> list[Column]:
    return [column for column in contract.columns if column.source_name in columns]


def _spread(contract: Contract, options: TextFormat) -> list[str]:
    """Source names of the columns that stand in no title, because titles are their values."""
    return [c.source_name for c in contract.columns if options.unpivot and c.name in options.unpivot.columns]


def _values(unpivot: Unpivot, header: list[str]) -> dict[str, str]:
    """The header's titles that are values, and which. Raises ContentError for none, and for one that occurs twice."""
    found = [(title, match[1]) for title in header if (match := re.fullmatch(unpivot.titles, title))]
    if not found:
        raise ColumnsDiffer(f"no column has a title like “{unpivot.titles}”", missing=[unpivot.value])
    if len({value for _, value in found}) < len(found):
        raise ContentError(f"two columns have a title like “{unpivot.titles}” for the same value")
    return dict(found)


def _header(options: TextFormat, line: bytes, columns: list[Column]) -> list[str]:
    try:
        text = line.rstrip(b"\r").decode(options.encoding)
    except UnicodeDecodeError as error:
        raise ContentError(f"the header is not {options.encoding} (byte {error.start + 1})") from None
    if "\0" in text:
        raise ContentError("the header holds a NUL byte")
    if options.header == "unquoted":
        if not (found := _to_the_letter(options, columns).fullmatch(text + options.delimiter)):
            raise ColumnsDiffer(
                "the header is not the contract's source names in their order, to the letter; when the source has"
                " mended it, remove `header: unquoted` from the contract",
                added=["?"],  # it cannot be told where a title ends
            )
        return [title for title in found.groups() if title is not None]
    try:
        return split_titles(text, options)
    except csv.Error:
        raise ContentError("the header is not one line of delimited text") from None


def split_titles(line: str, options: TextFormat) -> list[str]:
    """The titles of a header line, trimmed. Raises csv.Error when it is not one line of delimited text."""
    reader = csv.reader(
        io.StringIO(line),
        delimiter=options.delimiter,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
    )
    return [title.strip() for title in next(reader, [])]


def _to_the_letter(options: TextFormat, columns: list[Column]) -> re.Pattern[str]:
    """A header, closed by one more delimiter, whose titles may hold delimiters: each column's title or a former one, in order."""
    delimiter = re.escape(options.delimiter)
    parts = (f"(?:({'|'.join(map(re.escape, one.titles))}){delimiter}){'?' * one.may_lack}" for one in columns)
    return re.compile("".join(parts))


class _Parser:
    """Parses the blocks of one file."""

    def __init__(self, contract: Contract, options: TextFormat, header: list[str]) -> None:
        self.options = options
        self.header = header
        by_source = {column.source_name: column.name for column in contract.columns}
        # What the contract has no column for is a title to unpivot; the blank keeps it apart from names of columns.
        self.names = [by_source.get(name, f" {name}") for name in header]
        self.delimiter = options.delimiter.encode()
        self.quote = options.quote.encode()
        self.grammar = self._grammar()

    def _grammar(self) -> str:
        """A line all of whose quotes are closed, doubled inside quotes, and followed by a delimiter or the line's end."""
        delimiter, quote = re.escape(self.options.delimiter), re.escape(self.options.quote)
        value = f"(?:{quote}(?:[^{quote}]|{quote}{quote})*{quote}|[^{delimiter}{quote}][^{delimiter}]*|)"
        return f"(?s)^{value}(?:{delimiter}{value})*\r?$"

    def block(self, text: bytes, start: int) -> tuple[Block, int]:
        """Parse one block that begins at line `start`; returns it and the number of its lines."""
        count = text.count(b"\n") + (not text.endswith(b"\n"))
        parsed = None if self._suspicious(text) else self._parsed(self._utf8(text))
        numbers = np.arange(start, start + count, dtype=np.int64)
        refused: list[Refused] = []
        if parsed is None or (len(parsed[0]) + len(parsed[1]) != count and not self.options.newlines_in_values):
            # Line by line: something is wrong with some of them, or some are blank and no rows.
            text, numbers, refused = self._without_bad_lines(text, start)
            parsed = self._parsed(self._utf8(text))
            if parsed is None:
                raise ContentError(f"lines {start} to {start + count} are not {self.options.encoding}")
        table, gone = parsed
        if gone:
            refused += [Refused(int(numbers[position]), "column_count", line) for position, line in gone]
            numbers = np.delete(numbers, [position for position, _ in gone])
        if len(table) != len(numbers):
            numbers = self._records(len(table), numbers)
        alike = pc.match_substring_regex(pa.array([text], pa.binary()), identity_code.PATTERN)
        return Block(
            table, pa.array(numbers), sorted(refused, key=lambda row: row.row_number), not alike[0].as_py()
        ), count

    def unpivoted(self, block: Block, values: dict[str, str], unpivot: Unpivot) -> Iterator[Block]:
        """A block for each title of `values`, in the header's order."""
        fixed = {name: block.rows.column(name) for name in self.names if not name.startswith(" ")}
        refused = block.refused
        for title, value in values.items():
            column = {
                unpivot.name: pa.array([value] * len(block.rows), pa.string()),
                unpivot.value: block.rows.column(f" {title}"),
            }
            yield Block(pa.RecordBatch.from_pydict(fixed | column), block.numbers, refused, block.clean)
            refused = []

    def _utf8(self, text: bytes) -> bytes:
        return text if self.options.encoding == "utf-8" else text.decode(self.options.encoding, "replace").encode()

    def _records(self, rows: int, numbers: np.ndarray) -> np.ndarray:
        """Where values may hold newlines, a row has the number of its record within the block instead of its line."""
        if not self.options.newlines_in_values:
            raise ContentError(
                "lines and rows do not agree; a value may hold a line break that the contract does not allow"
            )
        first = int(numbers[0]) if len(numbers) else 0
        return np.arange(first, first + rows, dtype=np.int64)

    def _suspicious(self, text: bytes) -> bool:
        if b"\0" in text or (self.quote and self.quote in text and not self.options.newlines_in_values):
            return True
        if b"\r" in text and b"\r" in text.replace(b"\r\n", b""):
            return True
        return self.options.encoding != "utf-8" and not self._decodes(text)  # the parser checks UTF-8 faster

    def _without_bad_lines(self, text: bytes, start: int) -> tuple[bytes, np.ndarray, list[Refused]]:
        """Take out the lines that a parser must not see; all others stay, with their numbers."""
        lines = text.split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        bad: dict[int, str] = {}
        blank: set[int] = set()
        quoted: list[int] = []
        for index, line in enumerate(lines):
            if not line.strip(b"\r") and not self.options.newlines_in_values:
                blank.add(index)
            elif b"\0" in line:
                bad[index] = "nul_byte"
            elif b"\r" in line.rstrip(b"\r") or line.endswith(b"\r\r"):
                bad[index] = "line_break"
            elif not line.isascii() and not self._decodes(line):
                bad[index] = "encoding"
            elif self.quote and self.quote in line and not self.options.newlines_in_values:
                quoted.append(index)
        if quoted:
            texts = pa.array([lines[index].decode(self.options.encoding) for index in quoted], pa.string())
            for index, right in zip(quoted, pc.match_substring_regex(texts, self.grammar).to_pylist(), strict=True):
                if not right:
                    bad[index] = "quoting"
        refused = [
            Refused(start + index, rule, lines[index].decode(self.options.encoding, "replace").replace("\0", "␀"))
            for index, rule in bad.items()
        ]
        good = [index for index in range(len(lines)) if index not in bad and index not in blank]
        return b"".join(lines[index] + b"\n" for index in good), np.array(good, dtype=np.int64) + start, refused

    def _decodes(self, line: bytes) -> bool:
        try:
            line.decode(self.options.encoding)
        except UnicodeDecodeError:
            return False
        return True

    def _parsed(self, text: bytes) -> tuple[pa.RecordBatch, list[tuple[int, str]]] | None:
        """Rows of the text, and position and text of the lines that have not the header's number of fields.

        None when the text is not UTF-8.
        """
        gone: list[tuple[int, str]] = []

        def on_invalid(row: pcsv.InvalidRow) -> str:
            gone.append((row.number - 1, row.text))
            return "skip"

        if not text:
            return self._empty(), []
        try:
            table = pcsv.read_csv(
                pa.BufferReader(text),
                pcsv.ReadOptions(use_threads=False, column_names=self.names, block_size=len(text) + 1),
                pcsv.ParseOptions(
                    delimiter=self.options.delimiter,
                    quote_char=self.options.quote or False,
                    double_quote=True,
                    newlines_in_values=self.options.newlines_in_values,
                    invalid_row_handler=on_invalid,
                ),
                pcsv.ConvertOptions(
                    column_types={name: pa.string() for name in self.names}, null_values=[""], strings_can_be_null=True
                ),
            )
        except pa.ArrowInvalid as error:
            # A line with too few or too many fields reaches `on_invalid` only when it can be decoded.
            if not re.search(r"UTF-?8|Expected \d+ columns", str(error)):
                raise
            return None
        batches = table.combine_chunks().to_batches()
        return (batches[0] if batches else self._empty()), gone

    def _empty(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({name: pa.array([], pa.string()) for name in self.names})
