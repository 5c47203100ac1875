"""Matching of master data: writes links into schema master_link and nothing else; golden records are dbt's."""

from types import ModuleType
from typing import Any

from psycopg import Connection

from citydata import lineage


def _entities() -> dict[str, ModuleType]:
    """The module of each entity. They import what reads geometry, which only a build needs."""
    from citydata.master import building, district, supplier  # noqa: PLC0415

    return {"supplier": supplier, "district": district, "building": building}


def prepare(connection: Connection[Any]) -> None:
    """Make the tables of links where they are missing: dbt reads them, and its sources must exist."""
    for entity in _entities().values():
        entity.prepare(connection)


def match(connection: Connection[Any]) -> dict[str, int]:
    """Match what staging shows at its horizon and replace the links; returns the number of links by entity.

    An entity whose datasets the town does not have is left out.

    Runs in one transaction of `connection`, which is the transformer's.
    """
    with connection.transaction():
        return {
            name: entity.match(connection)
            for name, entity in _entities().items()
            if all(map(lineage.has, entity.STAGING))
        }
