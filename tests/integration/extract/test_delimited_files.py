"""Broken delimited files end in a held batch or in quarantined rows, and every row is accounted for."""

import gzip
import re
from datetime import date
from decimal import Decimal

import pytest

from citydata.extract import archive
from tests.integration.steps import Steps

CENTRES = "trial.cost_centres"
HEADER = "Koodi;Nimi;Talousarvio;Voimassa\n"
GOOD = HEADER + "1000;Hallinto;1 000,00;1.1.2026\n2000;Koulut;20,50;15.8.2026\n3000;Päiväkodit;;\n"
ROWS = [
    ("1000", "Hallinto", Decimal("1000.00"), date(2026, 1, 1)),
    ("2000", "Koulut", Decimal("20.50"), date(2026, 8, 15)),
    ("3000", "Päiväkodit", None, None),
]


def line(code: str, name: str = "Yksikkö", budget: str = "", valid_from: str = "") -> str:
    return f"{code};{name};{budget};{valid_from}\n"


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (
            "code;name;budget;valid_from\n",
            "missing: Koodi, Nimi, Talousarvio, Voimassa; unknown: code, name, budget, valid_from",
        ),
        ("Koodi;Nimi;Talousarvio\n", r"missing: Voimassa\)"),
        ("Koodi;Nimi;Talousarvio;Voimassa;Vastuuhenkilö\n", "unknown: Vastuuhenkilö"),
        ("Koodi;Nimi;Talousarvio;Voimassa;Nimi\n", "repeated: Nimi"),
        ("Koodi,Nimi,Talousarvio,Voimassa\n", "missing: Koodi, Nimi, Talousarvio, Voimassa"),
        ("Koodi;Ni\0mi;Talousarvio;Voimassa\n", "the header holds a NUL byte"),
    ],
    ids=["another header", "a missing column", "a new column", "a column twice", "another delimiter", "a NUL byte"],
)
def test_a_header_that_is_not_the_contracts_holds_the_batch(trial: Steps, header: str, complaint: str) -> None:
    trial.drop("kustannuspaikat-1.csv", GOOD)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", header + "1000;Hallinto;1,00;1.1.2026\n")

    assert trial.load(CENTRES) == []

    assert trial.states(CENTRES) == ["published", "held"]
    assert re.search(complaint, trial.batch(CENTRES)["held_reason"])
    trial.assert_accounted(CENTRES, current=ROWS, extracted=0)


def test_columns_in_another_order_are_the_same_columns(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", "Voimassa;Nimi;Talousarvio;Koodi\n1.1.2026;Hallinto;1 000,00;1000\n")
    trial.load(CENTRES)
    trial.assert_accounted(CENTRES, current=ROWS[:1], extracted=1)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (b"4000;Puistot; metsat;1,00;1.1.2026\n", "row.column_count"),
        (b"4000;Puistot;1,00\n", "row.column_count"),
        (b'4000;"Puistot;1,00;1.1.2026\n', "row.quoting"),
        (b'4000;"Puistot"keskus;1,00;1.1.2026\n', "row.quoting"),
        (b"4000;Puis\0tot;1,00;1.1.2026\n", "row.nul_byte"),
        (b"4000;P\xe4iv\xe4kodit;1,00;1.1.2026\n", "row.encoding"),
        (b"4000;Puistot\rkeskus;1,00;1.1.2026\n", "row.line_break"),
    ],
    ids=[
        "an unquoted delimiter", "a field too few", "a quote never closed", "text after a quote",
        "a NUL byte", "a byte that is not UTF-8", "a lone carriage return",
    ],
)  # fmt: skip
def test_a_broken_line_is_refused_alone(trial: Steps, broken: bytes, rule: str) -> None:
    trial.drop("kustannuspaikat.csv", GOOD.encode() + broken + line("5000").encode())
    trial.load(CENTRES)
    assert trial.reasons(CENTRES) == {5: [rule]}
    trial.assert_accounted(CENTRES, current=[*ROWS, ("5000", "Yksikkö", None, None)], extracted=5)


