"""The synthetic Sotkanet: the same for the same town and day, consistent in itself, with the ways of the real one."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from simulators import Town, sotkanet
from simulators.sotkanet import INDICATORS, Value
from tests.integration import sources as synthetic
from tests.integration.sources import Sources

BY_ID = {one.id: one for one in INDICATORS}
POPULATION = BY_ID[127]
SMALL = 0.05


@pytest.fixture(scope="module")
def _running() -> Iterator[Sources]:
    with synthetic.running() as running:
        yield running


@pytest.fixture
def service(_running: Sources) -> Sources:
    """The service of a small town on its first day."""
    _running.reset(scale=SMALL)
    return _running


def ask(service: Sources, path: str, **parameters: Any) -> Any:
    """The document at a path."""
    answer = requests.get(f"{service.address}{sotkanet.BASE}/{path}", parameters, timeout=10)
    answer.raise_for_status()
    return answer.json()


def keyed(rows: tuple[Value, ...]) -> dict[tuple[int, int, str], Value]:
    """Rows by region, year and gender, each of which occurs once."""
    found = {(row.region, row.year, row.gender): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("indicator", INDICATORS, ids=lambda one: str(one.id))
def test_values_are_those_of_the_town(indicator: sotkanet.Indicator) -> None:
    rows = sotkanet.values(1, SMALL, indicator, 0)
    sotkanet.values.cache_clear()
    assert sotkanet.values(1, SMALL, indicator, 0) == rows
    assert sotkanet.values(2, SMALL, indicator, 0) != rows
    assert {row.year for row in rows} == set(range(indicator.years[0], indicator.years[1] + 1))
    assert {row.gender for row in rows} == set(indicator.sexes or ("total",))
    listed = {one["id"] for one in sotkanet.regions(SMALL)}
    assert {row.region for row in rows} <= listed
    assert ({row.region for row in rows} == {sotkanet.COUNTRY}) is indicator.country_only


@pytest.mark.parametrize("number", [127, 4, 181, 1065])
def test_genders_and_municipalities_add_up(number: int) -> None:
    """Of the country also where a municipality's number is protected: what is added up is what was counted."""
    rows = keyed(sotkanet.values(3, SMALL, BY_ID[number], 0))
    municipalities = {one["id"] for one in sotkanet.regions(SMALL) if one["category"] == "KUNTA"}
    country: dict[tuple[int, str], float] = defaultdict(float)
    for (region, year, gender), row in rows.items():
        told = row.value if number == 127 else row.absolute
        if gender == "total" and told is not None:
            parts = [rows[region, year, one] for one in ("male", "female")]
            numbers = [one.value if number == 127 else one.absolute for one in parts]
            assert None in numbers or sum(filter(None, numbers)) == told
        if region in municipalities:
            country[year, gender] += told or 0
    for (year, gender), total in country.items():
        row = rows[sotkanet.COUNTRY, year, gender]
        told = row.value if number == 127 else row.absolute
        protected = 0 if number == 127 else sotkanet.PROTECTED_BELOW * len(municipalities)
        assert told is not None
        assert total <= told <= total + protected


def test_few_cases_are_not_told() -> None:
    rows = sotkanet.values(1, SMALL, BY_ID[4], 0)
    municipalities = {one["id"] for one in sotkanet.regions(SMALL) if one["category"] == "KUNTA"}
    protected = [row for row in rows if row.absolute is None]
    assert protected
    assert {row.value for row in protected} == {None}
    assert {row.region for row in protected} <= municipalities
    assert all(row.absolute >= sotkanet.PROTECTED_BELOW for row in rows if row.absolute is not None)


def test_a_revision_changes_back_years_and_takes_one_row_away() -> None:
    days = {day: [one.id for one in INDICATORS if day in sotkanet.revisions(one, 40)] for day in range(40)}
    assert [days[day] for day in range(8)] == [[], [127], [], [], [4], [], [], [181]]
    before, after = (sotkanet.values(1, SMALL, POPULATION, revision) for revision in (0, 1))
    [gone] = keyed(before).keys() - keyed(after).keys()
    assert not keyed(after).keys() - keyed(before).keys()
    assert gone[0] not in (sotkanet.COUNTRY, sotkanet.region_id("KUNTA", "638"))
    changed = {key for key, row in keyed(after).items() if keyed(before)[key] != row}
    assert changed
    assert {year for _, year, _ in changed} == set(range(2017, 2023))


def test_a_revision_is_told_by_the_date_of_the_indicator(service: Sources) -> None:
    def updated() -> dict[int, str]:
        return {one["id"]: one["data-updated"] for one in ask(service, "indicators")}

    first = updated()
    service.advance()
    assert {number for number, day in updated().items() if day != first[number]} == {127}
    assert updated()[127] == "2026-11-03"
    service.advance()
    assert updated()[127] == "2026-11-03"


def test_regions_are_numbered_otherwise_than_municipalities(service: Sources) -> None:
    regions = {one["id"]: one for one in ask(service, "regions")}
    assert (regions[294]["code"], regions[294]["category"], regions[294]["title"]["sv"]) == ("638", "KUNTA", "Borgå")
    assert regions[658]["category"] == "MAA"
    assert regions[961]["category"] == "HYVINVOINTIALUE"
    assert {658, 488, 961} == set(regions[294]["memberOf"])
    for one in regions.values():
        assert set(one["memberOf"]) <= regions.keys()
    codes = [(one["category"], one["code"]) for one in regions.values()]
    assert len(set(codes)) == len(codes)


