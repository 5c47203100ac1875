"""What a source sends now against its contract: columns by title, values by count, and which new title may be which column.

Looked at is the newest held batch, whose archive is what the source sent, or without one the source itself, of which no batch
is made. No value leaves this module: titles, shares and counts do.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from citydata import formats, ops, town
from citydata.contract import Column, ColumnSettings, Contract
from citydata.extract import Candidate, ContentError, Position, SourceError, archive, connector
from citydata.extract import differing as ledger_names
from citydata.extract.sql import Reading, titles_now
from citydata.ops import Batch, Connection
from citydata.privacy import identity_code
from citydata.source_change import renames
from citydata.source_change.renames import Evidence, Match, Rename

SAMPLE = 20_000  # rows whose values are compared with current ones
MOST_LOOKED_AT = 64 << 20  # bytes of a service's answer, which is kept in memory
TAKES_WHAT_IT_NAMES = ("gml", "sql")  # what a source has beside the contract's columns is not read, and holds nothing


@dataclass(frozen=True)
class Seen:
    """What a source sends: where that was seen, its titles in their order, and its rows as texts under these titles."""

    where: str
    titles: list[str]
    rows: Callable[[], Iterator[pa.RecordBatch]]
    batch: Batch | None = None


@dataclass(frozen=True)
class Misfit:
    """Rows in which a column's value is not what the contract says, by rule; `holds` says whether there are too many."""

    column: str
    rule: str
    rows: int
    of: int
    holds: bool


