"""Land a batch: everything that concerns one row happens here, in Arrow, before a byte of it reaches PostgreSQL.

Identity codes become pseudonyms, texts are matched against the contract's formats and cast, rows that break structure go
to quarantine with every reason, the others are copied typed into the batch's landing table. Landing tables are unlogged
and empty after a crash, so whoever reads one first asks `ensure`.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from psycopg import sql

from citydata import contract as contracts
from citydata import database, formats, ops, quality, town
from citydata.contract import Column, Contract
from citydata.extract import NO_DIFFERENCE, Block, ColumnsDiffer, ContentError, Refused, archive, connector
from citydata.extract.background import Background
from citydata.ops import Batch, Connection
from citydata.privacy import identity_code

ROW_RULES = {
    "column_count": "A line has as many fields as the header.",
    "quoting": "Quotes are closed and doubled inside quotes.",
    "nul_byte": "A row holds no NUL byte.",
    "encoding": "A line is written in the contract's encoding.",
    "line_break": "A line ends with a line feed, with or without a carriage return.",
    "feature": "A feature is an object with properties.",
    "several_values": "What stands for one value occurs once.",
    "nested_elements": "What stands for a value holds a text and no further elements.",
    "json": "A line is one JSON object in UTF-8 that has each name once.",
    "line_length": "A line is not longer than the contract says.",
    "resource_type": "A line is a resource of the contract's type.",
    "resource_id": "A resource has an id of up to 64 letters, digits, hyphens and points.",
    "reference": "A reference names one resource by its id.",
    "deletion": "A deletion is a DELETE of one resource by its id.",
}
REFUSED_FLUSH = 2_000  # refused rows in memory at a time


class Landing:
    """Loads the blocks of one batch and counts what happened to their rows.

    `part` are the values of the scope's columns that were asked for. A source that sends others ignores the filter; where the
    content is known to hold others (`selected`), they are not the batch's: they are counted in `aside` and nowhere else.
    """

    def __init__(
        self,
        contract: Contract,
        batch_id: int,
        columns: list[Column],
        part: list[Any] | None = None,
        *,
        selected: bool = False,
    ) -> None:
        self.contract, self.batch_id, self.columns = contract, batch_id, columns
        self.table = sql.Identifier("landing", f"b{batch_id}")
        self.refused_table = sql.Identifier("landing", f"b{batch_id}_refused")
        self.extracted = 0
        self.landed = 0
        self.aside = 0
        self.unexpected: dict[str, int] = {}
        zone = town.load().time_zone
        self._casters = {column.name: formats.caster(column, zone) for column in columns}
        self._pseudonyms = identity_code.Pseudonyms() if any(column.pseudonymous for column in columns) else None
        self._texts = [column for column in columns if column.pg_type == "text" and not column.pseudonymous]
        self._refused: list[tuple[int, str | None, list[str], str]] = []
        self._part = tuple(part) if part else None  # what was asked for; the batch covers it even when no row comes
        self._parts: set[tuple[Any, ...]] = {self._part} if self._part else set()
        self._selection = Parts(contract) if selected else None

    @property
    def physical(self) -> dict[str, str]:
        """Columns of the landing table and their types, without the row number."""
        wanted = {column.name for column in self.columns}
        return {
            name: kind
            for name, kind in self.contract.table_columns.items()
            if name.removesuffix("_valid") in wanted or name in wanted
        }

    def load(self, blocks: Iterator[Block]) -> None:
        """Create the landing table, empty if it was there, and fill it.

        Raises ContentError when the source's content cannot be read on; what was landed until then is dropped.
        """
        with (
            database.connect("loader", autocommit=True) as connection,
            database.connect("loader", autocommit=True) as beside,
        ):
            if self._pseudonyms:
                self._pseudonyms.register(connection)
            drop(connection, self.batch_id)
            body = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
                for name, kind in {"_row": "bigint", **self.physical}.items()
            )
            connection.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(self.table, body))
            connection.execute(
                sql.SQL("CREATE UNLOGGED TABLE {} (row_number bigint, key jsonb, reasons text[], row jsonb)").format(
                    self.refused_table
                )
            )
            try:
                statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(self.table)
                with connection.cursor().copy(statement) as copy, Background(copy.write) as sending:
                    for block in blocks:
                        good = self._checked(block)
                        if len(good):
                            sending.put(_csv(good))
                        if len(self._refused) >= REFUSED_FLUSH:
                            self._flush(beside)
                self._flush(beside)
            except BaseException:
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}, {}").format(self.table, self.refused_table))
                raise

    def _checked(self, block: Block) -> pa.RecordBatch:
        """The rows of a block that are right, typed; the others are noted for quarantine."""
        if self._selection and self._part:
            received = len(block.rows)
            block = _filtered(block, self._selection.may_be(block, self._part))
            self.aside += received - len(block.rows)
        rows = len(block.rows)
        self.extracted += rows + len(block.refused)
        arrays: dict[str, pa.Array] = {"_row": block.numbers}
        broken = {f"{self.contract.dataset}.row.{rule}": mask for rule, mask in block.broken.items()}
        texts = {name: block.rows.column(name) for name in block.rows.schema.names}
        if not block.clean:
            self._masked(texts, broken)
        for column in self.columns:
            text = texts.get(column.name)
            if text is None:  # a field that no record of a JSON document has
                text = pa.nulls(rows, pa.string())
            if column.pseudonymous:
                code, valid = self._pseudonymised(column, text)
                arrays[column.name] = code
                if column.identity_code:
                    arrays[f"{column.name}_valid"] = valid
                text = texts[column.name] = code  # from here on nothing holds the code itself
            done = self._casters[column.name](text)
            if not column.pseudonymous:
                arrays[column.name] = done.values
            for rule, mask in done.broken.items():
                broken[f"{self.contract.dataset}.{column.name}.{rule}"] = mask
        self._suppress(arrays, texts)
        for row in block.refused:
            self._refuse_line(row)
        typed = pa.RecordBatch.from_pydict(arrays)
        if broken:
            bad = pa.array([False] * rows)
            for mask in broken.values():
                bad = pc.or_(bad, mask)
            self._refuse_rows(typed, texts, broken, bad)
            typed = typed.filter(pc.invert(bad))
        self._note_parts(typed)
        self.landed += len(typed)
        return typed

    def _masked(self, texts: dict[str, pa.Array], broken: dict[str, pa.Array]) -> None:
        """Mask identity codes that stand in texts where none belong, and refuse rows with a NUL, which PostgreSQL cannot keep."""
        for column in self._texts:
            text = texts.get(column.name)
            if text is None:
                continue
            nul = pc.fill_null(pc.match_substring(text, "\0"), False)
            if pc.any(nul).as_py():
                check = f"{self.contract.dataset}.row.nul_byte"
                broken[check] = pc.or_(broken[check], nul) if check in broken else nul
            if pc.any(pc.match_substring_regex(text, identity_code.PATTERN)).as_py():
                texts[column.name] = pa.array(
                    [value and identity_code.mask(value) for value in text.to_pylist()], pa.string()
                )

    def _suppress(self, arrays: dict[str, pa.Array], texts: dict[str, pa.Array]) -> None:
        """Drop what may not be kept of a person under non-disclosure (turvakielto, 661/2009 36 §).

        A row of which it is not known whether it is, is treated as one.
        """
        for column in self.columns:
            by = column.settings.suppressedBy
            if by is None:
                continue
            open_to_all = pc.fill_null(pc.invert(arrays[by]), False)
            arrays[column.name] = pc.if_else(
                open_to_all, arrays[column.name], pa.scalar(None, arrays[column.name].type)
            )
            if column.name in texts:
                texts[column.name] = pc.if_else(open_to_all, texts[column.name], pa.scalar(None, pa.string()))

    def _pseudonymised(self, column: Column, codes: pa.Array) -> tuple[pa.Array, pa.Array]:
        assert self._pseudonyms
        replaced = self._pseudonyms.pseudonym if column.identity_code else self._pseudonyms.of_id
        distinct = codes.dictionary_encode()
        plain = distinct.dictionary.to_pylist()
        pseudonyms = pa.array([replaced(code) for code in plain], pa.string())
        valid = pa.array([identity_code.is_valid(identity_code.normalised(code)) for code in plain], pa.bool_())
        return pc.take(pseudonyms, distinct.indices), pc.take(valid, distinct.indices)

    def _refuse_line(self, row: Refused) -> None:
        check = f"{self.contract.dataset}.row.{row.rule}"
        self.unexpected[check] = self.unexpected.get(check, 0) + 1
        line = identity_code.mask(row.text, all_alike=self._pseudonyms is not None)
        if self.contract.platform.encryptedArchive:  # what could not be split could not be masked by column either
            line = "[in the batch's encrypted archive]"
        self._refused.append((row.row_number, None, [check], json.dumps({"line": line}, ensure_ascii=False)))

    def _refuse_rows(
        self, typed: pa.RecordBatch, texts: dict[str, pa.Array], broken: dict[str, pa.Array], bad: pa.Array
    ) -> None:
        for check, mask in broken.items():
            self.unexpected[check] = self.unexpected.get(check, 0) + mask.true_count
        unreadable: dict[str, set[int]] = {column.name: set() for column in self.columns}
        for check, mask in broken.items():
            name = check.split(".")[-2]
            if name in unreadable:
                unreadable[name].update(pc.indices_nonzero(mask).to_pylist())
        sources = {column.name: column.source_name for column in self.columns}
        for index in pc.indices_nonzero(bad).to_pylist():
            reasons = [check for check, mask in broken.items() if mask[index].as_py()]
            readable = {
                name: typed.column(name)[index].as_py()
                for name in self._identity()
                if index not in unreadable.get(name, ())
            }
            whole = len(readable) == len(self._identity())
            key = _json(readable) if readable and (whole or self.contract.platform.keyless) else None
            row = {sources[name]: text[index].as_py() for name, text in texts.items() if name in sources}
            row = {name: value and identity_code.mask(value).replace("\0", "␀") for name, value in row.items()}
            self._note_part(readable)
            self._refused.append(
                (typed.column("_row")[index].as_py(), key, reasons, json.dumps(row, ensure_ascii=False))
            )

    def _identity(self) -> list[str]:
        """Columns by which a refused row is recognised in raw: the key, or all that could be read."""
        return self.contract.key or list(self.physical)

    def _note_parts(self, typed: pa.RecordBatch) -> None:
        """Remember which key values the batch covers, where that is its scope."""
        names = self.contract.scope.columns
        if names and len(typed):
            distinct = pa.Table.from_batches([typed.select(names)]).group_by(names).aggregate([])
            self._parts.update(zip(*(distinct.column(name).to_pylist() for name in names), strict=True))
            self._check_part()

    def _note_part(self, readable: dict[str, Any]) -> None:
        names = self.contract.scope.columns
        if names and all(name in readable for name in names):
            self._parts.add(tuple(readable[name] for name in names))
            self._check_part()

    def _check_part(self) -> None:
        if self._part and self._parts != {self._part}:
            others = len(self._parts) - 1
            raise ContentError(
                f"the source sent rows of {others} other values of {', '.join(self.contract.scope.columns)} than"
                f" {', '.join(map(str, self._part))}, which was asked for: it ignores the filter"
            )

    @property
    def scope(self) -> dict[str, Any]:
        """What the batch turned out to cover, for ops.batch."""
        names = self.contract.scope.columns
        if not names:
            return {"type": "everything"}
        return {"type": "keys", "columns": names, "values": sorted((list(part) for part in self._parts), key=str)}

    def _flush(self, connection: Connection) -> None:
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(self.refused_table)) as copy:
            for row in self._refused:
                copy.write_row(row)
        self._refused.clear()

    def results(self) -> list[quality.CheckResult]:
        """One result for each structural rule, with all received rows as its elements; none when no row came."""
        if not self.extracted:
            return []
        dataset, found = self.contract.dataset, []
        checks = {f"{dataset}.row.{rule}": ("machine_readability", text) for rule, text in ROW_RULES.items()}
        for column in self.columns:
            for rule in formats.rules(column):
                dimension = "completeness" if rule == "required" else "compliance"
                checks[f"{dataset}.{column.name}.{rule}"] = (dimension, _rule_text(column, rule))
        for check, (dimension, description) in checks.items():
            unexpected = self.unexpected.get(check, 0)
            found.append(
                quality.CheckResult(
                    source="structure",
                    check_id=check,
                    dimension=dimension,
                    severity="quarantine",
                    description=description,
                    outcome="fail" if unexpected else "pass",
                    dataset=dataset,
                    batch_id=self.batch_id,
                    evaluated=self.extracted,
                    unexpected=unexpected,
                    owner=self.contract.owner,
                )
            )
        return found


class Parts:
    """Which part of its dataset each row of a content belongs to: the values of the scope's columns."""

    def __init__(self, contract: Contract) -> None:
        zone = town.load().time_zone
        self._columns = [column for column in contract.columns if column.name in contract.scope.columns]
        self._casters = [formats.caster(column, zone) for column in self._columns]

    def counted(self, blocks: Iterator[Block]) -> Counter[tuple[Any, ...]]:
        """Rows by part. Those of which the part cannot be read are in none."""
        counts: Counter[tuple[Any, ...]] = Counter()
        for block in blocks:
            values = pa.table(dict(zip((column.name for column in self._columns), self._values(block), strict=True)))
            grouped = values.drop_null().group_by(values.column_names).aggregate([([], "count_all")])
            parts = zip(*(grouped.column(name).to_pylist() for name in values.column_names), strict=True)
            counts.update(dict(zip(parts, grouped.column("count_all").to_pylist(), strict=True)))
        return counts

    def may_be(self, block: Block, part: tuple[Any, ...]) -> pa.Array:
        """A mask of the rows of a part, and of those that may be of it, because their part cannot be read."""
        mask = pa.array([True] * len(block.rows))
        for values, wanted in zip(self._values(block), part, strict=True):
            mask = pc.and_(mask, pc.fill_null(pc.equal(values, pa.scalar(wanted, values.type)), True))
        return mask

    def _values(self, block: Block) -> list[pa.Array]:
        present = block.rows.schema.names
        texts = [  # a field that no record of a JSON document has is in no block
            block.rows.column(column.name) if column.name in present else pa.nulls(len(block.rows), pa.string())
            for column in self._columns
        ]
        return [caster(text).values for caster, text in zip(self._casters, texts, strict=True)]


