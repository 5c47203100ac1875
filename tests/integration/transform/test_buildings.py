"""Buildings from staging to the mart and to map programs."""

import math
import os
import shutil
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from typer.testing import CliRunner

from citydata import backfill, database, geopackage, pipeline, release, transform
from citydata.cli import app
from tests.documentation import typed
from tests.integration.transform import geographic_rows


def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with database.connect_admin() as connection:
        return connection.execute(query, parameters or None).fetchall()


def test_every_building_has_its_district_or_a_reason(warehouse: Path) -> None:
    found = rows(
        "SELECT register_id, district_code, district_rule, district_distance_m FROM mart_gis.building ORDER BY 1"
    )
    assert [(name, code, rule, distance and float(distance)) for name, code, rule, distance in found] == [
        ("ID1", "06100", "inside", 0),
        ("ID2", "06150", "inside", 0),
        ("ID3", "06100", "inside", 0),  # on the border of both
        ("ID4", "06100", "nearest", 150),
        ("ID5", None, "none", None),
        ("ID6", None, "none", None),
        *((f"ID{number}", "06100", "inside", 0) for number in (7, 8, 9)),
    ]
    reasons = rows("SELECT building_id, reason FROM master_link.building_district WHERE reason IS NOT NULL ORDER BY 1")
    assert reasons == [("ID5", "no district within 200 m"), ("ID6", "the building has no point")]


def test_what_the_register_writes_becomes_one_form(warehouse: Path) -> None:
    columns = "register_id, property_id, property_id_written, intended_use_fi, intended_use_sv, construction_year, heating_method"
    found = {row[0]: row[1:] for row in rows(f"SELECT {columns} FROM mart_gis.building")}
    assert found["ID3"][:4] == ("63800190010003", "638-1-9001-3", "ei tiedossa", "okänt")
    assert found["ID2"][2:4] == ("muut asuinkerrostalot", "övriga flervåningsbostadshus")
    assert found["ID6"][2:4] == ("777 jokin uusi luokka", "777 jokin uusi luokka")
    assert found["ID5"][4] == 2000, "the year began at half past eleven in the evening of UTC"
    assert {row[5] for row in found.values()} == {None}, "“ei tiedossa” is no method"


def test_an_address_is_the_nearest_one_with_the_buildings_own_permanent_id(warehouse: Path) -> None:
    found = rows("SELECT register_id, address_fi, address_sv, address_count FROM mart_gis.building ORDER BY 1")
    assert found[:3] == [
        ("ID1", "Mäntykuja 2 b", "Tallgränden 2 b", 2),
        ("ID2", "Mäntykuja 3", "Mäntykuja 3", 1),
        ("ID3", None, None, 0),
    ]
    assert found[7][1:] == found[8][1:] == (None, None, 0), "two buildings with one permanent id: neither is meant"
    xref = "SELECT source_id, how_matched FROM master.building_xref WHERE system = 'gis.addresses' ORDER BY 1"
    assert rows(xref) == [(geographic_rows.permanent_id(n), "permanent_building_id") for n in (1, 2)]


def test_positions_are_those_of_proj(warehouse: Path) -> None:
    query = "SELECT easting, northing, local_easting, local_northing, longitude, latitude FROM mart_gis.building"
    placed = np.array(rows(f"{query} WHERE easting IS NOT NULL"), float)
    assert len(placed) == 8
    for target, columns, tolerance in (("EPSG:3880", (2, 3), 5e-4), ("EPSG:4326", (4, 5), 5e-9)):
        moved = pyproj.Transformer.from_crs("EPSG:3067", target, always_xy=True).transform(placed[:, 0], placed[:, 1])
        assert np.abs(np.transpose(moved) - placed[:, columns]).max() <= tolerance
    assert placed[:, 2].min() > 26_000_000, "the easting of a Gauss-Krüger zone carries its number"


def test_people_read_buildings_and_no_geometry_that_their_tools_do_not_know(warehouse: Path) -> None:
    with database.connect("bi") as connection:
        kinds = connection.execute(
            "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'mart_gis' AND table_name = 'building'"
        ).fetchall()
    assert {kind for (kind,) in kinds} == {"text", "integer", "numeric"}


