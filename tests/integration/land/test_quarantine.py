"""Refused rows: what is shown of them, trying them again, and waiving them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from citydata import contract, ops, quarantine, settings
from tests.integration.steps import Steps

CENTRES, VOUCHERS = "trial.cost_centres", "trial.vouchers"
CONTENT = "Koodi;Nimi;Talousarvio;Voimassa\n1000;Hallinto;;\n2000;Koulut;;\nA300;Puistot;;\n4000;;;\n"


@pytest.fixture
def corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have another contract of the cost centres from here on, in which texts are replaced."""

    def correct(*changes: tuple[str, str]) -> None:
        text = (settings.CONTRACTS / "trial" / "cost_centres.yaml").read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "contracts" / "trial").mkdir(parents=True)
        (tmp_path / "contracts" / "trial" / "cost_centres.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(settings, "CONTRACTS", tmp_path / "contracts")
        contract.load_each.cache_clear()

    return correct


def states(steps: Steps) -> list[tuple[int, str]]:
    return [(row["batch_id"], row["state"]) for row in steps.quarantine(CENTRES)]


def test_rows_are_counted_by_reason_and_state(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.load(CENTRES)
    found = {row["reason"]: (row["dataset"], row["state"], row["rows"]) for row in quarantine.counts()}
    assert found == {
        f"{CENTRES}.code.pattern": (CENTRES, "open", 1),
        f"{CENTRES}.name.required": (CENTRES, "open", 1),
    }


def test_the_content_of_a_row_is_shown_only_where_no_dataset_of_the_system_is_personal(
    trial: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.load(CENTRES)
    assert not contract.load(CENTRES).personal
    shown = quarantine.show(CENTRES)
    assert [row["row_number"] for row in shown] == [5, 4]
    assert not [row for row in shown if "row" in row]
    monkeypatch.setattr(contract.Contract, "personal", False)
    assert quarantine.show(CENTRES, limit=1)[0]["row"]["Koodi"] == "4000"


def test_a_row_that_a_corrected_contract_takes_is_reprocessed(trial: Steps, corrected: Callable[..., None]) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.load(CENTRES)
    corrected(('pattern: "\\\\d{4}"', 'pattern: "[A-Z0-9]{4}"'))
    assert quarantine.retry(CENTRES) == {"open": 2, "reprocessed": 1, "refused_again": 1}
    old, new = (batch["batch_id"] for batch in trial.batches(CENTRES))
    assert states(trial) == [(old, "reprocessed"), (old, "reprocessed"), (new, "open")]
    assert {row["resolved_by_batch"] for row in trial.quarantine(CENTRES) if row["batch_id"] == old} == {new}
    assert [row[0] for row in trial.current(CENTRES)] == ["1000", "2000", "A300"]
    trial.assert_accounted(CENTRES, extracted=4)


def test_rows_stay_open_when_the_batch_that_was_read_again_is_held(
    trial: Steps, corrected: Callable[..., None]
) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.load(CENTRES)
    corrected(("maxQuarantinedShare, value: 0.6", "maxQuarantinedShare, value: 0.1"))
    assert quarantine.retry(CENTRES) == {"open": 0, "reprocessed": 0, "refused_again": 0}
    assert trial.states(CENTRES) == ["published", "held"]
    old = trial.batches(CENTRES)[0]["batch_id"]
    assert [state for batch, state in states(trial) if batch == old] == ["open", "open"]


def test_rows_of_a_batch_that_is_held_are_not_tried_again(trial: Steps, corrected: Callable[..., None]) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT + "x;;;\ny;;;\nz;;;\n")
    trial.load(CENTRES)
    assert trial.states(CENTRES) == ["held"]
    corrected(("maxQuarantinedShare, value: 0.6", "maxQuarantinedShare, value: 1"))
    assert quarantine.retry(CENTRES) == {"open": 0, "reprocessed": 0, "refused_again": 0}
    assert trial.states(CENTRES) == ["held"]


def test_a_person_waives_open_rows_of_one_dataset_for_a_reason(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", CONTENT)
    trial.drop("tositteet.csv", "fiscal_year;voucher;amount;unit\n2026;1;x;\n2026;2;5,00;\n")
    trial.load(CENTRES)
    trial.load(VOUCHERS)
    for person, reason in (("", "turha"), ("omistaja", " ")):
        with pytest.raises(ops.BatchError, match="needs a person and a reason"):
            quarantine.waive(CENTRES, [], person=person, reason=reason)
    first, second = trial.quarantine(CENTRES)
    [other] = trial.quarantine(VOUCHERS)
    wanted = [first["quarantine_id"], other["quarantine_id"]]
    assert quarantine.waive(CENTRES, wanted, person="omistaja", reason="koeyksikkö") == 1
    assert [row["state"] for row in trial.quarantine(CENTRES)] == ["waived", "open"]
    assert quarantine.waive(CENTRES, [], person="hoitaja", reason="lakkautettu") == 1
    assert [(row["decided_by"], row["decided_reason"]) for row in trial.quarantine(CENTRES)] == [
        ("omistaja", "koeyksikkö"),
        ("hoitaja", "lakkautettu"),
    ]
    assert [row["state"] for row in trial.quarantine(VOUCHERS)] == ["open"]
    assert [row["quarantine_id"] for row in quarantine.show(CENTRES)] == []
    assert len(quarantine.show(CENTRES, state=None)) == 2
    assert quarantine.retry(CENTRES) == {"open": 0, "reprocessed": 0, "refused_again": 0}
    assert trial.states(CENTRES) == ["published"]
    assert second["state"] == "open"