@dataclass(frozen=True)
class Difference:
    """How what was seen differs from the contract. Columns by their names, new ones by their titles.

    `new` are titles that hold a batch, `beside` those that a source may have beside the contract's columns. `emptied` are
    columns without a value in any row that have values in the current ones.
    """

    contract: Contract
    seen: Seen
    rows: int
    missing: tuple[str, ...]
    new: tuple[str, ...]
    beside: tuple[str, ...]
    renames: tuple[Rename, ...]
    misfits: tuple[Misfit, ...]
    emptied: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether somebody has to do something."""
        held = any(misfit.holds for misfit in self.misfits)
        return bool(self.missing or self.new or self.renames or self.emptied or held)

    @property
    def unexplained(self) -> tuple[list[str], list[str]]:
        """Missing columns and new titles for which no rename is proposed."""
        columns = {rename.column for rename in self.renames}
        titles = {rename.title for rename in self.renames}
        return [name for name in self.missing if name not in columns], [name for name in self.new if name not in titles]


def shown(title: str) -> str:
    """A title as it may be told: what does not look like one may be a value, and is a question mark."""
    return ledger_names([title], [])["added"][0]


# -- what is looked at -----------------------------------------------------------------------------------------------


def look(connection: Connection, contract: Contract, batch_id: int | None = None) -> Seen:
    """Find what the source sends now. `connection` belongs to the loader.

    Raises BatchError for a batch that cannot be looked at, SourceError when there is nothing to look at, ContentError when
    what there is has no titles that can be told apart.
    """
    if contract.platform.connector.type == "fhir":
        raise SourceError(
            f"{contract.dataset}: resources of FHIR have the standard's elements and no titles to compare;"
            f" `./citydata run {contract.dataset}` says what the server sends"
        )
    if batch_id is not None:
        return _archived(contract, _batch(connection, contract, batch_id))
    if contract.platform.connector.type == "sql":
        return _table(contract)
    held = [batch for batch in ops.in_states(connection, contract.dataset, "held") if batch.kind == "load"]
    if held:
        return _archived(contract, held[-1])
    return _offered(contract)


def _batch(connection: Connection, contract: Contract, batch_id: int) -> Batch:
    batch = ops.get(connection, batch_id)
    if batch.dataset != contract.dataset:
        raise ops.BatchError(f"batch {batch_id} is of {batch.dataset}, not of {contract.dataset}")
    if batch.kind != "load" or not batch.archive_path:
        raise ops.BatchError(f"{batch.title} ({batch.kind}, {batch.state}) has no archive of whole rows to compare")
    if contract.platform.connector.type == "sql":
        raise ops.BatchError(
            f"{batch.title}: the archive of a table holds only the columns that the contract took; without --batch the table"
            " itself is looked at"
        )
    return batch


def _archived(contract: Contract, batch: Batch) -> Seen:
    def chunks() -> Iterator[bytes]:
        return archive.read(batch.archive_path or "", batch.archive_sha256 or "")

    seen = _from_chunks(contract, f"{batch.state} batch {batch.batch_id}", chunks)
    return replace(seen, batch=batch)


def _from_chunks(contract: Contract, where: str, chunks: Callable[[], Iterator[bytes]]) -> Seen:
    protocol: Any = connector(contract)
    titles = protocol.titles_of(contract, chunks())
    if not set(titles) & {title for column in contract.columns for title in column.titles}:
        raise ContentError(
            f"{contract.dataset}, {where}: none of the contract's titles is there; perhaps the first row is no header, or this"
            " is another content"
        )
    return Seen(where, titles, lambda: _texts(contract, titles, chunks()))


def _table(contract: Contract) -> Seen:
    titles = titles_now(contract)
    view = _view(contract, titles)

    def rows() -> Iterator[pa.RecordBatch]:
        chunks = connector(view).fetch(view, Candidate(None, place=Reading())).chunks
        return _texts(contract, titles, chunks)

    return Seen(f"the table {getattr(contract.platform.connector, 'table', '')}, now", titles, rows)


def _offered(contract: Contract) -> Seen:
    """What the source would give a batch of now: its newest file, or the first of the answers to our questions."""
    candidates = list(connector(contract).candidates(contract, Position()))
    if not candidates:
        raise SourceError(
            f"{contract.dataset}: nothing is held and the source has nothing now, so there is nothing to compare; say which"
            " batch (--batch)"
        )
    files = contract.platform.connector.type == "files"
    candidate = candidates[-1 if files else 0]
    if files and candidate.offer:
        where = f"the file {candidate.offer.name}"
        return _from_chunks(contract, where, lambda: connector(contract).fetch(contract, candidate).chunks)
    received, size = [], 0
    with contextlib.suppress(ContentError):  # an answer that is not the contract's is what is looked for
        for chunk in connector(contract).fetch(contract, candidate).chunks:
            received.append(chunk)
            size += len(chunk)
            if size > MOST_LOOKED_AT:
                raise SourceError(
                    f"{contract.dataset}: the source answers with more than {MOST_LOOKED_AT >> 20} MiB, too much to only look"
                    f" at; `./citydata run {contract.dataset}` keeps it"
                )
    return _from_chunks(contract, "the source's answer, now", lambda: iter(received))


def _view(contract: Contract, titles: list[str]) -> Contract:
    """The contract of what was seen: a column of text for each title, with nothing required."""
    known = {title: column for column in contract.columns for title in column.titles}
    spread = getattr(getattr(contract.platform.connector, "unpivot", None), "columns", ())
    columns = []
    for title in titles:
        column = known.get(title) or _unknown(title)
        name = column.name if column.name in spread else title
        settings = column.settings.model_copy(update={"formerNames": []})
        columns.append(replace(column, name=name, source_name=title, settings=settings, required=False, key=False))
    # Not the changed rows of a table, but the first of all.
    platform = contract.platform.model_copy(update={"watermark": None})
    return replace(contract, columns=tuple(columns), platform=platform)


def _unknown(title: str) -> Column:
    return Column(
        title, title, "string", "text", False, False, "secret", None, False, "", "", "", {},
        ColumnSettings(description_sv="", description_en=""),
    )  # fmt: skip


def _texts(contract: Contract, titles: list[str], chunks: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
    view = _view(contract, titles)
    for block in connector(view).parse(view, chunks, titles):
        yield block.rows.select([column.name for column in view.columns]).rename_columns(titles)


# -- the comparison --------------------------------------------------------------------------------------------------


def compare(connection: Connection, contract: Contract, seen: Seen) -> Difference:
    """Compare what was seen with the contract and the current rows. `connection` belongs to the loader."""
    form = getattr(contract.platform.connector, "format", None) or contract.platform.connector.type
    if form == "ogc":
        form = "gml" if getattr(contract.platform.connector, "protocol", "") == "wfs" else "geojson"
    present = {c.name: t for c in contract.columns for t in c.titles if t in seen.titles}
    known = {title for column in contract.columns for title in column.titles}
    others = [title for title in seen.titles if title not in known]
    current = _filled(connection, contract)
    absent = [column for column in contract.columns if column.name not in present and not column.may_lack]
    if form not in ("csv", "sql"):  # a field that no record has may be optional, and is missed where it had values
        absent = [column for column in absent if column.required or current[column.name]]
    compared = _Compared(contract, present)
    compared.read(seen.rows(), [*others] if absent else [], endless=form == "sql")
    strict = form not in TAKES_WHAT_IT_NAMES
    return Difference(
        contract=contract,
        seen=seen,
        rows=compared.rows,
        missing=tuple(column.name for column in absent),
        new=tuple(others) if strict else (),
        beside=() if strict else tuple(others),
        renames=tuple(renames.propose(_evidence(connection, contract, seen, compared, absent, others))),
        misfits=compared.misfits(),
        emptied=tuple(name for name in present if compared.rows and not compared.filled[name] and current.get(name)),
    )


def _filled(connection: Connection, contract: Contract) -> dict[str, int]:
    """How many current rows have a value, by column."""
    present = {
        row[0]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (f"raw.{contract.raw_name}",),
        )
    }
    names = [column.name for column in contract.columns if column.name in present]
    counts = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(name)) for name in names)
    if not names:
        return dict.fromkeys((column.name for column in contract.columns), 0)
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} WHERE _closed_by IS NULL").format(counts, sql.Identifier("raw", contract.raw_name))
    ).fetchone()
    assert row  # an aggregate has one row
    return dict.fromkeys((column.name for column in contract.columns), 0) | dict(zip(names, row, strict=True))


class _Compared:
    """Values of the columns that came, counted over all rows, and the first rows of what proposals need."""

    def __init__(self, contract: Contract, present: dict[str, str]) -> None:
        self.contract, self.present = contract, present
        self.rows = 0
        self.filled: Counter[str] = Counter()
        self._broken: Counter[tuple[str, str]] = Counter()
        self._sampled: list[pa.RecordBatch] = []
        self._typed = _Typed()
        self._columns = [column for column in contract.columns if column.name in present]
        self.keyed = bool(contract.key) and all(name in present for name in contract.key)

    def read(self, batches: Iterator[pa.RecordBatch], titles: list[str], *, endless: bool) -> None:
        """Count, and keep the first rows of `titles` with their keys. Of what is `endless`, nothing more is read."""
        keys = [self.present[name] for name in self.contract.key] if self.keyed else []
        for batch in batches:
            for column in self._columns:
                values, broken = self._typed.of(column, batch.column(self.present[column.name]))
                self.filled[column.name] += len(values) - values.null_count
                for rule, mask in broken.items():
                    self._broken[column.name, rule] += mask.true_count
                    self.filled[column.name] += 0 if rule == "required" else mask.true_count
            if self.rows < SAMPLE and titles:
                self._sampled.append(batch.select([*keys, *titles]).slice(0, SAMPLE - self.rows))
            self.rows += len(batch)
            if endless and self.rows >= SAMPLE:
                break

    def misfits(self) -> tuple[Misfit, ...]:
        """What does not fit, by column and rule."""
        return tuple(
            Misfit(column, rule, rows, self.rows, self.contract.too_many_quarantined(rows, self.rows) is not None)
            for (column, rule), rows in self._broken.items()
        )

    def texts(self, title: str) -> pa.Array:
        """The first values of a title."""
        return pa.chunked_array([batch.column(title) for batch in self._sampled], pa.string()).combine_chunks()

    def keys(self) -> list[Hashable]:
        """The keys of the first rows; a row whose key cannot be read has None."""
        by_name = {column.name: column for column in self._columns}
        parts = [
            self._typed.of(by_name[name], self.texts(self.present[name]))[0].to_pylist() for name in self.contract.key
        ]
        return [None if None in key else key for key in zip(*parts, strict=True)]

    def as_column(self, column: Column, title: str) -> tuple[list[Any], float | None]:
        """The first values of a title read as a column's, and the share of them that are written as the contract says."""
        texts = self.texts(title)
        values, broken = self._typed.of(column, texts)
        wrong = pa.array([False] * len(texts))
        for rule, mask in broken.items():
            wrong = wrong if rule == "required" else pc.or_(wrong, mask)
        said = len(texts) - texts.null_count
        return values.to_pylist(), (1 - wrong.true_count / said if said else None)


