"""Districts: what is measured from their boundaries, because dbt's database reads no geometry."""

from typing import Any

import shapely
from psycopg import Connection

STAGING = ("stg_gis__postal_areas",)
"""Staging models that are matched."""
TABLES = (
    """
CREATE TABLE IF NOT EXISTS master_link.district_geometry (
    code text PRIMARY KEY,
    area_m2 double precision NOT NULL CHECK (area_m2 >= 0),
    easting double precision NOT NULL,
    northing double precision NOT NULL
)
""",
)


def prepare(connection: Connection[Any]) -> None:
    """Make the tables of links where they are missing."""
    for table in TABLES:
        connection.execute(table)


def match(connection: Connection[Any]) -> int:
    """Measure the boundaries that staging shows now: area in m² and a point inside (EPSG:3067); returns how many."""
    rows = connection.execute("SELECT postal_code, geometry FROM staging.stg_gis__postal_areas ORDER BY 1").fetchall()
    boundaries = shapely.from_wkb([bytes(geometry) for _, geometry in rows])
    inside = shapely.point_on_surface(boundaries)
    measured = zip(shapely.area(boundaries), shapely.get_x(inside), shapely.get_y(inside), strict=True)
    connection.execute("DELETE FROM master_link.district_geometry")
    with connection.cursor() as cursor, cursor.copy("COPY master_link.district_geometry FROM STDIN") as copy:
        for (code, _), (area, easting, northing) in zip(rows, measured, strict=True):
            copy.write_row((code, float(area), float(easting), float(northing)))
    connection.execute("ANALYZE master_link.district_geometry")
    return len(rows)