def _filtered(block: Block, mask: pa.Array) -> Block:
    broken = {rule: rows.filter(mask) for rule, rows in block.broken.items()}
    return replace(block, rows=block.rows.filter(mask), numbers=block.numbers.filter(mask), broken=broken)


def _rule_text(column: Column, rule: str) -> str:
    options = column.options
    if rule == "required":
        return f"{column.name} has a value."
    if rule == "length":
        return f"{column.name} has {options.get('minLength', 0)} to {options.get('maxLength', 'any number of')} characters."
    if rule == "geometry":
        return f"{column.name} is a valid geometry in a known reference system."
    if rule == "bounds":
        return f"{column.name} lies within the bounds of the {column.settings.geometry and column.settings.geometry.within}."
    if rule == "pattern":
        return f"{column.name} is written as {options['pattern']}."
    return f"{column.name} is written as the contract says ({column.type}{' ' + options['format'] if 'format' in options else ''})."


def _csv(rows: pa.RecordBatch) -> bytes:
    """Rows as PostgreSQL's CSV: texts quoted, so that an empty text differs from NULL."""
    sink = io.BytesIO()
    pcsv.write_csv(rows, sink, pcsv.WriteOptions(include_header=False, quoting_style="needed", batch_size=65_536))
    return sink.getvalue()