class _Typed:
    """Reads texts as landing does: pseudonyms for identity codes, the contract's formats for the rest."""

    def __init__(self) -> None:
        self._casters: dict[str, Callable[[pa.Array], formats.Cast]] = {}
        self._pseudonyms: identity_code.Pseudonyms | None = None

    def of(self, column: Column, texts: pa.Array) -> tuple[pa.Array, dict[str, pa.Array]]:
        """Values of the column's type, and masks of the rows that break a rule."""
        if column.pseudonymous:
            return self._pseudonymous(column, texts)
        if column.name not in self._casters:
            self._casters[column.name] = formats.caster(column, town.load().time_zone)
        done = self._casters[column.name](texts)
        return done.values, done.broken

    def _pseudonymous(self, column: Column, texts: pa.Array) -> tuple[pa.Array, dict[str, pa.Array]]:
        self._pseudonyms = self._pseudonyms or identity_code.Pseudonyms()
        replaced = self._pseudonyms.pseudonym if column.identity_code else self._pseudonyms.of_id
        values = pa.array([None if text is None else replaced(text) for text in texts.to_pylist()], pa.string())
        if not column.identity_code:
            return values, {}
        valid = [text is None or identity_code.is_valid(identity_code.normalised(text)) for text in texts.to_pylist()]
        # Landing keeps codes that are not valid, with a flag; that a title holds none at all is what counts here.
        return values, {} if any(valid) or not valid else {"format": pa.array([not one for one in valid])}


