"""Samples of files, of tables of a database, of services: what the command's options name becomes a connector."""

import contextlib
import gzip
import zlib
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from citydata import settings
from citydata.connector_options import OgcConnector, RestConnector, SqlConnector
from citydata.contract import Contract
from citydata.drafting import delimited, documents, sample
from citydata.drafting.sample import DraftError, Known, Report, Sample
from citydata.extract import Candidate, Position, SourceError, sql, web
from citydata.extract.ogc import GEOJSON
from citydata.extract.rest import ACCEPT

VERSIONS = ("2.0.0", "1.1.0", "1.0.0")


@dataclass(frozen=True)
class Source:
    """What to take a sample of: a file, or a connection with a table, a layer or a path."""

    file: Path | None = None
    connection: str | None = None
    table: str | None = None
    layer: str | None = None
    path: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)


def read(source: Source, directory: str, report: Report) -> Sample:
    """Take the sample. `directory` is where a file's system will drop its files.

    Raises DraftError when it cannot be read or understood, SourceError when the source does not answer.
    """
    if source.file is not None:
        return _file(source.file, directory, report)
    if not source.connection:
        raise DraftError(
            "say what to take the sample of: --file PATH, or --connection NAME with --table, --layer or --path"
        )
    settings.source_url(source.connection)
    if source.table:
        return _table(source.connection, source.table, report)
    if source.layer:
        return _layer(source.connection, source.layer, report)
    if source.path is not None:
        return _rest(source.connection, source.path, source.parameters, report)
    raise DraftError(
        f"say what to read from “{source.connection}”: --table SCHEMA.TABLE, --layer TYPENAME or --path PATH"
    )


# -- files -----------------------------------------------------------------------------------------------------------


def _file(path: Path, directory: str, report: Report) -> Sample:
    report(f"reading at most {sample.ROWS} rows of {path.name}")
    try:
        with path.open("rb") as opened:
            packed = opened.read(2) == b"\x1f\x8b"
            opened.seek(0)
            stream: Any = gzip.GzipFile(fileobj=opened) if packed else opened
            text = stream.read(sample.BYTES + 1)
    except OSError as error:
        raise DraftError(f"{path} cannot be read: {error.strerror or 'it is damaged'}") from None
    except (EOFError, zlib.error):
        raise DraftError(f"{path} is a damaged gzip file") from None
    whole = len(text) <= sample.BYTES
    text = text[: sample.BYTES]
    if not text.strip():
        raise DraftError(f"{path} is empty: a draft is made from rows")
    connector: dict[str, Any] = {"type": "files", "directory": directory, "pattern": _pattern(path)}
    connector |= {"compression": "gzip"} if packed else {}
    connector["complete"] = "done_file"
    try:
        return of_text(text, connector, whole=whole)
    except DraftError as error:
        raise DraftError(f"{path}: {error}") from None


def _pattern(path: Path) -> str:
    """The file's name with what may change from one delivery to the next left open."""
    stem, dot, ending = path.name.partition(".")
    name = stem.rstrip("0123456789_-. ")
    return f"{name or ''}*{dot}{ending}"


def of_text(text: bytes, connector: dict[str, Any], *, whole: bool) -> Sample:
    """The sample of a text by what it begins with: XML, JSON, lines of JSON, or delimited lines."""
    start = text.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"{" and documents.is_ndjson(text):
        return documents.ndjson(text, connector, whole=whole)
    if start in (b"<", b"{", b"["):
        return documents.read(text, connector, whole=whole)
    return delimited.read(text, connector, whole=whole)


# -- tables ----------------------------------------------------------------------------------------------------------


def _table(connection: str, table: str, report: Report) -> Sample:
    report(f"reading the catalogue of {connection}")
    columns = sql.described(connection, table)
    sample.check_titles(column.name for column in columns)
    known = {column.name: _known(column) for column in columns}
    readable = {name: one for name, one in known.items() if one is not None}
    if not readable:
        raise DraftError(f"{table} has no column of a type that can be read")
    left_out = [name for name in known if name not in readable]
    connector = {"type": "sql", "connection": connection, "table": table}
    contract = sample.provisional(connector, list(readable))
    assert isinstance(contract.platform.connector, SqlConnector)
    report(f"reading at most {sample.ROWS} rows of {table}")
    [candidate] = sql.candidates(contract, Position())
    with contextlib.closing(_chunks(contract, candidate)) as chunks:
        fields, refused, whole = sample.taken(contract, sql.parse(contract, chunks, list(readable)), known=readable)
    notes = (f"left out, of types that cannot be read: {', '.join(left_out)}",) if left_out else ()
    return Sample(connector, fields, refused, whole, notes)


