"""The city's own expectation types judge as the standards say."""

import random

import pytest
from stdnum.fi import ytunnus

from citydata.suite import Runner
from tests.integration.audit.test_silent_passes import check


@pytest.fixture
def broken(platform):
    """A function that gives the values of a column that a check counts as unexpected, by its own condition."""
    with Runner() as runner:

        def judge(one, values, columns="value text, other text"):
            runner.connection.execute("DROP TABLE IF EXISTS things")
            runner.connection.execute(f"CREATE TEMPORARY TABLE things ({columns})")
            with runner.connection.cursor() as cursor:
                row = "(%s)" if not isinstance(values[0], tuple) else "(%s, %s)"
                cursor.executemany(
                    f"INSERT INTO things VALUES {row}", [v if isinstance(v, tuple) else (v,) for v in values]
                )
            [verdict] = runner.run((one,), "things", {})
            assert verdict.error is None
            found = [row[0] for row in runner.connection.execute(f"SELECT value FROM things WHERE {verdict.condition}")]
            assert len(found) == verdict.unexpected
            return found

        judge.connection = runner.connection
        yield judge


def test_business_ids_agree_with_python_stdnum(broken):
    chance = random.Random(638)  # noqa: S311
    numbers = [f"{chance.randrange(10**7):07}-{chance.randrange(10)}" for _ in range(3000)]
    numbers += ["0109357-9", "0109357-8", "1572860-0", "0109357", "0109357-9 ", "FI01093579", "x", "", "0109357-99"]

    found = broken(check("expect_column_values_to_be_valid_business_id", column="value"), numbers)

    # stdnum takes other spellings too (FI prefix, blanks); a register writes one.
    expected = [n for n in numbers if not (len(n) == 9 and n[7:8] == "-" and ytunnus.is_valid(n))]
    assert sorted(found) == sorted(expected)
    assert 200 < len(numbers) - len(found) < 400  # one in eleven is right by chance


@pytest.mark.parametrize(
    "number",
    ["1232", "12344", "13", "1234561", "10007", "10013", "12345672", "0000 1232", "1 23453", "12345678901234567894"],
)
def test_reference_numbers_follow_weights_7_3_1_from_the_right(broken, number):
    digits = number.replace(" ", "")
    weighted = sum(int(digit) * (7, 3, 1)[place % 3] for place, digit in enumerate(reversed(digits[:-1])))
    right = 4 <= len(digits) <= 20 and (10 - weighted % 10) % 10 == int(digits[-1])

    found = broken(check("expect_column_values_to_be_valid_reference_number", column="value"), [number])

    assert found == ([] if right else [number])


def test_reference_numbers_of_the_standard(broken):
    right, wrong = ["1232", "12344", "1234561", "0000 1232"], ["1231", "123", "12a4", "", "1234567890123456789012"]

    assert broken(check("expect_column_values_to_be_valid_reference_number", column="value"), right + wrong) == wrong


def test_the_flag_of_an_identity_code(broken):
    found = broken(
        check("expect_identity_codes_to_be_valid", column="value"), [True, False, None], "value boolean, other text"
    )

    assert found == [False]


def test_pricing_codes_by_agreement(broken):
    right = [("01ASI040", "KVTES"), ("4 03 04 01 2", "OVTES"), ("40304012", "OVTES"), ("L1TK6200", "LS")]
    wrong = [("01ASI04", "KVTES"), ("40304012", "KVTES"), ("01ASI040", "OVTES"), ("L1", "LS"), ("1", None)]

    found = broken(
        check("expect_column_values_to_be_pricing_codes", column="value", agreement_column="other"), right + wrong
    )

    assert found == [code for code, _ in wrong]


def test_accounts_and_their_names_in_the_chart(broken):
    broken.connection.execute("CREATE TEMPORARY TABLE current_finance__accounts (account text, name text)")
    broken.connection.execute("INSERT INTO current_finance__accounts VALUES ('4340', 'Asiantuntijapalvelut')")
    rows = [("4340", "Asiantuntijapalvelut"), ("4340", "Muu"), ("9999", "Asiantuntijapalvelut")]

    kind = "expect_column_values_to_be_in_chart_of_accounts"
    assert broken(check(kind, column="value"), rows) == ["9999"]
    assert broken(check(kind, column="value", name_column="other"), rows) == ["4340", "9999"]


def test_postal_codes(broken):
    right, wrong = ["00100", "06100", "99999"], ["00000", "0610", "061000", "6100 ", "KOKO", "FI-06100", ""]
    kind = "expect_column_values_to_be_postal_codes"

    assert broken(check(kind, column="value"), [*right, *wrong, None]) == wrong
    assert broken(check(kind, column="value", totals=["KOKO"]), [*right, "KOKO", "koko"]) == ["koko"]


