"""Geometries: from the text that a connector yields to WKB in ETRS-TM35FIN, the national projection (JHS 197, EPSG:3067)."""

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

from citydata import town

NATIONAL = "EPSG:3067"
EWKT = r"^SRID=(?P<srid>\d{4,5});(?P<wkt>.*)$"


@functools.cache
def transformer(source: str, target: str) -> pyproj.Transformer:
    """Between two reference systems, always easting before northing and longitude before latitude."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def projected(shapes: np.ndarray, source: str, target: str) -> np.ndarray:
    """Shapes in another reference system, to the millimetre where that is metric. None stays None."""
    if source == target:
        return shapes
    change = transformer(source, target)
    digits = 3 if pyproj.CRS(target).is_projected else 9

    def moved(points: np.ndarray) -> np.ndarray:
        return np.round(np.column_stack(change.transform(points[:, 0], points[:, 1])), digits)

    return shapely.transform(shapes, moved)


def national(texts: pa.Array, types: Sequence[str], within: str) -> tuple[pa.Array, dict[str, pa.Array]]:
    """Cast EWKT texts (`SRID=3880;POINT (26500000 6700000)`, easting first) to WKB, as PostgreSQL writes bytea.

    Returns the values, null where refused, and a mask of the refused rows by rule: `geometry` is not a valid one of `types`
    in a known reference system, `bounds` lies outside those of town.yaml.
    """
    parts = pc.extract_regex(texts, EWKT)
    srids = pc.struct_field(parts, "srid").to_numpy(zero_copy_only=False)
    given = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    shapes = shapely.force_2d(
        shapely.from_wkt(pc.struct_field(parts, "wkt").to_numpy(zero_copy_only=False), on_invalid="ignore")
    )
    right = shapely.is_valid(shapes) & ~shapely.is_empty(shapes) & _is_one_of(shapes, types)
    for srid in set(srids[right]):
        chosen = right & (srids == srid)
        try:
            shapes[chosen] = projected(shapes[chosen], f"EPSG:{srid}", NATIONAL)
        except pyproj.exceptions.CRSError:
            right &= ~chosen
    bounds = town.load().bounds if within == "town" else town.load().country_bounds
    west, south, east, north = shapely.bounds(np.where(right, shapes, None)).T
    with np.errstate(invalid="ignore"):  # nan where there is no shape, inf where a projection has no image
        inside = (
            (west >= bounds["west"])
            & (east <= bounds["east"])
            & (south >= bounds["south"])
            & (north <= bounds["north"])
        )
    kept = right & inside
    codes = shapely.to_wkb(np.where(kept, shapes, None), hex=True, byte_order=1)
    values = pa.array([None if code is None else "\\x" + code for code in codes.tolist()], pa.string())
    return values, {"geometry": pa.array(given & ~right), "bounds": pa.array(right & ~inside)}


def _is_one_of(shapes: np.ndarray, types: Sequence[str]) -> np.ndarray:
    allowed = [shapely.GeometryType[name.upper()].value for name in types]
    return np.isin(shapely.get_type_id(shapes), allowed)
