"""Reconciliation: what the town evidently has and the inventory does not name becomes a placeholder on a list to hunt.

Looked at are vendors of purchase invoices on the accounts of software, schemas of connected databases, connections, and folders
of files that nobody announced. Ignorance lowers the share: each find counts as a system that is not mapped.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg

from citydata import contract as contracts
from citydata import release, settings
from citydata.connector_options import FilesConnector, HttpOptions, SqlConnector
from citydata.contract import Contract
from citydata.extract import SourceError
from citydata.extract.files import BESIDE
from citydata.governance import register
from citydata.governance.inventory import Inventory, Reconciliation
from citydata.privacy import identity_code

Connection = psycopg.Connection[Any]

log = logging.getLogger(__name__)

_SOURCE = re.compile(r"(?:CITYDATA_SOURCE|AIRFLOW_CONN)_(\w+)$")
_SECRETS = ("_PASSWORD", "_KEY", "_TOKEN", "_SECRET")
# What Airflow and the platform themselves connect to.
_OWN = {"smtp_default"}
_PURCHASES = ".".join(release.PURCHASES)


def reconcile(connection: Connection, inventory: Inventory, now: datetime, today: date) -> list[str]:
    """Look everywhere, record what nothing accounts for; returns what stands, oldest first.

    `connection` is of role measurer. A place that cannot be looked at hides nothing: what was found there before stands.
    """
    seen = {
        name for name in _everything(connection, inventory.reconciliation) if not _accounted(inventory, name, today)
    }
    before = {find.found for find in register.finds(connection, today)}
    standing = {name for name in before | seen if not _accounted(inventory, name, today)}
    register.note_finds(connection, dict.fromkeys(sorted(seen), now), before - standing, today)
    return sorted(standing)


def _everything(connection: Connection, where: Reconciliation) -> Iterator[str]:
    loaded = contracts.load_each()[0].values()
    yield from vendors(connection, where)
    yield from catalogues(loaded)
    yield from connections(loaded)
    yield from unannounced_files(loaded, settings.drop_directory())


def _accounted(inventory: Inventory, name: str, today: date) -> bool:
    """Whether a system of the inventory names the find, or an officer has dismissed it for now."""
    kind, _, value = name.partition(":")
    for system in inventory.systems.values():
        claimed = {
            "vendor": system.vendors,
            "connection": system.connections,
            "catalogue": [f"{place.connection}.{place.schema_name}" for place in system.databases],
            "files": system.drop_directories,
        }
        if value in claimed[kind]:
            return True
    return any(
        dismissal.found == name
        and dismissal.approved_on <= today < dismissal.expires_on
        and inventory.approved(dismissal.approver)
        for dismissal in inventory.dismissals
    )


def vendors(connection: Connection, where: Reconciliation) -> list[str]:
    """`vendor:<business id>` of everybody who was paid on the accounts of software in the newest months.

    Suppliers without a business id are people, and no systems.
    """
    if connection.execute("SELECT to_regclass(%s)", (_PURCHASES,)).fetchone() == (None,):
        return []  # nothing has been released yet
    rows = connection.execute(
        f"SELECT DISTINCT supplier_business_id FROM {_PURCHASES} WHERE account = ANY(%s) AND supplier_business_id IS NOT NULL"
        f" AND voucher_month_start > (SELECT max(voucher_month_start) FROM {_PURCHASES}) - make_interval(months => %s)",
        (where.software_accounts, where.months),
    ).fetchall()
    return [f"vendor:{business_id}" for (business_id,) in rows]


def catalogues(loaded: Iterable[Contract]) -> list[str]:
    """`catalogue:<connection>.<schema>` of every schema that the platform's logins can see in the connected databases."""
    from citydata.extract import sql  # noqa: PLC0415 - a town without SQL sources need not load it

    options = (entry.platform.connector for entry in loaded)
    found = []
    for name in sorted({each.connection for each in options if isinstance(each, SqlConnector)}):
        try:
            found += [f"catalogue:{name}.{schema}" for schema in sql.schemas(name)]
        except (SourceError, settings.SettingMissing) as error:
            log.warning("the catalogue of %s was not looked at (%s); what was found before stands", name, error)
    return found


def connections(loaded: Iterable[Contract]) -> list[str]:
    """`connection:<name>` of every source that contracts or this process's environment know."""
    named = {
        entry.platform.connector.connection
        for entry in loaded
        if isinstance(entry.platform.connector, SqlConnector | HttpOptions)
    }
    for variable in os.environ:
        found = _SOURCE.match(variable)
        if found and not variable.endswith(_SECRETS):
            named.add(found[1].lower())
    return [f"connection:{name}" for name in sorted(named - _OWN)]


def unannounced_files(loaded: Iterable[Contract], directory: Path) -> list[str]:
    """`files:<folder>` of every folder below the drop directory with files that no contract expects."""
    expected = [
        (entry.platform.connector.directory, entry.platform.connector.pattern)
        for entry in loaded
        if isinstance(entry.platform.connector, FilesConnector)
    ]
    found = set()
    for path in directory.rglob("*"):
        if not path.is_file() or path.name.startswith(".") or path.name.endswith(BESIDE):
            continue
        folder = path.parent.relative_to(directory)
        if not any(folder == Path(place) and path.match(pattern) for place, pattern in expected):
            # The name of a folder is shown; it is somebody's words.
            found.add(f"files:{identity_code.mask(folder.parts[0] if folder.parts else '.', all_alike=True)}")
    return sorted(found)
