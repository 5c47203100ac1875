"""Sotkanet's regions, indicators and values through the steps: revisions, faults, filters that are ignored, recorded files."""

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from citydata import contract, pipeline
from citydata.connector_options import RestConnector
from citydata.extract import SourceError
from simulators import sotkanet, web
from tests.integration.sources import Sources
from tests.integration.steps import Steps

REGIONS, LISTED, VALUES = "social_health.regions", "social_health.indicators", "social_health.indicator_values"


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace that the contracts keep towards the real service is not what these tests are about."""
    for dataset in (REGIONS, LISTED, VALUES):
        options = contract.load(dataset).platform.connector
        assert isinstance(options, RestConnector)
        monkeypatch.setitem(options.__dict__, "requests_per_second", 200.0)


def expected(sources: Sources, *indicators: int) -> list[tuple[Any, ...]]:
    """The rows that the synthetic service has of indicators, as raw keeps them."""
    town = sources.town
    rows = [
        (*row[:4], *(None if value is None else Decimal(str(value)).quantize(Decimal("0.000001")) for value in row[4:]))
        for one in sotkanet.INDICATORS
        if one.id in indicators
        for row in sotkanet.values(town.seed, town.scale, one, len(sotkanet.revisions(one, town.day)))
    ]
    return sorted(rows, key=lambda row: row[:4])


def load(steps: Steps) -> dict[str, list[Any]]:
    """Read all three datasets and publish them together."""
    datasets = [REGIONS, LISTED, VALUES]
    batches = [batch for dataset in datasets for batch in pipeline.extract_and_land(dataset)]
    return pipeline.audit_and_publish(datasets, batches)


def only(monkeypatch: pytest.MonkeyPatch, *indicators: int) -> None:
    """Follow some of the indicators only."""
    options = contract.load(VALUES).platform.connector
    assert isinstance(options, RestConnector)
    assert options.parts
    monkeypatch.setitem(options.parts.__dict__, "values", list(indicators))


def test_a_revised_indicator_is_read_again_and_no_other(
    steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, 127, 182, 716)
    first = load(steps)
    assert {(batch.state, batch.changed, batch.closed) for batches in first.values() for batch in batches} == {
        ("published", 0, 0)
    }
    assert sorted(steps.current(VALUES), key=lambda row: row[:4]) == expected(sources, 127, 182, 716)
    assert [batch["scope"]["values"] for batch in steps.batches(VALUES)] == [[[127]], [[182]], [[716]]]

    assert pipeline.extract_and_land(VALUES) == []  # the same day: everything is known
    sources.advance()
    [revised] = steps.load(VALUES)
    assert (revised.state, revised.inserted, revised.closed) == ("published", 0, 1)
    assert 0 < revised.changed < 200
    newest = steps.batch(VALUES)
    assert (newest["source"]["offered"], newest["source"]["version"]) == ("indicator=127", "2026-11-03")
    assert sorted(steps.current(VALUES), key=lambda row: row[:4]) == expected(sources, 127, 182, 716)
    assert steps.query("SELECT count(*) FROM ops.arrival WHERE outcome = 'taken'") == [(4,)]
    for dataset in (REGIONS, LISTED, VALUES):
        steps.assert_accounted(dataset)
    before = steps.versions(VALUES)
    pipeline.rebuild(VALUES)  # from what was archived
    assert steps.versions(VALUES) == before


def test_a_source_with_faults_gives_the_same_table(
    steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, 127, 4, 182, 306, 1073)
    sources.faults = 0.2
    asked: list[str] = []
    original = sotkanet._Service.values

    def counted(service: Any, request: Request) -> list[sotkanet.Value]:
        asked.append(request.query_params["indicator"])
        return original(service, request)

    monkeypatch.setattr(sotkanet._Service, "values", counted)
    assert len(pipeline.extract_and_land(VALUES)) == 5
    pipeline.audit_and_publish([VALUES], [batch["batch_id"] for batch in steps.batches(VALUES)])
    assert sorted(steps.current(VALUES), key=lambda row: row[:4]) == expected(sources, 127, 4, 182, 306, 1073)
    assert len(asked) > 5, "no answer was broken, so nothing was proven"
    assert steps.states(VALUES) == ["published"] * 5
    steps.assert_accounted(VALUES)


def test_lists_that_came_through_faults_are_those_without(steps: Steps, sources: Sources) -> None:
    sources.faults = 0.2
    for dataset in (REGIONS, LISTED):
        steps.load(dataset)
    sources.faults = 0.0
    for dataset in (REGIONS, LISTED):
        steps.load(dataset)
        batch = steps.batch(dataset)
        assert batch["unchanged"] == batch["extracted"] > 0
        assert (batch["state"], batch["closed"]) == ("published", 0)


def test_a_source_that_stays_broken_leaves_what_is_there(
    steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, 182)
    steps.load(VALUES)
    before = steps.current(VALUES)
    options = contract.load(VALUES).platform.connector
    monkeypatch.setitem(options.__dict__, "attempts", 2)
    monkeypatch.setattr(web, "FAULTS", ("error",))
    sources.faults = 1.0
    with pytest.raises(
        SourceError, match=f"^{VALUES}: “sotkanet” GET /sotkanet/rest/1.1/indicators failed 2 times"
    ) as error:
        pipeline.extract_and_land(VALUES)
    assert "run `./citydata run" in str(error.value)
    assert steps.current(VALUES) == before


def test_an_ignored_filter_is_noticed(steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, 182)
    other = sotkanet.INDICATORS[0]
    monkeypatch.setattr(
        sotkanet._Service, "values", lambda service, request: list(sotkanet.values(1, 0.05, other, 0))[:10]
    )
    assert steps.load(VALUES) == []
    held = steps.batch(VALUES)
    assert held["state"] == "held"
    assert "it ignores the filter" in held["held_reason"]
    assert steps.current(VALUES) == []


def test_an_indicator_without_rows_does_not_empty_the_table(
    steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, 127)
    steps.load(VALUES)
    before = steps.current(VALUES)
    sources.advance()  # a version that is news
    monkeypatch.setattr(sotkanet._Service, "values", lambda service, request: [])
    assert steps.load(VALUES) == []
    assert steps.batch(VALUES)["held_reason"] == f"{VALUES}.rows_plausible had nothing to judge"
    assert steps.current(VALUES) == before


def test_an_indicator_that_is_not_offered_any_more_stays(
    steps: Steps, sources: Sources, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only(monkeypatch, 182, 716)
    steps.load(VALUES)
    before = steps.current(VALUES)
    monkeypatch.setattr(sotkanet, "INDICATORS", tuple(one for one in sotkanet.INDICATORS if one.id != 716))
    sources.advance()
    with caplog.at_level(logging.WARNING):
        assert pipeline.extract_and_land(VALUES) == []
    assert "the source does not have indicator=716 (any more); what is here stays" in caplog.text
    assert steps.current(VALUES) == before


# -- real and recorded files -------------------------------------------------------------------------------------------


def test_the_published_population(
    steps: Steps, sources: Sources, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publication of 309 municipalities over 23 years, found by the recorded list of regions."""
    folder = real_data / "social-health"
    sources.serve_recorded(REGIONS, folder / "sotkanet-regions.json")
    sources.serve_recorded(LISTED, folder / "sotkanet-indicators.json")
    sources.serve_recorded(VALUES, folder / "sotkanet-127-population-2000-2022.csv")
    published = load(steps)
    assert {dataset: [(one.state, one.inserted) for one in done] for dataset, done in published.items()} == {
        REGIONS: [("published", 511)],
        LISTED: [("published", 1)],
        VALUES: [("published", 7107)],
    }
    population = steps.query(
        "SELECT v.year, v.value::int FROM raw.social_health__indicator_values AS v"
        " JOIN raw.social_health__regions AS r USING (region) WHERE r.code = '638' AND r.category = 'KUNTA' ORDER BY year"
    )
    assert [year for year, _ in population] == list(range(2000, 2023))
    assert (population[0], population[-1]) == ((2000, 44969), (2022, 51232))
    assert steps.query("SELECT count(DISTINCT region) FROM raw.social_health__indicator_values") == [(309,)]
    # What is wrong with it is said: it has municipalities only.
    assert steps.query(
        "SELECT check_id FROM quality.check_result JOIN ops.batch USING (batch_id) WHERE outcome = 'fail' AND batch.dataset = %s",
        VALUES,
    ) == [(f"{VALUES}.country_each_year",)]
    for dataset in (REGIONS, LISTED, VALUES):
        steps.assert_accounted(dataset)

    # The next file holds one year of the same indicator: too much would go, so a person decides.
    sources.serve_recorded(VALUES, folder / "sotkanet-values.csv")
    assert steps.load(VALUES) == []
    assert steps.states(VALUES) == ["published", "held"]
    assert f"{VALUES}.rows_plausible failed for 466 of 466" in steps.batch(VALUES)["held_reason"]