def test_both_geopackages_agree_with_the_mart(warehouse: Path) -> None:
    shutil.rmtree(warehouse / "export", ignore_errors=True)  # the state directory is the session's
    written = geopackage.refresh()
    assert [path.name for path in written] == ["buildings-epsg3067.gpkg", "buildings-epsg3880.gpkg"]
    assert geopackage.refresh() == [], "they are up to date"
    national, local = (pyogrio.raw.read(path) for path in written)
    for (meta, _, points, values), srs in ((national, "EPSG:3067"), (local, "EPSG:3880")):
        assert meta["crs"] == srs
        assert meta["geometry_type"] == "Point"
        names = list(meta["fields"])
        mart = rows(f"SELECT {', '.join(names)} FROM mart_gis.building ORDER BY building_id")
        assert len(points) == len(mart) == 9
        for place, name in enumerate(names):
            expected = [float(row[place]) if isinstance(row[place], Decimal) else row[place] for row in mart]
            assert [None if _missing(value) else value for value in values[place].tolist()] == expected, name
    here, there = (shapely.from_wkb(points) for _, _, points, _ in (national, local))
    assert [shape is None for shape in here].count(True) == 1
    moved = pyproj.Transformer.from_crs("EPSG:3880", "EPSG:3067", always_xy=True)
    for one, other in zip(here, there, strict=True):
        if one is not None:
            assert math.dist(one.coords[0], moved.transform(*other.coords[0])) < 0.01


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def test_an_export_that_was_killed_is_made_up_for(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = geopackage.export()
    released_at = first.stat().st_mtime
    for path in (first, second):  # as of the release before
        os.utime(path, (0, 0))
    write = geopackage._write

    def killed(path: Path, *arguments: Any) -> None:
        if path == second:
            raise OSError("no space left on device")
        write(path, *arguments)

    monkeypatch.setattr(geopackage, "_write", killed)
    with pytest.raises(geopackage.ExportError, match=r"could not be written \(OSError\); what was there stays"):
        geopackage.refresh()
    assert (first.stat().st_mtime, second.stat().st_mtime) == (released_at, 0)
    monkeypatch.setattr(geopackage, "_write", write)
    assert geopackage.refresh() == [first, second]
    assert (second.stat().st_mtime, pyogrio.read_info(second)["features"]) == (released_at, 9)
    assert sorted(path.name for path in first.parent.iterdir()) == sorted((first.name, second.name))


def test_the_command_line_writes_them_where_it_is_told(warehouse: Path, tmp_path: Path) -> None:
    for words in typed.family("export geopackage"):
        told = "--directory" in words
        directory = tmp_path / "maps" if told else geopackage.directory()
        shutil.rmtree(directory, ignore_errors=True)
        result = CliRunner().invoke(app, [str(directory) if word.startswith("/") else word for word in words])
        assert result.exit_code == 0, result.output
        assert result.stdout.split() == [str(path) for path in sorted(directory.iterdir())]
        assert len(result.stdout.split()) == 2


@pytest.mark.parametrize("altered", [True, False])
def test_a_run_without_the_scheduler_exports_what_it_released(monkeypatch: pytest.MonkeyPatch, altered: bool) -> None:
    done: list[str] = []
    batch = SimpleNamespace(altered=altered)
    monkeypatch.setattr(pipeline, "audit_and_publish", lambda datasets, batch_ids: {"gis.buildings": [batch]})
    monkeypatch.setattr(transform, "build", lambda **_: SimpleNamespace(build_id=1))
    monkeypatch.setattr(release, "release", lambda build_id, **_: done.append("release"))
    monkeypatch.setattr(backfill, "compare", lambda **_: None)
    monkeypatch.setattr(geopackage, "refresh", lambda: done.append("maps"))
    pipeline.run([])
    assert done == (["release", "maps"] if altered else [])


def test_there_is_nothing_to_export_before_a_release(platform: Path) -> None:
    assert geopackage.refresh() == []
    with pytest.raises(geopackage.ExportError, match="has no release yet: run"):
        geopackage.export()
