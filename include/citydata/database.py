"""Connections to the platform's database, each as the login of one role."""

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg.rows import TupleRow

from citydata import settings

LOCK_TIMEOUT = "2s"
LOCK_TRIES = 10

Result = TypeVar("Result")

STEP_ROLES = (
    *("owner", "loader", "transformer", "releaser", "measurer"),
    *("engineer", "bi", "open", "officer", "dpo", "portal"),
)


def admin_url() -> str:
    """Address of the database with an administrator's login, used by deployment only."""
    return settings.required("CITYDATA_DATABASE_URL", "the address of the platform's database")


def login(role: str) -> str:
    """Name of the generated login that is a member of group role `citydata_<role>`."""
    return f"citydata_{role}_login"


def password(role: str) -> str:
    """Password of the login of `role`."""
    return settings.required(f"CITYDATA_PASSWORD_{role.upper()}", f"the password of the database login of role {role}")


def url(role: str) -> str:
    """libpq address of the platform's database as the login of `role`."""
    parts = urlsplit(admin_url())
    host = parts.hostname or "127.0.0.1"
    where = f"[{host}]" if ":" in host else host
    if parts.port:
        where += f":{parts.port}"
    return urlunsplit(
        ("postgresql", f"{login(role)}:{quote(password(role), safe='')}@{where}", parts.path, parts.query, "")
    )


def connect(role: str, **options: Any) -> psycopg.Connection[TupleRow]:
    """Open a connection as the login of `role`; the application name says which step holds it."""
    options.setdefault("application_name", os.environ.get("CITYDATA_APPLICATION", "citydata"))
    return psycopg.connect(url(role), **options)


def connect_admin(**options: Any) -> psycopg.Connection[TupleRow]:
    """Open a connection as the administrator."""
    return psycopg.connect(admin_url(), application_name="citydata deploy", **options)


def now(connection: psycopg.Connection[TupleRow]) -> datetime:
    """The database's clock, by which the ledger and the register are written."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row  # a select without a table has one row
    moment: datetime = row[0]
    return moment


def with_lock_retries(connection: psycopg.Connection[TupleRow], change: Callable[[], Result]) -> Result:
    """Run a change of tables in a transaction that waits briefly for its locks, and again when they are busy.

    An ALTER that waits blocks the readers behind it. Raises psycopg.errors.LockNotAvailable when the last try was in vain.
    """
    for attempt in range(LOCK_TRIES):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                return change()
        except psycopg.errors.LockNotAvailable:
            if attempt == LOCK_TRIES - 1:
                raise
            time.sleep(min(0.5 * 2**attempt, 10))
    raise AssertionError("unreachable")


def cleaned(error: BaseException) -> str:
    """An error's text without values: PostgreSQL puts them into DETAIL, CONTEXT and between quotes.

    Quoted words that are names of our own objects (letters, digits, _ and .) stay readable.
    """
    import re  # noqa: PLC0415

    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        text = error.diag.message_primary
        where = ".".join(
            part for part in (error.diag.schema_name, error.diag.table_name, error.diag.column_name) if part
        )
        if where:
            text += f" ({where})"
    else:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    text = re.sub(r'invalid input syntax for type (\w+): ".*"', r"invalid input syntax for type \1", text)
    return re.sub(r'"(?![A-Za-z_][A-Za-z_.]*")[^"]*"', "“…”", text)
