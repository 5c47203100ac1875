"""The HR system's own PostgreSQL database `hr_source`, with a login of its own for readers.

Tables `hr.person`, `hr.employment` and `hr.absence` hold identity codes in the clear, as the real one does. The source
sets `updated_at` itself, in UTC. What was simulated so far stands in `simulator.state`, out of the readers' sight.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from simulators.workforce import Absence, Employment, Person, Workforce, workforce_of

DATABASE = "hr_source"
READER = "hr_reader"

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('simulators.hr_database'))"
_TABLES = """
CREATE SCHEMA hr;
CREATE TABLE hr.person (
    person_number text PRIMARY KEY, identity_code text NOT NULL, family_name text NOT NULL, given_name text NOT NULL,
    birth_year integer NOT NULL, gender text, language text NOT NULL, email text, non_disclosure boolean NOT NULL,
    updated_at timestamptz NOT NULL);
CREATE TABLE hr.employment (
    employment_number text PRIMARY KEY, person_number text NOT NULL, unit_code text NOT NULL,
    unit_name_fi text NOT NULL, unit_name_sv text NOT NULL, sector text NOT NULL, cost_centre text NOT NULL,
    job_title_fi text NOT NULL, job_title_sv text NOT NULL, pricing_code text NOT NULL, agreement text NOT NULL,
    employment_type text NOT NULL, working_time_share numeric(5,2) NOT NULL, start_date date NOT NULL, end_date date,
    updated_at timestamptz NOT NULL);
CREATE TABLE hr.absence (
    absence_number text PRIMARY KEY, employment_number text NOT NULL, absence_type text NOT NULL, cause_code text,
    start_date date NOT NULL, end_date date, paid_share numeric(5,2) NOT NULL, updated_at timestamptz NOT NULL);
CREATE INDEX ON hr.person (updated_at);
CREATE INDEX ON hr.employment (updated_at);
CREATE INDEX ON hr.absence (updated_at);
-- A course register of another time, which nobody has told about.
CREATE SCHEMA training;
CREATE TABLE training.course_2018 (course_number text PRIMARY KEY, title_fi text NOT NULL, days integer NOT NULL);
CREATE SCHEMA simulator;
CREATE TABLE simulator.state (seed bigint NOT NULL, scale double precision NOT NULL, day integer NOT NULL);
"""


class _Table(NamedTuple):
    name: str
    columns: tuple[str, ...]
    rows: str
    """The attribute of Workforce."""


_SYNCHRONISED = (
    _Table("person", Person._fields, "people"),
    _Table("employment", Employment._fields, "employments"),
    _Table("absence", Absence._fields, "absences"),
)


def create(admin_url: str, *, password: str, seed: int, scale: float, day: int) -> str:
    """Create and seed `hr_source` up to `day` and return the reader's URL; an existing one is only advanced.

    `admin_url` is any database of a server on which its login may create databases and roles. `password` becomes
    the reader's. Raises ValueError when the database was made with another seed or scale.
    """
    with psycopg.connect(admin_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(DATABASE))
            )
    with psycopg.connect(make_conninfo(admin_url, dbname=DATABASE)) as connection:
        connection.execute(_LOCK)
        if not connection.execute("SELECT to_regclass('simulator.state')::text").fetchone()[0]:  # type: ignore[index]
            connection.execute(_TABLES)
            connection.execute("INSERT INTO simulator.state VALUES (%s, %s, -1)", (seed, scale))
        _synchronise(connection, seed, scale, day)
        _grant(connection, password)
        return _reader_url(connection.info, password)


def advance(url: str, *, seed: int, scale: float, day: int) -> bool:
    """Apply the changes of the days since the last; False when the source is at `day` or later already.

    `url` is an administrator's, of `hr_source` or of any other database of the same server. Raises ValueError when
    the source was made with another seed or scale.
    """
    with psycopg.connect(make_conninfo(url, dbname=DATABASE)) as connection:
        connection.execute(_LOCK)
        return _synchronise(connection, seed, scale, day)


def _synchronise(connection: psycopg.Connection, seed: int, scale: float, day: int) -> bool:
    state = connection.execute("SELECT seed, scale, day FROM simulator.state").fetchone()
    if state is None or state[:2] != (seed, float(scale)):
        raise ValueError(
            f"database {DATABASE} holds another town (seed, scale, day: {state}), not seed {seed} at scale {scale}; "
            f"drop it or ask for the town that it holds"
        )
    done: int = state[2]
    if day <= done:
        return False
    before = workforce_of(seed, scale, done) if done >= 0 else Workforce()
    after = workforce_of(seed, scale, day)
    for table in _SYNCHRONISED:
        _apply(connection, table, getattr(before, table.rows), getattr(after, table.rows))
    connection.execute("UPDATE simulator.state SET day = %s", (day,))
    return True


def _apply(
    connection: psycopg.Connection, table: _Table, before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]
) -> None:
    target = sql.Identifier("hr", table.name)
    key, *others = (sql.Identifier(column) for column in table.columns)
    gone = list(before.keys() - after.keys())
    connection.execute(sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(target, key), (gone,))
    if not before:
        _copy(connection, target, after.values())
        return
    changed = sql.Identifier(f"changed_{table.name}")
    connection.execute(sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP").format(changed, target))
    _copy(connection, changed, (row for number, row in after.items() if before.get(number) != row))
    settings = sql.SQL(", ").join(sql.SQL("{} = excluded.{}").format(column, column) for column in others)
    connection.execute(
        sql.SQL("INSERT INTO {} SELECT * FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
            target, changed, key, settings
        )
    )


def _copy(connection: psycopg.Connection, target: sql.Identifier, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(target)) as copy:
        for row in rows:
            copy.write_row(row)


def _grant(connection: psycopg.Connection, password: str) -> None:
    """A login that can read the tables of HR and nothing else; the server never sees the password itself."""
    verifier = connection.pgconn.encrypt_password(password.encode(), READER.encode(), b"scram-sha-256").decode()
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,)).fetchone()
    command = "ALTER ROLE {} LOGIN PASSWORD {}" if exists else "CREATE ROLE {} LOGIN PASSWORD {}"
    reader = sql.Identifier(READER)
    connection.execute(sql.SQL(command).format(reader, sql.Literal(verifier)))
    database = sql.Identifier(DATABASE)
    for statement in (
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, reader),
        sql.SQL("GRANT USAGE ON SCHEMA hr, training TO {}").format(reader),
        sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA hr, training TO {}").format(reader),
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(reader),
    ):
        connection.execute(statement)


def _reader_url(server: psycopg.ConnectionInfo, password: str) -> str:
    login = f"{READER}:{quote(password, safe='')}"
    if server.host.startswith("/"):
        return f"postgresql://{login}@/{DATABASE}?host={quote(server.host, safe='')}&port={server.port}"
    return f"postgresql://{login}@{server.host}:{server.port}/{DATABASE}"