def test_parameters_repeat_and_there_is_none_for_regions(service: Sources) -> None:
    rows = ask(service, "json", indicator=127, years=[2021, 2022], genders=["male", "female"], regions=294)
    assert {row["year"] for row in rows} == {2021, 2022}
    assert {row["gender"] for row in rows} == {"male", "female"}
    assert {row["region"] for row in rows} == {one["id"] for one in ask(service, "regions")}
    assert ask(service, "json", indicator=127, years=1990) == []
    assert ask(service, "json", indicator=999999, years=2020) == []
    assert requests.get(f"{service.address}{sotkanet.BASE}/json?indicator=x", timeout=10).status_code == 400


def test_what_is_not_told_is_left_out(service: Sources) -> None:
    rows = ask(service, "json", indicator=4, genders="total")
    left_out = [row for row in rows if "value" not in row]
    assert left_out
    assert all(row.keys() == {"indicator", "region", "year", "gender"} for row in left_out)


def test_delimited_values_are_the_same_rows(service: Sources) -> None:
    text = requests.get(f"{service.address}{sotkanet.BASE}/csv?indicator=4&years=2024", timeout=10).text
    header, *lines = text.splitlines()
    assert header == "indicator;region;year;gender;primary value;absolute value"
    rows = ask(service, "json", indicator=4, years=2024)
    written = [[str(row.get(name, "")) for name in ("region", "gender", "value", "absValue")] for row in rows]
    assert [[fields[n] for n in (1, 3, 4, 5)] for fields in (line.split(";") for line in lines)] == written


def test_indicators_are_described_with_html_and_what_their_figures_are(service: Sources) -> None:
    described = {one["id"]: one for one in ask(service, "indicators")}
    assert ask(service, "indicators/127") == described[127]
    assert requests.get(f"{service.address}{sotkanet.BASE}/indicators/5", timeout=10).status_code == 404
    assert "<br />" in described[127]["description"]["fi"]
    assert "&#8805;" in described[716]["title"]["fi"]
    assert described[182]["classifications"]["sex"]["values"] == []
    assert "values" not in described[182]["classifications"]["region"]
    assert described[3078]["classifications"]["sex"]["values"] == ["female"]


def test_a_recorded_answer_is_given_in_place_of_the_synthetic_one(service: Sources, tmp_path: Path) -> None:
    recorded = tmp_path / "values.json"
    rows = [
        {"indicator": 4, "region": 294, "year": 2022, "gender": "total", "value": 3.4, "absValue": 9},
        {"indicator": 4, "region": 658, "year": 2023, "gender": "total", "value": 3.9},
    ]
    recorded.write_text(json.dumps(rows), encoding="utf-8")
    service.serve_recorded("social_health.indicator_values", recorded)
    [described] = ask(service, "indicators")
    assert (described["id"], described["range"]) == (4, {"start": 2022, "end": 2023})
    assert described["classifications"]["sex"]["values"] == ["total"]
    assert "data-updated" not in described  # so that whatever is put in its place is read
    assert ask(service, "json", indicator=4) == rows
    assert ask(service, "json", indicator=4, years=2023) == rows[1:]
    assert ask(service, "json", indicator=127) == []
    recorded.write_text(f"{sotkanet.CSV_HEADER}\n127;294;2009;total;48599;\n", encoding="utf-8")
    assert ask(service, "json", indicator=127) == [
        {"indicator": 127, "region": 294, "year": 2009, "gender": "total", "value": 48599}
    ]


def test_a_publication_has_municipalities_that_lost_their_zeros(
    service: Sources, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = tmp_path / "population.csv"
    published.write_text(f"{sotkanet.PUBLICATION_HEADER}\n638,44969,2000\n18,4424,2000\n", encoding="utf-8")
    service.serve_recorded("social_health.indicator_values", published)
    assert [(row["region"], row["value"]) for row in ask(service, "json", indicator=127)] == [
        (294, 44969),
        (sotkanet.region_id("KUNTA", "018"), 4424),
    ]
    published.write_text(f"{sotkanet.PUBLICATION_HEADER}\n5,11503,2000\n", encoding="utf-8")
    assert requests.get(f"{service.address}{sotkanet.BASE}/json?indicator=127", timeout=10).status_code == 500
    assert "the municipality 005, which is not among the regions" in caplog.text


def test_recorded_lists_are_given_as_they_are(service: Sources, tmp_path: Path) -> None:
    regions = [{"id": 7, "code": "5", "category": "KUNTA", "title": {"fi": "Alajärvi"}, "memberOf": []}]
    (tmp_path / "regions.json").write_text(json.dumps(regions), encoding="utf-8")
    described = {"id": 186, "title": {"fi": "Kuolleisuus"}, "data-updated": "2025-04-29"}
    copied = {"source": "Sotkanet REST API", "indicators": {"186": described | {"indicator_id": 186}}}
    (tmp_path / "indicators.json").write_text(json.dumps(copied), encoding="utf-8")
    service.serve_recorded("social_health.regions", tmp_path / "regions.json")
    service.serve_recorded("social_health.indicators", tmp_path / "indicators.json")
    assert ask(service, "regions") == regions
    assert ask(service, "indicators") == [described]


def test_a_larger_country_has_more_municipalities() -> None:
    assert len(sotkanet.regions(1.0)) > len(sotkanet.regions(SMALL))
    assert Town().scale == 1.0
    assert sotkanet.municipalities_of(50)[0].code == "638"
