"""Proposals of renames: the right pairs or none, whatever a table's columns are called and wherever they stand."""

import string
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from citydata import contract
from citydata.source_change import adoption, renames
from citydata.source_change.difference import Difference, Seen
from citydata.source_change.renames import Evidence, Match, Rename

titles = st.text(alphabet=string.ascii_lowercase + "åäö _", min_size=1, max_size=12)


@st.composite
def renamed_tables(draw: st.DrawFn) -> tuple[dict[str, list[int]], dict[str, str], list[str]]:
    """Columns with different values, a new title for each of some, and the order in which the titles come."""
    width, height = draw(st.integers(1, 6)), draw(st.integers(0, 8))
    names = draw(st.lists(titles, min_size=2 * width, max_size=2 * width, unique=True))
    old, new = names[:width], names[width:]
    values = {name: [100 * place + row for row in range(height)] for place, name in enumerate(old)}
    called = {name: title for name, title in zip(old, new, strict=True) if draw(st.booleans())}
    return values, called, draw(st.permutations([called.get(name, name) for name in old]))


def evidence(
    values: dict[str, list[int]], called: dict[str, str], order: list[str], *, keyed: bool, changed: int = 0
) -> dict[tuple[str, str], Evidence]:
    """What the comparison finds of the table, of which the first `changed` rows have other values now."""
    was = {title: name for name, title in called.items()}
    found = {}
    for place, name in enumerate(values):
        if name not in called:
            continue
        before = dict(enumerate(values[name]))
        for title in was:
            now = [value + 1000 * (row < changed) for row, value in enumerate(values[was[title]])]
            match = renames.by_key(before, dict(enumerate(now))) if keyed else renames.by_value(before.values(), now)
            fit = 1.0 if now else None
            found[name, title] = Evidence(renames.alike(title, [name]), order.index(title) == place, fit, match)
    return found


@given(renamed_tables(), st.booleans(), st.integers(0, 2))
@settings(max_examples=300, deadline=None)
def test_what_is_proposed_is_right_and_no_side_comes_twice(
    table: tuple[dict[str, list[int]], dict[str, str], list[str]], keyed: bool, changed: int
) -> None:
    values, called, order = table
    rows = max(map(len, values.values()), default=0)
    proposed = renames.propose(evidence(values, called, order, keyed=keyed, changed=min(changed, rows)))
    assert max(Counter(one.column for one in proposed).values(), default=0) <= 1
    assert max(Counter(one.title for one in proposed).values(), default=0) <= 1
    if rows - changed >= renames.LEAST_ROWS:
        assert all(called[one.column] == one.title for one in proposed)


@given(renamed_tables())
@example(({"a": [0, 1, 2, 3, 4, 5], "b": [100, 101, 102, 103, 104, 105]}, {"a": "x", "b": "y"}, ["y", "x"]))
@settings(max_examples=200, deadline=None)
def test_with_rows_to_compare_every_rename_of_a_resembling_title_is_found(
    table: tuple[dict[str, list[int]], dict[str, str], list[str]],
) -> None:
    values, called, _ = table
    values = {name: [1000 * place + row for row in range(10)] for place, name in enumerate(values)}
    called = {name: f"{name} 2026" for name in called}
    order = [called.get(name, name) for name in values]
    if len(set(order) | set(values)) < len(values) + len(called):
        return  # a new title is another column's old one
    proposed = renames.propose(evidence(values, called, order, keyed=True))
    assert {one.column: one.title for one in proposed} == called


def test_two_columns_with_the_same_values_are_left_to_a_person() -> None:
    same = Match(1.0, 50, "key")
    pairs = {("gross", title): Evidence(0.5, False, 1.0, same) for title in ("summa", "yhteensä")}
    assert renames.propose(pairs) == []
    pairs["gross", "summa"] = Evidence(0.95, True, 1.0, same)
    assert [one.title for one in renames.propose(pairs)] == ["summa"]


def test_values_that_the_contract_does_not_allow_rule_a_title_out_whatever_it_is_called() -> None:
    assert renames.propose({("date", "date"): Evidence(1.0, True, 0.5, None)}) == []
    assert renames.propose({("date", "day"): Evidence(1.0, True, 1.0, Match(0.0, 50, "key"))}) == []


def test_without_rows_only_a_title_that_resembles_is_proposed() -> None:
    def proposed(column: str, title: str) -> bool:
        return bool(renames.propose({(column, title): Evidence(renames.alike(title, [column]), True, None, None)}))

    assert proposed("Toimittajan nimi", "TOIMITTAJAN_NIMI")
    assert proposed("Tilin nimi", "Tilin nimike")
    assert not proposed("Tilin nimi", "Lisätieto")


def test_one_value_everywhere_says_little() -> None:
    before, now = dict.fromkeys(range(20), True), dict.fromkeys(range(20), True)
    constant, telling = renames.by_key(before, now), renames.by_key(before, now | {0: False})
    assert constant
    assert telling
    assert not constant.telling
    assert telling.telling
    assert Evidence(0.0, False, 1.0, constant).score < renames.LEAST_SCORE <= Evidence(0.0, False, 1.0, telling).score


def test_a_rename_without_evidence_of_values_is_only_taken_when_it_is_said() -> None:
    entry = contract.load("finance.accounts")
    column = next(column for column in entry.columns if not column.key)
    exchanged = renames.by_value(["k", "e"] * 20, ["e", "k"] * 20)
    weak, sure = (Evidence(1.0, True, 1.0, match) for match in (exchanged, Match(1.0, 50, "key")))
    assert (exchanged, weak.by_values, sure.by_values) == (None, False, True)
    assert "only --rename takes it" in weak.reason
    for evidence, taken in ((weak, False), (sure, True)):
        rename = Rename(column.name, "Selite", evidence)
        found = Difference(
            entry, Seen("x", ["Selite"], lambda: iter(())), 40, (column.name,), ("Selite",), (), (rename,), (), ()
        )
        assert adoption.plan(found, renames=[rename], uses=lambda _: []).renames == (rename,)
        if taken:
            assert adoption.plan(found, accept=True, uses=lambda _: []).renames == (rename,)
        else:
            with pytest.raises(adoption.AdoptionError, match=f"column {column.name}: --rename"):
                adoption.plan(found, accept=True, uses=lambda _: [])


def test_reasons_hold_shares_and_no_values() -> None:
    match = renames.by_key({1: "Virtanen", 2: "Korhonen", 3: "Nieminen"}, {1: "Virtanen", 2: "Korhonen", 3: "Lehto"})
    reason = Evidence(0.4, True, 1.0, match).reason
    assert "67% of 3 rows with the same key" in reason
    assert not any(name in reason for name in ("Virtanen", "Korhonen", "Nieminen", "Lehto"))
