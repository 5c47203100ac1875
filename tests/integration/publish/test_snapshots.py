"""Snapshots: repeated keys, rows that vanish, a person's decision, and files that arrive in the wrong order."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from citydata import ops, pipeline
from tests.integration.steps import Steps

CENTRES, VOUCHERS, MEASURES, CHANGES = "trial.cost_centres", "trial.vouchers", "trial.measures", "trial.changes"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def centres(*codes: int, name: str = "Yksikkö") -> str:
    return "Koodi;Nimi;Talousarvio;Voimassa\n" + "".join(f"{code};{name};;\n" for code in codes)


def rows(*codes: int, name: str = "Yksikkö") -> list[tuple[object, ...]]:
    return [(str(code), name, None, None) for code in codes]


def test_a_key_twice_with_different_content_waits_in_quarantine(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", centres(1000, 2000, 3000), at=NOON)
    trial.load(CENTRES)
    again = centres(1000, 2000, 3000, 3000) + "2000;Toinen;;\n4000;A;;\n4000;B;;\n"
    trial.drop("kustannuspaikat-2.csv", again, at=NOON + timedelta(hours=1))

    trial.load(CENTRES)

    # Of 2000 nobody can tell which is right: its current version stays, and both are shown.
    assert trial.reasons(CENTRES) == {number: ["key.unique"] for number in (3, 6, 7, 8)}
    batch = trial.batch(CENTRES)
    assert (batch["repeated"], batch["quarantined"], batch["unchanged"], batch["closed"]) == (1, 4, 2, 0)
    trial.assert_accounted(CENTRES, current=rows(1000, 2000, 3000), extracted=7)


def test_a_key_twice_in_the_first_load(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", centres(1000, 1000, 2000, 3000) + "2000;Toinen;;\n")
    trial.load(CENTRES)
    assert trial.reasons(CENTRES) == {4: ["key.unique"], 6: ["key.unique"]}
    assert trial.batch(CENTRES)["repeated"] == 1
    trial.assert_accounted(CENTRES, current=rows(1000, 3000), extracted=5)


def test_an_increment_takes_the_newest_of_a_key(trial: Steps) -> None:
    trial.drop(
        "muutokset-1.csv",
        "number;state;changed_at\n1;avoin;2026-03-01 10:00:00\n1;suljettu;2026-03-01 11:00:00\n2;avoin;2026-03-01 09:00:00\n",
        at=NOON,
    )
    trial.load(CHANGES)
    trial.drop(
        "muutokset-2.csv",
        "number;state;changed_at\n1;avattu;2026-03-02 08:00:00\n1;hylätty;2026-03-02 07:00:00\n2;vanha;2026-02-01 09:00:00\n"
        "3;a;2026-03-02 08:00:00\n3;b;2026-03-02 08:00:00\n4;x;2026-03-02 08:00:00\n4;x;2026-03-02 08:00:00\n",
        at=NOON + timedelta(hours=1),
    )
    trial.load(CHANGES)

    first, second = trial.batches(CHANGES)
    assert (first["inserted"], first["superseded"]) == (2, 1)
    fates = ("inserted", "changed", "superseded", "stale", "repeated", "quarantined")
    assert [second[fate] for fate in fates] == [1, 1, 1, 1, 1, 2]
    assert [row[:2] for row in trial.current(CHANGES)] == [("1", "avattu"), ("2", "avoin"), ("4", "x")]
    assert trial.reasons(CHANGES) == {5: ["key.unique"], 6: ["key.unique"]}
    trial.assert_accounted(CHANGES, extracted=7)


def test_two_equal_lines_of_one_voucher_are_two_lines(trial: Steps) -> None:
    header, line, other = "fiscal_year;voucher;amount;unit\n", "2026;1;10,00;\n", "2026;2;5,00;A\n"
    expected = (2026, "1", Decimal("10.00"), None)
    second = (2026, "2", Decimal("5.00"), "A")
    for hour, (content, count) in enumerate(((2 * line + other, 2), (3 * line + other, 3), (line + other, 1))):
        trial.drop("tositteet.csv", header + content, at=NOON + timedelta(hours=hour))
        trial.load(VOUCHERS)
        trial.assert_accounted(VOUCHERS, current=[expected] * count + [second], extracted=count + 1)
    assert [(batch["inserted"], batch["closed"]) for batch in trial.batches(VOUCHERS)] == [(3, 0), (1, 0), (0, 2)]


def test_ten_percent_missing_is_held_until_a_person_releases_it(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", centres(*range(1000, 1020)), at=NOON)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", centres(*range(1002, 1020)), at=NOON + timedelta(hours=1))

    assert [done.state for done in trial.load(CENTRES)] == ["held"]
    batch = trial.batch(CENTRES)
    assert batch["held_reason"] == "2 of 20 current rows are not in the batch and would be closed (10.0%, allowed 5.0%)"
    trial.assert_accounted(CENTRES, current=rows(*range(1000, 1020)), extracted=18)

    with pytest.raises(ops.BatchError, match=r"trial\.cost_centres batch 2: a decision needs a person and a reason"):
        pipeline.decide(batch["batch_id"], release=True, person="omistaja", reason=" ")
    assert (
        pipeline.decide(batch["batch_id"], release=True, person="omistaja", reason="yhdistettiin").state == "published"
    )
    assert (trial.batch(CENTRES)["held_reason"], trial.batch(CENTRES)["decided_reason"]) == (None, "yhdistettiin")
    trial.assert_accounted(CENTRES, current=rows(*range(1002, 1020)), extracted=18)


def test_a_rejected_batch_leaves_everything_and_the_next_one_is_judged_anew(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", centres(*range(1000, 1020)), at=NOON)
    trial.load(CENTRES)
    before = trial.versions(CENTRES)
    trial.drop("kustannuspaikat-2.csv", centres(*range(1002, 1020)), at=NOON + timedelta(hours=1))
    trial.load(CENTRES)
    held = trial.batch(CENTRES)["batch_id"]
    assert pipeline.decide(held, release=False, person="omistaja", reason="katkennut").state == "rejected"
    assert trial.versions(CENTRES) == before
    trial.assert_accounted(CENTRES, current=rows(*range(1000, 1020)), extracted=18)
    with pytest.raises(ops.BatchError, match="is rejected, not held"):
        pipeline.decide(trial.batch(CENTRES)["batch_id"], release=True, person="omistaja", reason="sittenkin")
    with pytest.raises(ops.BatchError, match="is rejected and cannot be replayed"):
        pipeline.replay(held)

    trial.drop("kustannuspaikat-3.csv", centres(*range(1000, 1021)), at=NOON + timedelta(hours=2))
    trial.load(CENTRES)
    assert trial.states(CENTRES) == ["published", "rejected", "published"]
    trial.assert_accounted(CENTRES, current=rows(*range(1000, 1021)), extracted=21)


def test_an_older_file_that_arrives_late_is_stale_and_never_a_reversal(trial: Steps) -> None:
    trial.drop("kustannuspaikat-2.csv", centres(1000, 2000, name="Uusi"), at=NOON)
    trial.load(CENTRES)
    before = trial.versions(CENTRES)
    trial.drop("kustannuspaikat-1.csv", centres(1000, 3000, name="Vanha"), at=NOON - timedelta(days=1))
    trial.load(CENTRES)
    assert (trial.batch(CENTRES)["state"], trial.batch(CENTRES)["stale"]) == ("published", 2)
    assert trial.versions(CENTRES) == before
    trial.assert_accounted(CENTRES, current=rows(1000, 2000, name="Uusi"), extracted=2)


def test_a_snapshot_that_was_followed_by_another_is_not_replayed(trial: Steps) -> None:
    for hour, name in enumerate(("Vanha", "Uusi")):
        trial.drop("kustannuspaikat.csv", centres(1000, 2000, name=name), at=NOON + timedelta(hours=hour))
        trial.load(CENTRES)
    old, new = (batch["batch_id"] for batch in trial.batches(CENTRES))
    before = trial.versions(CENTRES)
    with pytest.raises(ops.BatchError, match=rf"was followed by batch {new}; replay that one, or rebuild the dataset"):
        pipeline.replay(old)
    assert trial.versions(CENTRES) == before
    trial.assert_accounted(CENTRES, current=rows(1000, 2000, name="Uusi"), extracted=2)


def test_only_the_parts_with_a_newer_observation_are_stale(trial: Steps) -> None:
    trial.drop("mittarit-2.csv", "indicator;year;value\n127;2025;2,0\n", at=NOON)
    trial.load(MEASURES)
    trial.drop(
        "mittarit-1.csv",
        "indicator;year;value\n127;2025;1,0\n127;2024;1,0\n181;2025;9,5\n",
        at=NOON - timedelta(days=1),
    )
    trial.load(MEASURES)
    batch = trial.batch(MEASURES)
    assert (batch["stale"], batch["inserted"]) == (2, 1)
    trial.assert_accounted(
        MEASURES, current=[("127", 2025, Decimal("2.00")), ("181", 2025, Decimal("9.50"))], extracted=3
    )


def test_a_file_closes_nothing_outside_the_key_values_that_it_covers(trial: Steps) -> None:
    trial.drop("mittarit-1.csv", "indicator;year;value\n127;2024;1\n127;2025;1\n181;2025;9\n", at=NOON)
    trial.load(MEASURES)
    trial.drop("mittarit-2.csv", "indicator;year;value\n127;2025;1\n", at=NOON + timedelta(hours=1))
    trial.load(MEASURES)
    assert trial.batch(MEASURES)["closed"] == 1
    trial.assert_accounted(MEASURES, current=[("127", 2025, Decimal(1)), ("181", 2025, Decimal(9))], extracted=1)


@pytest.mark.parametrize(
    "broken",
    ["2000;;;\n", "2x00;Yksikkö;;\n", "2000;Yksikkö;;;\n"],
    ids=["its other columns", "its key", "its whole line"],
)
def test_a_row_that_could_not_be_read_is_not_taken_for_deleted(trial: Steps, broken: str) -> None:
    codes = range(1000, 1040)
    trial.drop("kustannuspaikat-1.csv", centres(*codes, 2000), at=NOON)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", centres(*codes) + broken, at=NOON + timedelta(hours=1))
    trial.load(CENTRES)
    assert (trial.batch(CENTRES)["closed"], trial.batch(CENTRES)["quarantined"]) == (0, 1)
    trial.assert_accounted(CENTRES, current=rows(*codes, 2000), extracted=41)


def test_a_broken_line_of_a_voucher_does_not_close_its_current_form(trial: Steps) -> None:
    header = "fiscal_year;voucher;amount;unit\n"
    trial.drop("tositteet-1.csv", header + "2026;1;10,00;A\n2026;2;5,00;\n2026;3;7,00;\n", at=NOON)
    trial.load(VOUCHERS)
    trial.drop("tositteet-2.csv", header + "2026;1;1O,00;A\n2026;2;5,00;\n", at=NOON + timedelta(hours=1))
    trial.load(VOUCHERS)
    assert trial.batch(VOUCHERS)["closed"] == 1
    trial.assert_accounted(
        VOUCHERS, current=[(2026, "1", Decimal(10), "A"), (2026, "2", Decimal(5), None)], extracted=2
    )
