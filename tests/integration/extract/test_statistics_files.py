"""Real files of statistics and boundaries are loaded to the last row, or refused with a reason that says what they are."""

from pathlib import Path

import pytest
import shapely

from citydata import pipeline
from citydata.service import inputs
from tests.integration.steps import Steps

LOADED = {
    "statistics.municipalities": ("statistics/municipality-classes-2026.csv", 308, 0),
    "statistics.municipality_history": ("statistics/municipality-classes-2013-2026.csv", 266, 0),
    "statistics.population_by_postal_area": ("statistics/paavo-population-2022.csv", 3027, 0),
    "statistics.postal_code_areas": ("statistics/postal-code-areas-2020.csv", 3026, 4),
    "gis.postal_areas": ("gis/postal-areas-east-uusimaa.geojson", 74, 1),
    "gis.postal_codes": ("gis/posti-postal-codes-638.json", 37, 0),
}
DOCUMENTS = {
    "statistics/statfin-v1-folder.json": "a PxWeb folder listing",
    "statistics/statfin-v1-table.json": "the description of a PxWeb table",
    "statistics/statfin-v1-query-2026.json": "JSON-stat 2",
    "statistics/pxweb-v2-tables.json": "a list of PxWeb tables",
    "statistics/pxweb-v2-data.json": "JSON-stat 2",
    "gis/municipalities-2020.topo.json": "TopoJSON",
    "gis/wfs-exception.xml": "an OGC exception report",
    "gis/postal-areas-east-uusimaa.geojson": "a GeoJSON FeatureCollection",
}


def test_every_row_of_the_real_files_is_loaded_or_refused(steps: Steps, real_data: Path) -> None:
    for dataset, (file, _, _) in LOADED.items():
        inputs.drop(dataset, real_data / file, steps.home / "drop")
        pipeline.extract_and_land(dataset)
    pipeline.audit_and_publish(LOADED, [batch for dataset in LOADED for batch in pipeline.waiting(dataset)])

    for dataset, (_, rows, refused) in LOADED.items():
        assert steps.states(dataset) == ["published"], steps.batch(dataset)["held_reason"]
        steps.assert_accounted(dataset, extracted=rows)
        assert len(steps.quarantine(dataset)) == refused
        assert len(steps.current(dataset)) == rows - refused
    assert list(steps.reasons("statistics.postal_code_areas").values()) == [["row.column_count"]] * 4
    assert [row["key"] for row in steps.quarantine("gis.postal_areas")] == ['{"postal_code": "07750"}']
    assert list(steps.reasons("gis.postal_areas").values()) == [["geometry.geometry"]], "it crosses itself"

    # The national total is kept and is no area; the areas of the town sum to what is known of the file.
    population = "raw.statistics__population_by_postal_area"
    assert steps.query(f"SELECT count(*), sum(population) FROM {population} WHERE postal_code <> 'KOKO'") == [
        (3026, 5_494_750)
    ]
    assert steps.query(f"SELECT year, population FROM {population} WHERE postal_code = 'KOKO'") == [(2022, 5_563_970)]
    assert steps.query(
        f"SELECT count(*), sum(population) FROM {population} JOIN raw.statistics__postal_code_areas USING (postal_code)"
        " WHERE municipality_code = '638'"
    ) == [(25, 51_068)]

    # 06100 is the centre: 15.4 km² around easting 425 km, northing 6,696 km. 01180 lies in a neighbour by this file.
    areas = steps.query("SELECT postal_code, geometry FROM raw.gis__postal_areas WHERE municipality = 'Porvoo'")
    shapes = {code: shapely.from_wkb(bytes(geometry)) for code, geometry in areas}
    assert len(shapes) == 24
    assert "01180" not in shapes
    assert shapely.area(shapes["06100"]) == pytest.approx(15.4e6, rel=0.01)
    assert shapely.contains_xy(shapes["06100"], 425_400, 6_696_300)

    # What the suites say of real data, beside what is right.
    assert steps.query(
        "SELECT check_id FROM quality.check_result WHERE source <> 'structure' AND outcome <> 'pass'"
    ) == [("gis.postal_codes.file_recent",)]


def test_another_document_is_held_with_what_it_is(steps: Steps, real_data: Path) -> None:
    for dataset in ("gis.postal_areas", "gis.postal_codes", "statistics.population_by_postal_area"):
        files = [file for file in DOCUMENTS if file != LOADED[dataset][0]]
        for file in files:
            inputs.drop(dataset, real_data / file, steps.home / "drop")
            assert pipeline.extract_and_land(dataset) == []
            batch = steps.batch(dataset)
            assert batch["state"] == "held", file
            assert DOCUMENTS[file] in batch["held_reason"]
        assert steps.states(dataset) == ["held"] * len(files)
        steps.assert_accounted(dataset, current=[], extracted=0)