def test_municipality_codes_are_those_of_the_classification(broken):
    broken.connection.execute("CREATE TEMPORARY TABLE current_statistics__municipalities (municipality smallint)")
    broken.connection.execute("INSERT INTO current_statistics__municipalities VALUES (20), (91), (992), (NULL)")
    right, wrong = ["020", "091", "992"], ["20", "91", "999", "0091", ""]

    one = check("expect_column_values_to_be_municipality_codes", column="value")
    assert broken(one, [*right, *wrong, None]) == wrong


def test_values_known_in_another_dataset(broken):
    broken.connection.execute("CREATE TEMPORARY TABLE current_hr__people (person_number text)")
    broken.connection.execute("INSERT INTO current_hr__people VALUES ('P1'), (NULL)")

    one = check(
        "expect_column_values_to_be_known_in_dataset",
        column="value",
        dataset="hr.people",
        reference_column="person_number",
    )
    assert broken(one, ["P1", "P2", None]) == ["P2"]


@pytest.mark.parametrize(
    ("kwargs", "rows", "outcome"),
    [
        ({"minimum": 1, "highest_share": 2}, 1, "pass"),
        ({"minimum": 3, "highest_share": 2}, 2, "fail"),
        ({"minimum": 1, "lowest_share": 0.5, "highest_share": 2, "reference_rows": 10}, 5, "pass"),
        ({"minimum": 1, "lowest_share": 0.5, "highest_share": 2, "reference_rows": 10}, 4, "fail"),
        ({"minimum": 1, "lowest_share": 0.5, "highest_share": 2, "reference_rows": 10}, 21, "fail"),
    ],
)
def test_row_counts(platform, kwargs, rows, outcome):
    with Runner() as runner:
        runner.connection.execute(f"CREATE TEMPORARY TABLE things AS SELECT n FROM generate_series(1, {rows}) AS n")
        [verdict] = runner.run((check("expect_row_count_to_be_plausible", **kwargs),), "things", {})

    assert (verdict.outcome, verdict.observed) == (outcome, rows)


@pytest.mark.parametrize(
    ("day", "outcome", "age"), [("2026-03-01", "pass", 1), ("2026-01-31", "fail", 30), (None, "fail", None)]
)
def test_newest_row(platform, day, outcome, age):
    with Runner() as runner:
        runner.connection.execute("CREATE TEMPORARY TABLE things AS SELECT %s::date AS day", (day,))
        one = check("expect_newest_to_be_recent", newest="day", within_days=29, observed_on="2026-03-02")
        [verdict] = runner.run((one,), "things", {})

    assert (verdict.outcome, verdict.observed, verdict.threshold) == (outcome, age, 29)


def test_values_in_use(platform):
    with Runner() as runner:
        runner.connection.execute("CREATE TEMPORARY TABLE things AS SELECT '4340' AS account")
        runner.connection.execute("CREATE TEMPORARY TABLE current_finance__purchase_invoices (account text)")
        runner.connection.execute(
            "INSERT INTO current_finance__purchase_invoices VALUES ('4340'), ('4340'), ('4500'), (NULL)"
        )
        one = check(
            "expect_values_in_use_to_be_present",
            column="account",
            dataset="finance.purchase_invoices",
            reference_column="account",
        )
        [verdict] = runner.run((one,), "things", {})

    assert (verdict.outcome, verdict.evaluated, verdict.unexpected) == ("fail", 2, 1)


def test_permanent_building_ids_have_the_remainder_of_31_as_their_check_character(broken):
    alphabet = "0123456789ABCDEFHJKLMNPRSTUVWXY"
    chance = random.Random(638)  # noqa: S311
    right = [f"{number:09d}{alphabet[number % 31]}" for number in (chance.randrange(10**9) for _ in range(300))]
    right += ["103515074X", "1234567892"]
    wrong = [one[:-1] + alphabet[(alphabet.index(one[-1]) + 1) % 31] for one in right]
    wrong += ["103515074x", "103515074", "103515074X ", "10351507 4X", "", "103515074I", "1035150749X", "x"]

    found = broken(check("expect_column_values_to_be_valid_permanent_building_id", column="value"), right + wrong)

    assert found == wrong


def test_property_ids_in_both_forms(broken):
    right = ["63845900130022", "63800100230004", "638-1-23-4", "91-436-5-12", "638-1-23-4-M601", "63800100230004M0601"]
    wrong = [
        "6380010023000",
        "638001002300044",
        "638-1-23",
        "00000100230004",
        "0-1-2-3",
        "638 1 23 4",
        "",
        "638-1-23-4-5",
    ]

    assert broken(check("expect_column_values_to_be_valid_property_ids", column="value"), right + wrong) == wrong