def _evidence(
    connection: Connection,
    contract: Contract,
    seen: Seen,
    compared: _Compared,
    absent: list[Column],
    titles: list[str],
) -> dict[tuple[str, str], Evidence]:
    """What speaks for each title being each of the absent columns."""
    if not absent or not titles:
        return {}
    keys = compared.keys() if compared.keyed else None
    before = _current(connection, contract, [column.name for column in absent], set(keys) if keys else None)
    places = {column.name: place for place, column in enumerate(contract.columns)}
    found = {}
    for column in absent:
        for place, title in enumerate(seen.titles):
            if title not in titles:
                continue
            values, fit = compared.as_column(column, title)
            match: Match | None = None
            if fit is not None and fit >= renames.LEAST_FIT:
                if keys:
                    now = {key: value for key, value in zip(keys, values, strict=True) if key is not None}
                    match = renames.by_key(before[column.name], now)
                else:
                    match = renames.by_value(before[column.name].values(), values)
            found[column.name, title] = Evidence(
                title=renames.alike(title, (*column.titles, column.name)),
                same_place=places[column.name] == place,
                fit=fit,
                match=match,
            )
    return found


def _current(
    connection: Connection, contract: Contract, names: list[str], keys: set[Hashable] | None
) -> dict[str, dict[Hashable, Any]]:
    """Current values of columns by the key of their rows, of these keys; without keys, of the first rows by their number."""
    found: dict[str, dict[Hashable, Any]] = {name: {} for name in names}
    key = contract.key if keys is not None else []
    columns = sql.SQL(", ").join(map(sql.Identifier, [*key, *names]))
    statement = sql.SQL("SELECT {} FROM {} WHERE _closed_by IS NULL").format(
        columns, sql.Identifier("raw", contract.raw_name)
    )
    with connection.transaction(), connection.cursor(name="current_rows") as cursor:
        cursor.itersize = 10_000
        for number, row in enumerate(cursor.execute(statement)):
            identity: Hashable = tuple(row[: len(key)]) if keys is not None else number
            if keys is None and number >= 5 * SAMPLE:
                break
            if keys is None or identity in keys:
                for name, value in zip(names, row[len(key) :], strict=True):
                    found[name][identity] = value
                if keys is not None and len(found[names[0]]) == len(keys):
                    break
    return found
