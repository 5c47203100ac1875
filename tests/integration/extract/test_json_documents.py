"""Broken JSON documents end in a held batch that says what is wrong and where."""

import re

import pytest

from tests.integration.steps import Steps

UNITS = "finance.organisation_units"
GOOD = '{"toimielin": ["Kaupunginhallitus"], "tulosalue": ["Ruokapalvelut"]}'


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (GOOD[:-1], "not JSON: .* at line 1"),
        (GOOD.encode("utf-16"), "the file is not UTF-8"),
        ('{"toimielin": ["Kaupunginhallitus"]}', "has no “tulosalue”"),
        ('{"toimielin": "Kaupunginhallitus", "tulosalue": []}', "“toimielin” is not a list"),
        ("  ", "the file is empty"),
    ],
    ids=["cut off", "another encoding", "a list missing", "no list", "blank"],
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
