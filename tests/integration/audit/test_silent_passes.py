"""What Great Expectations passes without looking never counts as a pass here."""

import logging

import pytest

from citydata import suite
from citydata.suite import Check, Runner


def check(kind, skip=False, **kwargs):
    return Check(
        id=f"test.{kind}",
        dimension="correctness",
        severity="critical",
        description="A rule.",
        canary={},
        skip_when_nothing_to_judge=skip,
        type=kind,
        kwargs=kwargs,
    )


CHECKS = (
    check("expect_column_values_to_not_be_null", column="name"),
    check("expect_column_values_to_be_unique", column="name"),
    check("expect_column_values_to_match_regex", column="name", regex="^a"),
    check("expect_column_values_to_be_in_set", column="name", value_set=["a"]),
    check("expect_rows_to_satisfy", rule="name = 'a'", when="name is not null"),
    check("expect_one_value_per_group", column="name", value_column="number"),
    check("expect_column_distinct_values_to_contain_set", column="name", value_set=[]),
    check("expect_newest_to_be_recent", newest="day", within_days=1, observed_on="2026-03-02"),
    check("expect_row_count_to_be_plausible", minimum=1, highest_share=2),
)


@pytest.fixture
def runner(platform):
    with Runner() as runner:
        runner.connection.execute("CREATE TEMPORARY TABLE things (name text, number integer, day date)")
        yield runner


def judged(runner, *checks):
    return {verdict.check.type: verdict for verdict in runner.run(checks, "things", {})}


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.type)
def test_an_empty_table_does_not_pass(runner, one):
    [verdict] = runner.run((one,), "things", {})

    assert (verdict.outcome, verdict.evaluated) == ("fail", 0)


@pytest.mark.parametrize("one", CHECKS[2:6], ids=lambda one: one.type)
def test_an_all_null_column_does_not_pass(runner, one):
    runner.connection.execute("INSERT INTO things SELECT NULL, 1, NULL FROM generate_series(1, 5)")

    [verdict] = runner.run((one,), "things", {})

    assert (verdict.outcome, verdict.evaluated, verdict.unexpected) == ("fail", 0, 0)


def test_nothing_to_judge_is_neither_pass_nor_fail_where_the_suite_says_so(runner):
    runner.connection.execute("INSERT INTO things VALUES (NULL, 1, NULL)")

    regex = check("expect_column_values_to_match_regex", skip=True, column="name", regex="^a")
    assert judged(runner, regex)[regex.type].outcome == "skip"


def test_counts_are_those_of_the_rows_judged(runner):
    runner.connection.execute("INSERT INTO things VALUES ('a', 1), ('b', 2), ('b', 3), (NULL, 4)")

    found = {kind: (v.outcome, v.evaluated, v.unexpected) for kind, v in judged(runner, *CHECKS[:6]).items()}

    assert found == {
        "expect_column_values_to_not_be_null": ("fail", 4, 1),
        "expect_column_values_to_be_unique": ("fail", 3, 2),
        "expect_column_values_to_match_regex": ("fail", 3, 2),
        "expect_column_values_to_be_in_set": ("fail", 3, 2),
        "expect_rows_to_satisfy": ("fail", 3, 2),
        "expect_one_value_per_group": ("fail", 3, 2),
    }


def test_a_rule_that_is_unknown_for_a_row_is_not_satisfied(runner):
    runner.connection.execute("INSERT INTO things VALUES ('a', NULL)")

    assert judged(runner, check("expect_rows_to_satisfy", rule="number > 0"))["expect_rows_to_satisfy"].unexpected == 1


def test_an_error_is_not_a_failure_and_does_not_take_other_checks_with_it(runner):
    runner.connection.execute("INSERT INTO things VALUES ('a', 0)")

    found = judged(
        runner,
        check("expect_rows_to_satisfy", rule="1 / number > 0"),
        check("expect_column_values_to_match_regex", column="name", regex="^a"),
        check("expect_column_values_to_be_in_set", column="gone", value_set=["a"]),
    )

    assert {kind: verdict.outcome for kind, verdict in found.items()} == {
        "expect_rows_to_satisfy": "error",
        "expect_column_values_to_match_regex": "pass",
        "expect_column_values_to_be_in_set": "error",
    }
    assert found["expect_rows_to_satisfy"].error == "division by zero"


def test_errors_and_logs_hold_no_value(runner, caplog, capsys):
    runner.connection.execute("INSERT INTO things VALUES ('Salainen Nimi', 0)")

    with caplog.at_level(logging.DEBUG):
        [verdict] = runner.run((check("expect_rows_to_satisfy", rule="name::integer > 0"),), "things", {})

    assert verdict.error == "invalid input syntax for type integer"
    output = capsys.readouterr()
    assert "Salainen" not in caplog.text + output.out + output.err


def test_a_statement_that_was_cancelled_is_not_logged_with_its_values(runner, caplog, capsys):
    runner.connection.execute("INSERT INTO things VALUES ('a', 0)")
    runner.connection.execute("SET statement_timeout = '20ms'")
    slow = check("expect_rows_to_satisfy", rule="pg_sleep(9) is null and name = :who", parameters={"who": "Salainen"})

    with caplog.at_level(logging.DEBUG):
        [verdict] = runner.run((slow,), "things", {})

    assert verdict.error == "canceling statement due to statement timeout"
    output = capsys.readouterr()
    assert "Salainen" not in caplog.text + output.out + output.err


def test_the_condition_of_an_expectation_finds_the_rows_that_it_counted(runner):
    runner.connection.execute("INSERT INTO things VALUES ('a', 1), ('b', 2), ('50%', 3), (NULL, 4)")

    for one in (*CHECKS[2:5], check("expect_column_values_to_match_regex", column="name", regex="^(?!50%)[^:]")):
        [verdict] = runner.run((one,), "things", {})
        found = runner.connection.execute(f"SELECT count(*) FROM things WHERE {verdict.condition}").fetchone()
        assert found == (verdict.unexpected,)
        assert verdict.unexpected > 0


def test_all_checks_of_a_suite_cost_one_scan(runner):
    runner.connection.execute("INSERT INTO things VALUES ('a', 1, '2026-03-02')")
    statements = []
    suite.sa.event.listen(runner._engine.engine, "before_cursor_execute", lambda *event: statements.append(event[2]))

    judged(runner, *CHECKS[2:6], *CHECKS[7:])

    scans = [text for text in statements if "FROM things" in text]
    assert [text.split(",")[0].split("\n")[0] for text in scans if text.startswith("SELECT count(*)")] == [
        'SELECT count(*) AS "table.row_count" '
    ]
    assert len(scans) == 2