def _chunks(contract: Contract, candidate: Candidate) -> Generator[bytes]:
    yield from sql.fetch(contract, candidate).chunks


def _known(column: sql.SourceColumn) -> Known | None:
    """What the catalogue's type means in a contract; None for a type that the connector cannot read."""
    kind = column.type
    facts: dict[str, Any] = {"required": not column.nullable or column.key, "key": column.key}
    if isinstance(kind, sa.Boolean):
        return Known("boolean", **facts)
    if isinstance(kind, sa.Integer):
        return Known("integer", {"format": "i64" if isinstance(kind, sa.BigInteger) else "i32"}, **facts)
    if isinstance(kind, sa.Float):
        return Known(None, **facts)  # written with as many digits as there are: the sample shows how many
    if isinstance(kind, sa.Numeric):
        precise = {"precision": kind.precision, "scale": kind.scale or 0} if kind.precision else {}
        return Known("number" if precise else None, {}, precise, **facts)
    if isinstance(kind, sa.DateTime):
        moment = {"format": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", "timezone": True}
        return Known("timestamp", moment, **facts)
    if isinstance(kind, sa.Date):
        return Known("date", {"format": "yyyy-MM-dd"}, **facts)
    if isinstance(kind, sa.Enum) or (isinstance(kind, sa.String) and not isinstance(kind, sa.types.NullType)):
        length = getattr(kind, "length", None)
        return Known("string", {"maxLength": length} if length else {}, **facts)
    return None


# -- services --------------------------------------------------------------------------------------------------------


def _layer(connection: str, layer: str, report: Report) -> Sample:
    """A layer of a WFS, or a collection of an OGC API: whichever answers."""
    refusals = []
    for protocol, version in (*(("wfs", version) for version in VERSIONS), ("features", None)):
        connector: dict[str, Any] = {"type": "ogc", "protocol": protocol, "connection": connection, "type_name": layer}
        connector |= {"version": version} if version and version != VERSIONS[0] else {}
        report(f"asking {connection} for {layer}: {protocol}{f' {version}' if version else ''}")
        try:
            text = _features(connector)
        except SourceError as error:
            refusals.append(f"{protocol}{f' {version}' if version else ''}: {error}")
            continue
        try:
            found = documents.read(text, connector)
        except DraftError as error:
            refusals.append(f"{protocol}{f' {version}' if version else ''}: {error}")
            continue
        notes = (
            *found.notes,
            "a server that caps its answers needs page_size, a WFS also sort_by: see its capabilities",
        )
        return Sample(found.connector, found.fields, found.refused, False, notes, found.undecided)
    raise DraftError(f"{connection} gives no features of {layer}:\n" + "\n".join(refusals))


def _features(connector: dict[str, Any]) -> bytes:
    options = OgcConnector.model_validate({**connector, "attempts": 2, "max_bytes": sample.BYTES})
    session = web.Session("draft", options)
    if options.protocol == "features":
        where = f"collections/{options.type_name}/items"
        return session.get(where, {"limit": "1000"}, accept=GEOJSON).read()
    newer = options.version == VERSIONS[0]
    question = {
        "service": "WFS", "version": options.version, "request": "GetFeature",
        "typeNames" if newer else "typeName": options.type_name, "count" if newer else "maxFeatures": str(documents.FEATURES),
    }  # fmt: skip
    return session.get("", question).read()


def _rest(connection: str, path: str, parameters: dict[str, str], report: Report) -> Sample:
    connector: dict[str, Any] = {"type": "rest", "connection": connection, "path": path}
    connector |= {"parameters": parameters} if parameters else {}
    options = RestConnector.model_validate({**connector, "attempts": 2, "max_bytes": sample.BYTES})
    report(f"asking {connection} for {path}")
    accept = f"{ACCEPT['json']}, {ACCEPT['geojson']};q=0.9, text/csv;q=0.8, */*;q=0.1"
    text = web.Session("draft", options).get(path, parameters, accept=accept).read()
    found = of_text(text, connector, whole=True)
    notes = (
        *found.notes,
        "one answer was read: whether there are further pages (paging) or a declared total, its description says",
    )
    return Sample(found.connector, found.fields, found.refused, False, notes, found.undecided)