def test_recorded_values_of_one_year(
    steps: Steps, sources: Sources, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = real_data / "social-health"
    sources.serve_recorded(REGIONS, folder / "sotkanet-regions.json")
    sources.serve_recorded(VALUES, folder / "sotkanet-values.csv")
    published = load(steps)
    assert [(one.state, one.inserted) for one in published[VALUES]] == [("published", 466)]
    assert steps.query(
        "SELECT value::int FROM raw.social_health__indicator_values WHERE region = 294 AND year = 2009"
    ) == [(48599,)]
    old = {
        row[0].removeprefix(f"{VALUES}.")
        for row in steps.query(
            "SELECT check_id FROM quality.check_result JOIN ops.batch USING (batch_id) WHERE outcome = 'fail' AND batch.dataset = %s",
            VALUES,
        )
    }
    assert old == {"newest_year_recent"}


def test_every_recorded_list_is_loaded_or_refused_with_a_reason(
    steps: Steps, sources: Sources, real_data: Path
) -> None:
    folder = real_data / "social-health"
    sources.serve_recorded(LISTED, folder / "sotkanet-indicators.json")
    [done] = steps.load(LISTED)
    assert (done.state, done.inserted) == ("published", 2434)
    assert steps.query("SELECT title_sv FROM raw.social_health__indicators WHERE indicator = 127") == [
        ("Befolkning 31.12",)
    ]
    # A client's copy of three indicators is not the service's list.
    sources.serve_recorded(LISTED, folder / "sotkanet-indicators-3.json")
    assert [one.state for one in steps.load(LISTED)] == []
    held = steps.batch(LISTED)
    assert (held["state"], held["landed"]) == ("held", 3)
    assert "social_health.indicators.rows_plausible failed for 3 of 3" in held["held_reason"]
    steps.assert_accounted(LISTED)
    # A list of values where the list of regions should be is none.
    sources.serve_recorded(REGIONS, folder / "sotkanet-values.shape.json")
    assert steps.load(REGIONS) == []
    assert "the columns are not the contract's" in steps.batch(REGIONS)["held_reason"]


def test_the_shape_of_the_service_is_read(steps: Steps, sources: Sources, real_data: Path) -> None:
    recorded = real_data / "social-health" / "sotkanet-values.shape.json"
    sources.serve_recorded(VALUES, recorded)
    [done] = steps.load(VALUES)
    assert (done.state, done.inserted) == ("published", len(json.loads(recorded.read_text(encoding="utf-8"))))
    assert steps.current(VALUES)[-1] == (4, 658, 2023, "total", Decimal("3.9"), None)
