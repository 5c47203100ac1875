import csv
import functools
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import shapely

from simulators import date_of, sotkanet, statistics_files, town
from simulators.buildings import PLACES

SEED = 7
SCALE = 0.1


@functools.cache
def files(day: int, *, faults: bool = False, seed: int = SEED) -> dict[str, bytes]:
    return statistics_files.files(seed=seed, scale=SCALE, day=day, faults=faults)


def name(path: str) -> str:
    """A file's name without its date."""
    return Path(path).name.partition("_")[0]


def document(day: int, stem: str, **settings: Any) -> bytes:
    """The newest file of that name on a day: one that did not change is not dropped again."""
    for earlier in range(day, -1, -1):
        for path, content in files(earlier, **settings).items():
            if name(path) == stem:
                return content
    raise AssertionError(stem)


def rows(day: int, stem: str, **settings: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document(day, stem, **settings).decode("utf-8-sig"))))


def test_the_same_day_has_the_same_bytes_and_another_seed_has_other_people() -> None:
    again = files(0)
    files.cache_clear()
    statistics_files._content.cache_clear()
    assert files(0) == again
    path = f"statistics/paavo-population-2022_{date_of(0)}.csv"
    assert files(0, seed=8)[path] != files(0)[path]


def test_the_layout_is_the_one_of_the_publishers(real_data: Path) -> None:
    real, made = real_data / "statistics", files(0)
    for stem, publication in (
        ("municipality-classes-2026", "municipality-classes-2026.csv"),
        ("municipality-history-2013-2026", "municipality-classes-2013-2026.csv"),
    ):
        header = made[f"statistics/{stem}_{date_of(0)}.csv"].splitlines()[0]
        assert set(header.split(b",")) == set((real / publication).read_bytes().splitlines()[0].split(b","))
    areas = made[f"statistics/postal-code-areas-2020_{date_of(0)}.csv"]
    assert areas.splitlines()[0] == (real / "postal-code-areas-2020.csv").read_bytes().splitlines()[0]
    assert b"posti_alue,X2021,X2022\nKOKO," in made[f"statistics/paavo-population-2022_{date_of(0)}.csv"]
    posti = json.loads(made[f"gis/posti-postal-codes-638_{date_of(0)}.json"])
    assert posti[0].keys() == json.loads((real_data / "gis/posti-postal-codes-638.json").read_bytes())[0].keys()
    features = json.loads(made[f"gis/postal-areas-east-uusimaa_{date_of(0)}.geojson"])["features"]
    published = json.loads((real_data / "gis/postal-areas-east-uusimaa.geojson").read_bytes())["features"]
    assert features[0].keys() == published[0].keys()
    assert features[0]["properties"].keys() == published[0]["properties"].keys()


def test_a_file_comes_on_day_0_and_when_its_content_changed() -> None:
    assert len(files(0)) == len(statistics_files.DATASETS)
    changes = Counter(name(path) for day in range(1, 8) for path in files(day))
    assert changes.keys() == {name(path) for path in files(0)}, "every file changes in a week"
    assert max(changes.values()) < 7, "none changes every day"
    for day in range(1, 8):
        for path, content in files(day).items():
            assert content != document(day - 1, name(path))


def test_each_day_breaks_a_row_that_is_right_the_day_after() -> None:
    for day, dataset in enumerate(statistics_files.DATASETS):
        path = statistics_files._MADE[dataset][0].format(date_of(day))
        assert files(day, faults=True)[path] != document(day, name(path))
        assert document(day + 1, name(path), faults=True) == document(day + 1, name(path))
        assert all(
            content == files(day)[other]
            for other, content in files(day, faults=True).items()
            if other != path and other in files(day)
        )


@pytest.mark.parametrize("day", [0, 1, 5])
def test_the_towns_areas_sum_to_a_little_less_than_sotkanet_tells(day: int) -> None:
    population = next(one for one in sotkanet.INDICATORS if one.id == sotkanet.POPULATION)
    told = {
        row.year: row.value
        for row in sotkanet.values(SEED, SCALE, population, len(sotkanet.revisions(population, day)))
        if row.region == sotkanet.region_id("KUNTA", town.MUNICIPALITY_CODE) and row.gender == "total"
    }
    own = {
        row["Postal code area"]
        for row in rows(day, "postal-code-areas-2020")
        if row["Municipality"] == town.MUNICIPALITY_CODE
    }
    counted = {row["posti_alue"]: row for row in rows(day, "paavo-population-2022")}
    for year in statistics_files.POPULATION_YEARS:
        summed = sum(int(counted[code][f"X{year}"]) for code in own)
        assert 0.002 < 1 - summed / (told[year] or 0) < 0.006
        areas = sum(int(row[f"X{year}"]) for code, row in counted.items() if code != "KOKO")
        assert 0.97 < areas / int(counted["KOKO"][f"X{year}"]) < 1


def test_boundaries_divide_the_land_and_every_place_lies_in_its_own() -> None:
    for day in (0, 2, 6):
        cells = statistics_files.boundaries(day)
        whole = statistics_files.LAND.difference(statistics_files.STRAIT)
        assert shapely.union_all(list(cells.values())).symmetric_difference(whole).area < 1
        assert sum(cell.area for cell in cells.values()) == pytest.approx(whole.area)
        for place in PLACES:
            assert shapely.contains_xy(cells[place.postal_code], place.easting, place.northing)
    assert {shapely.get_type_id(cell) for cell in cells.values()} == {3, 6}, "one consists of parts"
    moved = [code for code, cell in cells.items() if not cell.equals(statistics_files.boundaries(0)[code])]
    assert PLACES[0].postal_code in moved
    assert len(moved) < len(cells)


def test_another_dataset_is_named() -> None:
    with pytest.raises(ValueError, match=r"no such dataset of files: statistics\.nothing; there are statistics\."):
        statistics_files.files(seed=1, scale=1, day=0, datasets=["statistics.nothing"])
