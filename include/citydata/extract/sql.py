"""A table of a source's database, read over SQLAlchemy in bounded memory and one consistent transaction.

Rows become text as ISO 8601 and plain decimals, so that the archive and the contract's formats mean the same for every
database. Statements are built from SQLAlchemy's core and compile for PostgreSQL, SQL Server and Oracle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from citydata import settings
from citydata.connector_options import SqlConnector
from citydata.contract import Contract
from citydata.extract import (
    Block,
    Candidate,
    Columns,
    ColumnsDiffer,
    ContentError,
    Fetch,
    Position,
    SourceError,
    differing,
    streams,
    titles,
)

# What each database calls a transaction in which a count and the rows that it counts agree.
ISOLATION = {"postgresql": "REPEATABLE READ", "mssql": "SNAPSHOT", "oracle": "SERIALIZABLE"}


@dataclass(frozen=True)
class Reading:
    """What of the table to read: rows changed at or after `since` (and before `until`), or the keys of all rows."""

    since: datetime | None = None
    until: datetime | None = None
    keys_only: bool = False


def candidates(contract: Contract, position: Position) -> Iterator[Candidate]:
    """What changed since the watermark less the overlap, or in the window of a backfill; then all keys, when it is time."""
    if position.window:
        window = [moment.isoformat() for moment in position.window]
        yield Candidate(None, place=Reading(*position.window), source={"window": window})
        return
    since = None
    if position.watermark and contract.watermark:
        since = datetime.fromisoformat(position.watermark) - timedelta(minutes=contract.watermark.overlap_minutes)
    yield Candidate(None, place=Reading(since), watermark_from=since.isoformat() if since else None)
    sweep = contract.platform.keySweep
    if sweep and (
        position.swept_at is None or position.swept_at < datetime.now(UTC) - timedelta(hours=sweep.every_hours)
    ):
        yield Candidate(None, kind="sweep", place=Reading(keys_only=True))


def columns(contract: Contract, *, keys_only: bool) -> list[str]:
    """Names in the source of the columns that a reading has."""
    return [column.source_name for column in contract.columns if column.key or not keys_only]


def statements(contract: Contract, reading: Reading) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """The query of a reading, and the one that counts its rows."""
    options = contract.platform.connector
    assert isinstance(options, SqlConnector)
    schema, _, name = options.table.rpartition(".")
    table = sa.table(name, *(sa.column(column) for column in columns(contract, keys_only=False)), schema=schema or None)
    query = sa.select(*(table.c[column] for column in columns(contract, keys_only=reading.keys_only)))
    count = sa.select(sa.func.count()).select_from(table)
    if contract.watermark and not reading.keys_only:
        source_name = next(c.source_name for c in contract.columns if contract.watermark.column == c.name)
        changed = table.c[source_name]
        if reading.since:
            query, count = (
                one.where(changed >= sa.bindparam("since", reading.since, sa.DateTime(True))) for one in (query, count)
            )
        if reading.until:
            query, count = (
                one.where(changed < sa.bindparam("until", reading.until, sa.DateTime(True))) for one in (query, count)
            )
    return query, count


def fetch(contract: Contract, candidate: Candidate) -> Fetch:
    """Open the reading. `source` tells the server's time and row count, `watermark` the newest change that was read."""
    result = Fetch(iter(()), dict(candidate.source))
    result.chunks = _chunks(contract, candidate.place, result)
    return result


def count(contract: Contract, windows: Sequence[tuple[datetime, datetime]]) -> list[int]:
    """How many rows the source has in each window. Raises SourceError when it does not answer."""
    options = contract.platform.connector
    assert isinstance(options, SqlConnector)
    engine = _engine(options.connection)
    try:
        with engine.connect() as opened:
            return [opened.execute(statements(contract, Reading(*window))[1]).scalar_one() for window in windows]
    except sa.exc.SQLAlchemyError as error:
        cause = type(getattr(error, "orig", None) or error).__name__
        raise SourceError(f"the source “{options.connection}” could not be read ({cause})") from None
    finally:
        engine.dispose()


def schemas(connection: str) -> list[str]:
    """Schemas of a source's database that hold tables its login may see, without the database's own.

    Raises SourceError when the source does not answer.
    """
    try:
        with _engine(connection).connect() as opened:
            names: Sequence[str] = (
                opened.execute(sa.text("SELECT DISTINCT table_schema FROM information_schema.tables")).scalars().all()
            )
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"the catalogue of {connection} could not be read: {type(error).__name__}") from None
    own = ("information_schema", "sys")  # whole names: a system of the town may have a schema that begins with them
    return sorted(name for name in names if name.lower() not in own and not name.lower().startswith("pg_"))


