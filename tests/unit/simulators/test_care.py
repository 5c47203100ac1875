"""Patients and encounters of the synthetic town: the same for a seed, synthetic identity codes only, and what a day does."""

import json
from datetime import datetime
from itertools import pairwise

import pytest

from simulators.care import COUNTY_FROM, Records, protected, records_of, referred
from simulators.identifiers import TEMPORARY_INDIVIDUAL_NUMBERS
from tests.identity_codes import CODE

SEED, SCALE = 7, 0.05


def text(records: Records) -> str:
    return json.dumps(
        [[version.resource for version in versions] for one in records.resources.values() for versions in one.values()]
    )


def test_a_day_is_a_function_of_seed_scale_and_day() -> None:
    day = text(records_of(SEED, SCALE, 3))
    records_of.__globals__["_records_of"].cache_clear()
    records_of.__globals__["_opening"].cache_clear()
    assert text(records_of(SEED, SCALE, 3)) == day
    assert text(records_of(SEED + 1, SCALE, 3)) != day


def test_identity_codes_are_of_nobody() -> None:
    found = {match[1] for match in CODE.finditer(text(records_of(SEED, SCALE, 4)))}
    assert len(found) > 50
    assert {int(code[7:10]) for code in found} <= set(TEMPORARY_INDIVIDUAL_NUMBERS)


@pytest.mark.parametrize("day", range(1, 7))
def test_each_day_brings_new_changed_and_deleted_resources(day: int) -> None:
    before, after = records_of(SEED, SCALE, day - 1), records_of(SEED, SCALE, day)
    for kind in ("Patient", "Encounter"):
        old, new = before.current(kind), after.current(kind)
        assert new.keys() - old.keys(), kind
        assert any(new[key] != old[key] for key in new.keys() & old.keys()), kind
        if kind == "Encounter" or day % 3 == 0:
            assert old.keys() - new.keys(), kind
        for key, versions in after.resources[kind].items():
            assert [version.number for version in versions] == list(range(1, len(versions) + 1))
            assert all(a.updated_at < b.updated_at for a, b in pairwise(versions)), key
            known = len(before.resources[kind].get(key, ()))
            # What happened on the day happened between the clocks of the two days: nothing is committed late.
            assert all(before.at < version.updated_at <= after.at for version in versions[known:])
    assert {
        one for one in map(str, before.resources) if before.resources[one].keys() - after.resources[one].keys()
    } == set()


def test_a_deleted_encounter_comes_back_under_its_id() -> None:
    yesterday, today = records_of(SEED, SCALE, 1).current("Encounter"), records_of(SEED, SCALE, 2).current("Encounter")
    back = [
        key
        for key, versions in records_of(SEED, SCALE, 2).resources["Encounter"].items()
        if len(versions) > 2 and versions[-2].resource is None and versions[-1].resource
    ]
    assert len(back) == 1
    assert back[0] not in yesterday
    assert back[0] in today


def test_what_the_platform_must_cope_with_is_there() -> None:
    records = records_of(SEED, SCALE, 0)
    patients, encounters = records.current("Patient"), records.current("Encounter")
    starts = [one["period"]["start"] for one in encounters.values()]
    many = records_of(1, 1.0, 0).current("Encounter").values()
    assert {len(one["period"]["start"]) for one in many} >= {len("2021-01"), len("2021-01-01")}
    assert {"." in start for start in starts} == {True, False}
    assert any("end" not in one["period"] for one in encounters.values())
    subjects = [one["subject"]["reference"] for one in encounters.values()]
    for beginning in ("Patient/", "urn:uuid:", "https://"):
        assert any(subject.startswith(beginning) for subject in subjects)
    assert {referred(subject) for subject in subjects} <= patients.keys()
    parts = {referred(one["partOf"]["reference"]) for one in encounters.values() if "partOf" in one}
    assert parts <= encounters.keys()
    assert any("partOf" in encounters[key] for key in parts), "a part of a part"
    hidden = [one for one in patients.values() if protected(one)]
    assert len(hidden) >= 3
    assert all("extension" in one or one["address"] for one in hidden)
    early = [start for start in starts if start < COUNTY_FROM.isoformat()]
    assert 0.2 < len(early) / len(starts) < 0.8
    broken = [
        one
        for one in encounters.values()
        if len(one["period"]["start"]) > 10
        and len(one["period"].get("end", "")) > 10
        and datetime.fromisoformat(one["period"]["end"]) < datetime.fromisoformat(one["period"]["start"])
    ]
    assert len(broken) == 1
