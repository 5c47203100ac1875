"""Broken JSON documents end in a held batch that says what is wrong and where."""

import re
from decimal import Decimal

import pytest

from citydata.extract import json_text
from tests.integration.steps import Steps

UNITS, SENSORS = "finance.organisation_units", "trial.sensors"
GOOD = '{"toimielin": ["Kaupunginhallitus"], "tulosalue": ["Ruokapalvelut"]}'


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (GOOD[:-1], "not JSON: .* at line 1"),
        (GOOD.encode("utf-16"), "the file is not UTF-8"),
        ('{"toimielin": ["Kaupunginhallitus"]}', "has no “tulosalue”"),
        ('{"toimielin": "Kaupunginhallitus", "tulosalue": []}', "“toimielin” is not a list"),
        ('"toimielin"', "has no “toimielin”"),
        ("  ", "the file is empty"),
    ],
    ids=["cut off", "another encoding", "a list missing", "no list", "a text", "blank"],
)
def test_a_document_that_is_not_the_contracts_holds_the_batch(
    steps: Steps, content: str | bytes, complaint: str
) -> None:
    steps.drop("organisaatio-1.json", GOOD, directory="finance")
    steps.load(UNITS)
    steps.drop("organisaatio-2.json", content, directory="finance")
    assert steps.load(UNITS) == []
    assert steps.states(UNITS) == ["published", "held"]
    assert re.search(complaint, steps.batch(UNITS)["held_reason"])
    steps.assert_accounted(
        UNITS, current=[("toimielin", "Kaupunginhallitus"), ("tulosalue", "Ruokapalvelut")], extracted=0
    )


def test_numbers_are_taken_as_they_are_written_and_missing_fields_are_missing(trial: Steps) -> None:
    records = '{"number": "a", "reading": 0.000001, "working": true}, {"number": "b", "working": false}, {"number": "c", "reading": null}'
    trial.drop("anturit.json", f'{{"data": [{records}]}}')
    trial.load(SENSORS)
    trial.assert_accounted(
        SENSORS,
        current=[("a", Decimal("0.000001"), True), ("b", None, False), ("c", None, None)],
        extracted=3,
    )


def test_an_optional_field_that_no_record_has_is_missing_everywhere(trial: Steps) -> None:
    trial.drop("anturit.json", '{"data": [{"number": "a"}]}')
    trial.load(SENSORS)
    trial.assert_accounted(SENSORS, current=[("a", None, None)], extracted=1)


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ('{"reading": 1, "working": true}', "missing: number"),
        ('{"number": "a", "colour": "red"}', "unknown: colour"),
        ('{"number": "a"}, "b"', "“data” holds something that is not a record"),
    ],
    ids=["a required field missing", "a new field", "a text among records"],
)
def test_records_that_are_not_the_contracts_hold_the_batch(trial: Steps, records: str, complaint: str) -> None:
    trial.drop("anturit.json", f'{{"data": [{records}]}}')
    assert trial.load(SENSORS) == []
    assert complaint in trial.batch(SENSORS)["held_reason"]
    trial.assert_accounted(SENSORS, current=[], extracted=0)


def test_a_document_that_is_too_large_for_the_memory_holds_the_batch(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_text, "MAX_BYTES", 20)
    trial.drop("anturit.json", '{"data": [{"number": "a"}]}')
    assert trial.load(SENSORS) == []
    assert trial.batch(SENSORS)["held_reason"] == "the JSON document is larger than 20 bytes"
    trial.assert_accounted(SENSORS, current=[], extracted=0)