def _json(values: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return float(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        if isinstance(value, date):
            return value.isoformat()
        raise TypeError(type(value).__name__)

    return json.dumps(values, default=plain, ensure_ascii=False).replace("\\u0000", "␀")


def columns_of(contract: Contract, kind: str) -> list[Column]:
    """Columns that a batch of a kind has: a sweep and deletions hold keys only."""
    return [column for column in contract.columns if column.key or kind == "load"]


def settle(connection: Connection, contract: Contract, batch_id: int, landing: Landing) -> None:
    """Record what landed: quarantine, structural results and the batch's counts, in one transaction."""
    with connection.transaction():
        quarantine = sql.Identifier("quarantine", contract.system)
        connection.execute(sql.SQL("DELETE FROM {} WHERE batch_id = %s").format(quarantine), (batch_id,))
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (dataset, batch_id, row_number, key, reasons, row)"
                " SELECT %s, %s, row_number, key::text, reasons, row FROM {} ORDER BY row_number"
            ).format(quarantine, landing.refused_table),
            (contract.dataset, batch_id),
        )
        connection.execute(sql.SQL("DROP TABLE {}").format(landing.refused_table))
        ops.landed(connection, batch_id, landing.extracted, landing.landed, landing.scope)
        quality.record(connection, landing.results())