def titles_now(contract: Contract) -> list[str]:
    """The columns that the table has now, in the contract's case where databases do not tell cases apart.

    Raises SourceError when the source does not answer or does not show its catalogue.
    """
    options = contract.platform.connector
    assert isinstance(options, SqlConnector)
    engine = _engine(options.connection)
    own = {title.casefold(): title for column in contract.columns for title in column.titles}
    try:
        with engine.connect() as opened:
            present = _present(opened, options.table)
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"the catalogue of {options.connection} could not be read: {type(error).__name__}") from None
    finally:
        engine.dispose()
    if present is None:
        raise SourceError(f"the catalogue of {options.connection} does not have {options.table}")
    return [own.get(name.casefold(), name) for name in present]


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source's catalogue has it: its name, SQLAlchemy's type, whether it may be empty, whether it is of the key."""

    name: str
    type: sa.types.TypeEngine[Any]
    nullable: bool
    key: bool


def described(connection: str, table: str) -> list[SourceColumn]:
    """Columns of a table or view of a source. Raises SourceError when the source does not answer or does not have it."""
    schema, _, name = table.rpartition(".")
    try:
        inspector = sa.inspect(_engine(connection))
        columns = inspector.get_columns(name, schema=schema or None)
        key = inspector.get_pk_constraint(name, schema=schema or None)["constrained_columns"]
    except sa.exc.NoSuchTableError:
        raise SourceError(f"“{connection}” has no table {table} that its login may see") from None
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"the catalogue of {connection} could not be read: {type(error).__name__}") from None
    return [SourceColumn(one["name"], one["type"], bool(one["nullable"]), one["name"] in key) for one in columns]


def _engine(connection: str) -> sa.Engine:
    url = sa.make_url(settings.source_url(connection))
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")  # SQLAlchemy would choose, and choose differently by version
    return sa.create_engine(url, poolclass=sa.NullPool)


def _chunks(contract: Contract, reading: Reading, result: Fetch) -> Iterator[bytes]:
    options = contract.platform.connector
    assert isinstance(options, SqlConnector)
    engine = _engine(options.connection)
    query, count = statements(contract, reading)
    names = columns(contract, keys_only=reading.keys_only)
    schema = pa.schema([(name, pa.string()) for name in names])
    sink = _Sink()
    newest: datetime | None = None
    rows = 0
    change = None
    if contract.watermark and not reading.keys_only:
        source_name = next(c.source_name for c in contract.columns if c.name == contract.watermark.column)
        change = names.index(source_name)
    try:
        isolation = ISOLATION.get(engine.dialect.name, "SERIALIZABLE")
        with engine.connect().execution_options(isolation_level=isolation) as connection:
            now = connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
            result.source["server_time"] = _utc(now).isoformat()
            if not reading.keys_only:
                result.source |= _differing(connection, contract, options.table)
            result.source["rows_reported"] = connection.execute(count).scalar_one()
            answer = connection.execution_options(stream_results=True, yield_per=options.batch_rows).execute(query)
            with pa.ipc.new_stream(sink, schema) as writer:
                yield sink.taken()
                for part in answer.partitions():
                    values = list(zip(*part, strict=True))
                    if change is not None:
                        latest = max((_utc(value) for value in values[change] if value is not None), default=newest)
                        newest = max(filter(None, (newest, latest)), default=None)
                    arrays = [pa.array([_text(value) for value in column], pa.string()) for column in values]
                    writer.write_batch(pa.record_batch(arrays, schema=schema))
                    rows += len(part)
                    yield sink.taken()
            yield sink.taken()
    except sa.exc.SQLAlchemyError as error:
        # The driver's text may hold values or the address; its class says enough, and the server's log the rest.
        cause = type(getattr(error, "orig", None) or error).__name__
        raise SourceError(f"the source “{options.connection}” could not be read ({cause})") from None
    finally:
        engine.dispose()
    result.source["rows_read"] = rows
    if rows != result.source["rows_reported"]:
        raise SourceError(f"the source reports {result.source['rows_reported']} rows but sent {rows}")
    if newest and not reading.until:
        # A row that claims to have changed in the future must not make the next reading skip what changes until then.
        result.watermark = min(newest, _utc(now)).isoformat()


def _differing(connection: sa.Connection, contract: Contract, table: str) -> dict[str, Columns]:
    """How the table's columns differ from the contract's, by names in any case: some databases do not tell cases apart.

    Nothing for what can be read and is not in the catalogue, such as a synonym.
    """
    present = _present(connection, table)
    if present is None:
        return {}
    wanted = columns(contract, keys_only=False)
    known, there = ({one.casefold() for one in names} for names in (wanted, present))
    added = sorted(one for one in present if one.casefold() not in known)
    return {"columns": differing(added, [one for one in wanted if one.casefold() not in there])}


def _present(connection: sa.Connection, table: str) -> list[str] | None:
    schema, _, name = table.rpartition(".")
    try:
        return [str(column["name"]) for column in sa.inspect(connection).get_columns(name, schema=schema or None)]
    except sa.exc.NoSuchTableError:
        return None


class _Sink:
    """A file that Arrow writes to and whose content is taken away after each batch."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(value: Any) -> str | None:
    """A value as the archive keeps it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _utc(value).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return repr(value)
    raise ContentError(f"the source sent a value of type {type(value).__name__}, which the contract cannot describe")


def parse(contract: Contract, chunks: Iterator[bytes], columns: list[str]) -> Iterator[Block]:
    """Rows of an archived reading, named as in the contract."""
    by_source = {column.source_name: column.name for column in contract.columns}
    start = 1
    stream = streams.reader(chunks)
    try:
        with pa.ipc.open_stream(pa.PythonFile(stream, mode="r")) as reader:
            for batch in reader:
                names = titles.today(contract, batch.schema.names)
                if unknown := [name for name in names if name not in by_source]:
                    raise ColumnsDiffer(
                        f"the archive holds columns that the contract does not know: {', '.join(unknown)}",
                        added=unknown,
                    )
                named = batch.rename_columns([by_source[name] for name in names])
                yield Block(named, pa.array(range(start, start + len(batch)), pa.int64()))
                start += len(batch)
    except pa.ArrowInvalid as error:
        raise ContentError("the archive is not a complete reading of the table") from error
    stream.read()  # what follows the last batch must pass through the archive too
