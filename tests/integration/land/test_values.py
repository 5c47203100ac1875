"""A value is what the contract says it is, or its row is refused with the rule's name."""

from datetime import date
from decimal import Decimal

from tests.integration.steps import Steps

CENTRES = "trial.cost_centres"
HEADER = "Koodi;Nimi;Talousarvio;Voimassa\n"
FILLER = "9000;Yksikkö;;\n"
NBSP, THIN = "\u00a0", "\u202f"


def load(trial: Steps, rows: list[str]) -> dict[int, list[str]]:
    """Load rows as one file; the rules that each broke, by its number in `rows`."""
    trial.drop("kustannuspaikat.csv", HEADER + "".join(f"{row}\n" for row in rows))
    trial.load(CENTRES)
    return {number - 2: rules for number, rules in trial.reasons(CENTRES).items()}


AMOUNTS = {
    "1234567,89": "1234567.89",
    "1 234 567,89": "1234567.89",
    f"1{NBSP}234{NBSP}567,89": "1234567.89",
    f"1{THIN}234,5": "1234.50",
    "-12,30": "-12.30",
    "-1 234,00": "-1234.00",
    "-0,01": "-0.01",
    "0": "0.00",
    "999999999999,99": "999999999999.99",
    "NULL": None,
    "..": None,
    "-": None,
    "": None,
}


def test_amounts_as_the_contract_writes_them(trial: Steps) -> None:
    rows = [f"{1000 + number};Yksikkö;{text};" for number, text in enumerate(AMOUNTS)]
    assert load(trial, rows) == {}
    trial.assert_accounted(
        CENTRES,
        current=[
            (f"{1000 + number}", "Yksikkö", None if amount is None else Decimal(amount), None)
            for number, amount in enumerate(AMOUNTS.values())
        ],
        extracted=len(rows),
    )


def test_amounts_that_are_written_otherwise_are_refused(trial: Steps) -> None:
    texts = [
        "12.30", "12,345", "1.234,00", "1 23,00", "12 34 567", f"1 234{NBSP}567", " 12,30", "12,30 ", "12,", ",50", "+12", "--1", "12-",
        "NaN", "nan", "Infinity", "1e3", "1_000", "0x1F", "null", "...", "\u221212,30", "1 000 000 000 000", "\u0661\u0662",
    ]  # fmt: skip
    rows = [f"{1000 + number};Yksikkö;{text};" for number, text in enumerate(texts)]
    right = [f"{2000 + number};Yksikkö;;" for number in range(len(texts))]
    assert load(trial, rows + right) == {number: ["budget.format"] for number in range(len(texts))}
    trial.assert_accounted(
        CENTRES,
        current=[(f"{2000 + number}", "Yksikkö", None, None) for number in range(len(texts))],
        extracted=len(rows + right),
    )


def test_dates_as_the_contract_writes_them(trial: Steps) -> None:
    days = {"1.2.2026": date(2026, 2, 1), "01.02.2026": date(2026, 2, 1), "29.2.2028": date(2028, 2, 29), "..": None}
    rows = [f"{1000 + number};Yksikkö;;{text}" for number, text in enumerate(days)]
    assert load(trial, rows) == {}
    trial.assert_accounted(
        CENTRES, current=[(f"{1000 + number}", "Yksikkö", None, day) for number, day in enumerate(days.values())]
    )


def test_dates_that_do_not_exist_or_stand_in_another_order_are_refused(trial: Steps) -> None:
    texts = [
        "31.2.2026", "29.2.2026", "0.1.2026", "1.13.2026", "2026-02-01", "2/1/2026", "2.28.2026", "1.2.26", "today", "1.2.0000",
    ]  # fmt: skip
    rows = [f"{1000 + number};Yksikkö;;{text}" for number, text in enumerate(texts)]
    right = [f"{2000 + number};Yksikkö;;1.1.2026" for number in range(len(texts))]
    assert load(trial, rows + right) == {number: ["valid_from.format"] for number in range(len(texts))}
    trial.assert_accounted(
        CENTRES,
        current=[(f"{2000 + number}", "Yksikkö", None, date(2026, 1, 1)) for number in range(len(texts))],
        extracted=len(rows + right),
    )


def test_a_row_is_refused_with_every_rule_that_it_breaks(trial: Steps) -> None:
    broken = load(
        trial, ["x;" + "y" * 61 + ";1.5;31.2.2026", "9000;;;", "9001;Yksikkö;;", "9002;Yksikkö;;", "9003;Yksikkö;;"]
    )
    assert broken == {0: ["code.pattern", "name.length", "budget.format", "valid_from.format"], 1: ["name.required"]}
    unreadable, incomplete = trial.quarantine(CENTRES)
    assert unreadable["row"] == {"Koodi": "x", "Nimi": "y" * 61, "Talousarvio": "1.5", "Voimassa": "31.2.2026"}
    assert unreadable["key"] is None
    assert incomplete["key"] == '{"code": "9000"}'
    trial.assert_accounted(CENTRES, extracted=5)


def test_too_much_in_quarantine_holds_the_batch_and_a_corrected_file_resolves_it(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", HEADER + FILLER)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", HEADER + FILLER + "a;b;;\nc;d;;\n")
    assert trial.load(CENTRES) == []
    assert "2 of 3 rows are in quarantine" in trial.batch(CENTRES)["held_reason"]
    trial.assert_accounted(CENTRES, current=[("9000", "Yksikkö", None, None)], extracted=3)

    trial.drop("kustannuspaikat-3.csv", HEADER + FILLER + "1000;b;;\n")
    trial.load(CENTRES)
    assert trial.states(CENTRES) == ["published", "superseded", "published"]
    assert {row["state"] for row in trial.quarantine(CENTRES)} == {"resolved"}
    trial.assert_accounted(CENTRES, current=[("1000", "b", None, None), ("9000", "Yksikkö", None, None)], extracted=2)