def ensure(connection: Connection, batch: Batch) -> bool:
    """Make sure that the landing table holds the batch's rows; land again from the archive when it does not.

    Returns whether it had to; then the batch is `landed` again and must be audited again.
    """
    table = sql.Identifier("landing", batch.landing_table)
    if connection.execute("SELECT to_regclass(%s)", (f"landing.{batch.landing_table}",)).fetchone() != (None,):
        count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
        if count == (batch.landed,):
            return False
    reland(connection, batch)
    return True


def reland(connection: Connection, batch: Batch) -> None:
    """Land a batch from its archive, as if for the first time. A content that cannot be read holds it.

    Raises Rejected, with nothing left, when the batch was rejected meanwhile.
    """
    contract = contracts.load(batch.dataset).of_archive(ops.archived_under(connection, batch))
    if not batch.archive_path or not batch.archive_sha256:
        raise ops.BatchError(f"{batch.title} has no archive; it was never complete")
    columns = columns_of(contract, batch.kind)
    part, selected = batch.source.get("part"), bool(batch.source.get("selected"))
    landing = Landing(contract, batch.batch_id, columns, part, selected=selected)
    try:
        chunks = archive.read(batch.archive_path, batch.archive_sha256)
        landing.load(connector(contract).parse(contract, chunks, [column.source_name for column in columns]))
    except ContentError as error:
        ops.hold(connection, batch.batch_id, str(error))
        if isinstance(error, ColumnsDiffer):
            ops.note_columns(connection, batch.batch_id, error.columns)
        raise
    try:
        settle(connection, contract, batch.batch_id, landing)
    except ops.Rejected:
        drop(connection, batch.batch_id)
        raise
    # Of a table, the archive holds only what the contract took.
    if batch.kind == "load" and landing.extracted and contract.platform.connector.type != "sql":
        ops.note_columns(connection, batch.batch_id, NO_DIFFERENCE)


def drop(connection: Connection, batch_id: int) -> None:
    """Drop the landing tables of a batch."""
    connection.execute(
        sql.SQL("DROP TABLE IF EXISTS {}, {}").format(
            sql.Identifier("landing", f"b{batch_id}"), sql.Identifier("landing", f"b{batch_id}_refused")
        )
    )
