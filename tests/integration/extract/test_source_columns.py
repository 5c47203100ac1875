"""The ledger keeps how the columns of a source differed from the contract's: names, and never a value."""

from typing import Any

import pytest

from citydata import database, pipeline
from citydata.extract import differing
from citydata.governance import facts
from citydata.governance.evidence import SourceSchema
from tests.integration.steps import Steps

ACCOUNTS, SENSORS = "finance.accounts", "trial.sensors"
SAME = {"added": [], "missing": []}
ROW = "4340;Asiantuntijapalvelut"


def seen(dataset: str) -> SourceSchema:
    """What a measurement knows of the source."""
    with database.connect_admin() as connection:
        return facts._source_schemas(connection)[dataset]


def columns(steps: Steps, dataset: str) -> Any:
    return steps.batch(dataset)["source"].get("columns")


@pytest.mark.parametrize(
    ("header", "added", "missing"),
    [
        ("Tili;Tilin nimi;IBAN", ["IBAN"], []),
        ("Tili;Nimi", ["Nimi"], ["Tilin nimi"]),
        ("Tili", [], ["Tilin nimi"]),
        ("Tili;Tilin nimi;010190-123A", ["?"], []),
        ("Tili;Tilin nimi;nro 010190-123A", ["?"], []),
        ("Tili;Tilin nimi;4711", ["?"], []),
        ("Tili;Tilin nimi;matti@example.org", ["?"], []),
        # No header at all: the fields of the first row are values.
        ("Virtanen;Matti", ["?", "?"], ["Tili", "Tilin nimi"]),
    ],
)
def test_a_header_that_differs_is_kept_with_the_batch_it_holds(
    steps: Steps, header: str, added: list[str], missing: list[str]
) -> None:
    steps.drop("tilit1.csv", f"Tili;Tilin nimi\n{ROW}\n", directory="finance")
    steps.load(ACCOUNTS)
    assert columns(steps, ACCOUNTS) == SAME
    assert (seen(ACCOUNTS).added, seen(ACCOUNTS).missing) == ((), ())
    steps.drop("tilit2.csv", f"{header}\n{ROW}\n", directory="finance")
    steps.load(ACCOUNTS)
    assert steps.states(ACCOUNTS) == ["published", "held"]
    assert columns(steps, ACCOUNTS) == {"added": added, "missing": missing}
    assert (seen(ACCOUNTS).added, seen(ACCOUNTS).missing) == (tuple(added), tuple(missing))


def test_a_held_difference_is_seen_until_somebody_decides(steps: Steps) -> None:
    steps.drop("tilit1.csv", f"Tili;Tilin nimi;IBAN\n{ROW};\n", directory="finance")
    steps.load(ACCOUNTS)
    steps.drop("tilit2.csv", f"Tili;Tilin nimi\n{ROW}\n", directory="finance")
    steps.load(ACCOUNTS)
    assert steps.states(ACCOUNTS) == ["superseded", "published"]
    assert seen(ACCOUNTS).added == ()
    # Of a dataset that is read part by part, the later batch is of another part.
    steps.execute("UPDATE ops.batch SET state = 'held', held = landed WHERE state = 'superseded'")
    assert seen(ACCOUNTS).added == ("IBAN",)
    pipeline.decide(seen(ACCOUNTS).batch_id, release=False, person="omistaja", reason="Toimittaja korjasi tiedoston.")
    assert seen(ACCOUNTS).added == ()


def test_what_is_no_table_of_the_contract_at_all_tells_nothing_of_its_columns(steps: Steps) -> None:
    steps.drop("tilit1.csv", "<html><body>Service unavailable</body></html>\n", directory="finance")
    steps.load(ACCOUNTS)
    assert steps.states(ACCOUNTS) == ["held"]
    assert columns(steps, ACCOUNTS) is None


def test_a_batch_that_is_landed_again_under_a_contract_that_knows_the_column_differs_no_more(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.drop("anturit.json", '{"data": [{"number": "a", "reading": 1, "model": "x"}]}')
    trial.load(SENSORS)
    assert trial.states(SENSORS) == ["held"]
    assert columns(trial, SENSORS) == {"added": ["model"], "missing": []}
    trial.execute(
        "UPDATE ops.batch SET source = source || jsonb_build_object('columns', jsonb_build_object('missing', '[]'))"
    )
    with pytest.raises(ValueError, match="model"):
        pipeline.decide(trial.batch(SENSORS)["batch_id"], release=True, person="omistaja", reason="Kokeillaan.")
    assert columns(trial, SENSORS) == {"added": ["model"], "missing": []}
    monkeypatch.setattr("citydata.extract.json_text.check_fields", lambda *_, **__: None)
    pipeline.decide(trial.batch(SENSORS)["batch_id"], release=True, person="omistaja", reason="Sarake on sopimuksessa.")
    assert trial.states(SENSORS) == ["published"]
    assert columns(trial, SENSORS) == SAME


def test_an_optional_field_that_no_record_has_is_no_difference(trial: Steps) -> None:
    trial.drop("anturit.json", '{"data": [{"number": "a"}]}')
    trial.load(SENSORS)
    assert trial.states(SENSORS) == ["published"]
    assert columns(trial, SENSORS) == SAME


def test_a_document_without_records_shows_no_columns(trial: Steps) -> None:
    trial.drop("anturit.json", '{"data": []}')
    trial.load(SENSORS)
    assert columns(trial, SENSORS) is None


def test_names_are_few_and_short() -> None:
    found = differing(["a" * 61, "x\ny", "=1+1", *(f"c{number}" for number in range(100))], [])
    assert found["added"][:4] == ["?", "?", "?", "c0"]
    assert len(found["added"]) == 50