def test_quotes_and_delimiters_inside_values_are_kept(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", HEADER + '1000;"Koulu ""A""; lukio";"1,00";\n2000;Koulu "B";;\n')
    trial.load(CENTRES)
    trial.assert_accounted(
        CENTRES,
        current=[("1000", 'Koulu "A"; lukio', Decimal("1.00"), None), ("2000", 'Koulu "B"', None, None)],
        extracted=2,
    )


def test_a_quote_that_is_never_closed_does_not_swallow_the_next_lines(trial: Steps) -> None:
    trial.drop(
        "kustannuspaikat.csv",
        HEADER + line("1000", '"Hallinto') + line("2000", '"Koulut') + line("3000") + line("4000"),
    )
    trial.load(CENTRES)
    assert trial.reasons(CENTRES) == {2: ["row.quoting"], 3: ["row.quoting"]}
    trial.assert_accounted(CENTRES, current=[(code, "Yksikkö", None, None) for code in ("3000", "4000")], extracted=4)


def test_a_file_without_any_byte_holds_the_batch(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", GOOD)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", "")
    assert trial.load(CENTRES) == []
    assert trial.batch(CENTRES)["held_reason"] == "the file is empty: not even a header"
    trial.assert_accounted(CENTRES, current=ROWS, extracted=0)


def test_what_is_held_is_archived_to_its_last_byte(trial: Steps) -> None:
    content = "code;name\n" + line("1000") * 600_000
    trial.drop("kustannuspaikat.csv", content)
    trial.load(CENTRES)
    batch = trial.batch(CENTRES)
    assert batch["state"] == "held"
    assert b"".join(archive.read(batch["archive_path"], batch["archive_sha256"])) == content.encode()


def test_only_a_header_would_close_everything_and_is_held(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", GOOD)
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", HEADER)
    assert [done.state for done in trial.load(CENTRES)] == ["held"]
    assert "3 of 3 current rows are not in the batch" in trial.batch(CENTRES)["held_reason"]
    trial.assert_accounted(CENTRES, current=ROWS, extracted=0)


def test_the_repositorys_suite_holds_a_file_with_only_a_header(steps: Steps) -> None:
    steps.drop("tilit.csv", "Tili;Tilin nimi\n", directory="finance")
    assert steps.load("finance.accounts") == []
    assert "finance.accounts.rows_plausible" in steps.batch("finance.accounts")["held_reason"]
    steps.assert_accounted("finance.accounts", current=[], extracted=0)


def test_blank_lines_are_no_rows_and_row_numbers_are_lines_of_the_file(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", HEADER + "\n" + line("1000") + "\n\n" + line("x") + line("2000") + "\n")
    trial.load(CENTRES)
    assert trial.reasons(CENTRES) == {6: ["code.pattern"]}
    trial.assert_accounted(CENTRES, current=[(code, "Yksikkö", None, None) for code in ("1000", "2000")], extracted=3)


def test_a_line_break_inside_a_line_is_not_made_up_for_by_a_blank_line(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", GOOD + "\n" + line("4000").rstrip() + "\r" + line("5000"))
    trial.load(CENTRES)
    assert trial.reasons(CENTRES) == {6: ["row.line_break"]}
    trial.assert_accounted(CENTRES, current=ROWS, extracted=4)


def test_a_byte_order_mark_and_carriage_returns_are_no_content(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", "\ufeff" + GOOD.replace("\n", "\r\n").rstrip())
    trial.load(CENTRES)
    trial.assert_accounted(CENTRES, current=ROWS, extracted=3)


def test_words_that_other_tools_take_for_missing_are_values(trial: Steps) -> None:
    words = ("NA", "NULL", "nan", "None", "-")
    trial.drop("kustannuspaikat.csv", HEADER + "".join(line(str(1000 + n), word) for n, word in enumerate(words)))
    trial.load(CENTRES)
    trial.assert_accounted(CENTRES, current=[(str(1000 + n), word, None, None) for n, word in enumerate(words)])


PACKED = "Koodi;Nimi\n1000;Hallinto\n2000;Koulut\n"


def test_a_truncated_gzip_holds_the_batch(trial: Steps) -> None:
    whole = gzip.compress(PACKED.encode())
    trial.drop("pakattu-1.csv.gz", whole)
    trial.load("trial.packed")
    trial.drop("pakattu-2.csv.gz", gzip.compress(PACKED.encode() * 50_000)[:-200])
    assert trial.load("trial.packed") == []
    assert trial.states("trial.packed") == ["published", "held"]
    assert "cut off" in trial.batch("trial.packed")["held_reason"]
    trial.assert_accounted("trial.packed", current=[("1000", "Hallinto"), ("2000", "Koulut")], extracted=0)


def test_a_gzip_of_several_members_is_read_to_its_end(trial: Steps) -> None:
    first, second = PACKED.encode()[:-14], PACKED.encode()[-14:]
    trial.drop("pakattu.csv.gz", gzip.compress(first) + gzip.compress(second))
    trial.load("trial.packed")
    trial.assert_accounted("trial.packed", current=[("1000", "Hallinto"), ("2000", "Koulut")], extracted=2)


def test_what_is_no_gzip_holds_the_batch(trial: Steps) -> None:
    trial.drop("pakattu.csv.gz", PACKED)
    assert trial.load("trial.packed") == []
    assert "damaged" in trial.batch("trial.packed")["held_reason"]
    trial.assert_accounted("trial.packed", current=[], extracted=0)


@pytest.mark.parametrize(
    "content", [HEADER + line("1000") + "x" * (6 << 20), "x" * (2 << 20)], ids=["the last", "the only"]
)
def test_an_endless_line_holds_the_batch(trial: Steps, content: str) -> None:
    trial.drop("kustannuspaikat.csv", content)
    assert trial.load(CENTRES) == []
    assert "a line is longer than 1048576 bytes" in trial.batch(CENTRES)["held_reason"]
    trial.assert_accounted(CENTRES, current=[], extracted=0)


def test_line_breaks_in_values_where_the_contract_allows_them(trial: Steps) -> None:
    trial.drop("huomautukset.csv", 'number;remark\n1;"ensimmäinen\n\ntoinen"\n2;"a ""b"""\n3;x\n')
    trial.load("trial.remarks")
    trial.assert_accounted("trial.remarks", current=[(1, "ensimmäinen\n\ntoinen"), (2, 'a "b"'), (3, "x")], extracted=3)
