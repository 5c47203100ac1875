"""Matching of master data: writes links into schema master_link and nothing else; golden records are dbt's."""

from typing import Any

from psycopg import Connection

from citydata.master import building, district, supplier


def prepare(connection: Connection[Any]) -> None:
    """Make the tables of links where they are missing: dbt reads them, and its sources must exist."""
    supplier.prepare(connection)
    district.prepare(connection)
    building.prepare(connection)


def match(connection: Connection[Any]) -> dict[str, int]:
    """Match what staging shows at its horizon and replace the links; returns the number of links by entity.

    Runs in one transaction of `connection`, which is the transformer's.
    """
    with connection.transaction():
        return {
            "supplier": supplier.match(connection),
            "district": district.match(connection),
            "building": building.match(connection),
        }
