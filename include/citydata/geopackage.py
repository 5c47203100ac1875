"""The buildings of the mart as GeoPackage (OGC 12-128r18), for map programs: in ETRS-TM35FIN and in the town's projection.

A file appears under its name only when it is complete. Its time is that of the release whose rows it holds, by which it is
known whether it is up to date; so a killed export is made up for by the next one.
"""

import os
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from citydata import database, settings, town

SCHEMA, TABLE = "mart_gis", "building"
LAYER = "buildings"
POINT = "geom"


class ExportError(RuntimeError):
    """Files that could not be written. The text says which, why, and what to do."""


def directory() -> Path:
    """Where the files are when nobody says otherwise."""
    return settings.home() / "export" / "gis"


def files(where: Path) -> dict[Path, tuple[str, str, str]]:
    """The files, each with its reference system and the mart's columns of its two coordinates."""
    from citydata import geometry  # noqa: PLC0415 - PROJ, GEOS and GDAL are for the builds that changed the mart

    local = town.load().local_projection
    columns = {geometry.NATIONAL: ("easting", "northing"), local: ("local_easting", "local_northing")}
    return {where / f"{LAYER}-{srs.lower().replace(':', '')}.gpkg": (srs, *pair) for srs, pair in columns.items()}


def refresh() -> list[Path]:
    """Write the files that are missing or older than the last release that changed the mart; returns those written.

    Where there is no such release yet, or nothing changed, nothing is done.
    """
    released_at = _released_at()
    if released_at is None:
        return []
    old = [path for path in files(directory()) if not path.exists() or path.stat().st_mtime < released_at.timestamp()]
    return export() if old else []


def export(where: Path | None = None) -> list[Path]:
    """Write the files of all projections to a directory; returns their paths.

    Raises ExportError when the mart was never released, or a file cannot be written.
    """
    where = where or directory()
    released_at = _released_at()
    if released_at is None:
        raise ExportError(f"{SCHEMA}.{TABLE} has no release yet: run `./citydata run warehouse`, then export again")
    import pyogrio  # noqa: PLC0415

    description, rows = _rows()
    written = []
    try:
        where.mkdir(parents=True, exist_ok=True)
        for path, (srs, east, north) in files(where).items():
            _write(path, rows, srs, (east, north), description, released_at)
            written.append(path)
    except (OSError, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ExportError(
            f"the GeoPackages in {where} could not be written ({type(error).__name__}); what was there stays. Check the"
            " directory and the space on its disk, then run `./citydata export geopackage`"
        ) from error
    return written


def _released_at() -> datetime | None:
    """When what people read in the mart last changed."""
    with database.connect("engineer") as connection:
        [(moment,)] = connection.execute(
            "SELECT max(r.released_at) FROM ops.release r JOIN ops.release_change c USING (release_id)"
            " WHERE c.schema_name = %s AND c.table_name = %s AND c.inserted + c.updated + c.deleted > 0",
            (SCHEMA, TABLE),
        ).fetchall()
    found: datetime | None = moment
    return found


def _rows() -> tuple[str, pa.Table]:
    """The mart's description and its rows, numbers as map programs know them. Read as the role of BI tools."""
    with database.connect("bi") as connection, connection.cursor() as cursor:
        [(description,)] = connection.execute(
            "SELECT obj_description(to_regclass(%s), 'pg_class')", (f"{SCHEMA}.{TABLE}",)
        ).fetchall()
        cursor.execute(f"SELECT * FROM {SCHEMA}.{TABLE} ORDER BY building_id")
        values = list(zip(*cursor.fetchall(), strict=True))
        columns = {
            column.name: _array(values[place] if values else (), column)
            for place, column in enumerate(cursor.description or [])
        }
    return str(description or ""), pa.table(columns)


def _array(values: Sequence[Any], column: psycopg.Column) -> pa.Array:
    kinds: dict[str, pa.DataType] = {"text": pa.string(), "int4": pa.int32(), "int8": pa.int64()}
    kind = kinds.get(psycopg.adapters.types[column.type_code].name)
    if kind is None:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array(values, kind)


def _write(
    path: Path, rows: pa.Table, srs: str, coordinates: tuple[str, str], description: str, moment: datetime
) -> None:
    import pyogrio  # noqa: PLC0415
    import shapely  # noqa: PLC0415

    east, north = (rows.column(name).to_numpy(zero_copy_only=False).astype(float) for name in coordinates)
    placed = zip(shapely.to_wkb(shapely.points(east, north)), np.isfinite(east), strict=True)
    points = [bytes(wkb) if has_place else None for wkb, has_place in placed]
    table = rows.append_column(POINT, pa.array(points, pa.binary()))
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as beside:
        part = Path(beside) / path.name
        pyogrio.write_arrow(
            table, part, layer=LAYER, driver="GPKG", geometry_name=POINT, geometry_type="Point", crs=srs,
            layer_options={"IDENTIFIER": LAYER, "DESCRIPTION": description},
        )  # fmt: skip
        os.utime(part, (moment.timestamp(), moment.timestamp()))
        part.replace(path)
