"""What the platform needs from the machine and from the database, and whether it is there."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from citydata import contract, database, settings
from citydata.extract import archive_storage
from citydata.service import broker
from citydata.service.installation import Installation, port_of
from citydata.service.postgres import is_free

_GIB = 1024**3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `outcome`: ok, note (works, could be better) or problem (will not work)."""

    subject: str
    outcome: str
    text: str
    advice: str = ""


def examine(installation: Installation) -> list[Check]:
    """Look at everything; nothing is changed."""
    checks = [*_machine(installation), *_secrets(installation), *_archive(installation), *_broker(), *_contracts()]
    address = os.environ.get("CITYDATA_DATABASE_URL")
    if not address:
        return [*checks, Check("database", "note", "not running, so not examined", "./citydata up")]
    try:
        # On a server only `./citydata server prepare` has the administrator's login.
        administrator = bool(urlsplit(address).username)
        login = address if administrator else database.url("engineer")
        with psycopg.connect(login, autocommit=True, connect_timeout=5) as connection:
            checks += _database(connection, address, installation.external and administrator)
    except psycopg.OperationalError as error:
        checks.append(
            Check("database", "problem", f"{port_of(address)}: {database.cleaned(error)}", "see CITYDATA_DATABASE_URL")
        )
    return checks


def _machine(installation: Installation) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Check("python", "ok" if fine else "problem", version, "" if fine else "use Python 3.11, 3.12 or 3.13")
    memory = psutil.virtual_memory().total / _GIB
    yield _at_least("memory", memory, 4, 3, "GiB", "Airflow takes 1.5 GiB, a build 1 GiB, PostgreSQL the rest")
    existing = next(path for path in (installation.home, *installation.home.parents) if path.exists())
    free = shutil.disk_usage(existing).free / _GIB
    yield _at_least(f"disk at {existing}", free, 10, 2, "GiB free", "archives and versions grow; free some space")
    if installation.exists or os.access(existing, os.W_OK):
        yield Check("state", "ok", f"{installation.home}{'' if installation.exists else ' (not there yet)'}")
    else:
        yield Check("state", "problem", f"{existing} is not writable", "set CITYDATA_HOME to a directory of yours")
    if installation.served:
        return
    airflow, cluster = installation.airflow, installation.cluster
    for subject, port, runs in (
        ("postgresql", cluster.port, cluster.is_running()),
        ("airflow", airflow.port, airflow.is_running()),
    ):
        if runs:
            yield Check(f"port of {subject}", "ok", f"{port}, running")
        elif is_free(port):
            yield Check(f"port of {subject}", "ok", f"{port}, free")
        else:
            yield Check(f"port of {subject}", "note", f"{port} is in use", "the next free one will be taken")


def _at_least(subject: str, amount: float, wanted: float, needed: float, unit: str, advice: str) -> Check:
    outcome = "ok" if amount >= wanted else "note" if amount >= needed else "problem"
    return Check(subject, outcome, f"{amount:.1f} {unit}", "" if outcome == "ok" else advice)


def _secrets(installation: Installation) -> Iterator[Check]:
    path = installation.home / "secrets.env"
    if path.exists():
        private = not stat.S_IMODE(path.stat().st_mode) & 0o077
        yield Check(
            "secrets",
            "ok" if private else "problem",
            f"{path}, {'readable by its owner only' if private else 'readable by others'}",
            "keep a copy apart from the data" if private else f"chmod 600 {path}",
        )


def _archive(installation: Installation) -> Iterator[Check]:
    if not (installation.exists or installation.external or os.environ.get("CITYDATA_ARCHIVE")):
        return
    try:
        yield Check("archive", "ok", f"{archive_storage.try_out()}: written, read and removed")
    except archive_storage.ArchiveUnreachable as error:
        yield Check(
            "archive", "problem", str(error), "see CITYDATA_ARCHIVE, AWS_ENDPOINT_URL and the store's credentials"
        )
    except (OSError, settings.SettingMissing) as error:
        yield Check("archive", "problem", str(error), "see CITYDATA_ARCHIVE")


def _broker() -> Iterator[Check]:
    url = broker.address()
    if not url:
        return
    try:
        yield Check("broker", "ok", f"Redis {broker.ask(url)} at {broker.place(url)}")
        answering = broker.workers(url)
    except broker.BrokerError as error:
        yield Check("broker", "problem", str(error), "start Redis, or unset CITYDATA_BROKER_URL to run on one machine")
        return
    yield Check(
        "workers",
        "ok" if answering else "note",
        ", ".join(name.removeprefix("celery@") for name in answering) or "none answers: tasks wait until one does",
        "" if answering else "./citydata up, or on another machine ./citydata server worker",
    )


def _contracts() -> Iterator[Check]:
    contracts, errors = contract.load_each()
    yield Check("contracts", "ok", f"{len(contracts)} read")
    for error in errors:
        yield Check("contracts", "problem", str(error), "./citydata check")


def _database(connection: psycopg.Connection[Any], address: str, external: bool) -> Iterator[Check]:
    def value(query: str) -> Any:
        row = connection.execute(query).fetchone()
        return row[0] if row else None

    def right(subject: str, query: str, missing: str) -> Check:
        held = bool(value(query))
        return Check(subject, "ok" if held else "problem", "held" if held else "missing", "" if held else missing)

    version = connection.info.server_version
    yield Check(
        "database",
        "ok" if version >= 170000 else "problem",
        f"PostgreSQL {version // 10000}.{version % 10000} at {port_of(address)}",
        "" if version >= 170000 else "PostgreSQL 17 or newer is needed",
    )
    encoding = value("show server_encoding")
    yield Check(
        "encoding",
        "ok" if encoding == "UTF8" else "problem",
        encoding,
        "" if encoding == "UTF8" else "create the database with ENCODING 'UTF8' TEMPLATE template0",
    )
    if external:
        own = "from pg_roles where rolname = current_user"
        yield right(
            "right to create schemas",
            "select has_database_privilege(current_database(), 'create')",
            "grant create on database … to …",
        )
        yield right("right to create roles", f"select rolcreaterole or rolsuper {own}", "alter role … createrole")
        if not os.environ.get("CITYDATA_AIRFLOW_DATABASE_URL"):
            yield right(
                "right to create Airflow's database",
                f"select rolcreatedb or rolsuper or exists (select from pg_database where datname = 'airflow') {own}",
                "alter role … createdb, or set CITYDATA_AIRFLOW_DATABASE_URL",
            )
    finnish = value("select collname from pg_collation where collname ~* '^fi([-_]|$)' order by collname limit 1")
    yield Check(
        "Finnish sorting",
        "ok" if finnish else "note",
        finnish or "no Finnish collation: names sort by code point, Ä before Å, lower case after upper",
        "" if finnish else "a PostgreSQL with ICU, or the locale fi_FI.utf8 on the server, brings one",
    )
    postgis = value("select 1 from pg_available_extensions where name = 'postgis'")
    yield Check("PostGIS", "ok" if postgis else "note", "available" if postgis else "not available; optional")
