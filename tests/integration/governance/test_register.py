"""The register in PostgreSQL: what held when, what was known when, what counts on until somebody decides, and nothing is undone."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citydata import database
from citydata.connector_options import Strict
from citydata.governance import inventory, register
from citydata.governance.inventory import KINDS, Change, Dataset, Inventory, Reconciliation, System
from citydata.governance.register import Register
from tests.integration.governance.conftest import as_role, at_once, forget
from tests.unit.governance import cases

Connection = psycopg.Connection[Any]
LONG_AGO = date(1990, 1, 1)
FEW = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def day(number: int) -> date:
    """A day of June 2026, before the first for numbers below 1."""
    return date(2026, 5, 31) + timedelta(days=number)


def change(kind: Any, *, before: Iterable[str] = (), after: Iterable[str] = (), on: int = 1, by: str = "") -> Change:
    """A change of what is counted, decided by the officer."""
    return Change(
        kind=kind, before=list(before), after=list(after), on=day(on), approver=by or cases.OFFICER, document="1/2026",
        note_fi="Päätös.",
    )  # fmt: skip


def town(*datasets: Dataset, **changes: Any) -> Inventory:
    """The town of the unit tests, by default with its two datasets."""
    return cases.inventory(*datasets, **changes)


def without(of: Inventory, kind: str, name: str) -> Inventory:
    """The inventory after an entry left its files."""
    return replace(of, **{kind: {key: entry for key, entry in getattr(of, kind).items() if key != name}})


def known(connection: Connection, files: Inventory, number: int) -> Register:
    """What a measurement of the day sees."""
    return register.compared(register.read(connection, day(number)), files)


def now(connection: Connection) -> datetime:
    """A moment between two records."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row
    return row[0]  # type: ignore[no-any-return]


def versions(connection: Connection) -> list[tuple[Any, ...]]:
    """Every row, as it stands."""
    return connection.execute(
        "SELECT version_id, kind, id, body, origin, valid_from::text, valid_to::text, recorded_at, superseded_at::text"
        " FROM governance.register ORDER BY version_id"
    ).fetchall()


def content(of: Inventory) -> dict[str, Any]:
    """All entries by kind; decisions have no order."""
    found = {kind: getattr(of, kind) for kind in KINDS}
    return {kind: value if isinstance(value, dict) else sorted(value, key=repr) for kind, value in found.items()}


# -- since when ------------------------------------------------------------------------------------------------------


def test_what_the_first_inventory_lists_was_so_before_it(measurer: Connection) -> None:
    first = town()
    changes = register.bring(measurer, first, day(3))
    assert len(changes) == sum(len(getattr(first, kind)) for kind in KINDS)
    assert all(line.endswith(": new") for line in changes)
    for today in (LONG_AGO, day(2), day(3), day(400)):
        found = register.read(measurer, today)
        assert content(found.inventory) == content(first)
        assert (found.vanished, found.unlogged, found.found) == (frozenset(), frozenset(), ())


def test_what_says_itself_since_when_holds_since_then(measurer: Connection) -> None:
    old = System(
        id="old", name_fi="Vanha", name_sv="Gammal", kind="application", sector="concern", criticality="ordinary",
        valid_from=date(2004, 1, 1),
    )  # fmt: skip
    base = town()
    added = change("added", after=[cases.UNLOADED], on=-40)
    register.bring(measurer, replace(base, systems={**base.systems, "old": old}, changes=(added,)), day(1))
    assert "old" not in register.read(measurer, date(2003, 12, 31)).inventory.systems
    assert "old" in register.read(measurer, date(2004, 1, 1)).inventory.systems
    assert set(register.read(measurer, day(-41)).inventory.datasets) == {cases.LOADED}
    assert set(register.read(measurer, day(-40)).inventory.datasets) == {cases.LOADED, cases.UNLOADED}


def test_the_same_inventory_again_records_nothing(measurer: Connection) -> None:
    register.bring(measurer, town(), day(1))
    before = versions(measurer)
    for number in (1, 2, 40):
        assert register.bring(measurer, town(), day(number)) == []
    assert versions(measurer) == before


def test_a_changed_entry_holds_from_today_on(measurer: Connection) -> None:
    register.bring(measurer, town(), day(1))
    first_known = now(measurer)
    for number, name in ((5, "Toinen"), (5, "Kolmas"), (8, "Neljäs")):
        changed = town(cases.dataset(name_fi=name), cases.unloaded())
        assert register.bring(measurer, changed, day(number)) == [f"datasets {cases.LOADED}: changed"]

    def name_of(number: int, known_at: datetime | None = None) -> str | None:
        return register.read(measurer, day(number), known_at).inventory.datasets[cases.LOADED].name_fi

    first = cases.dataset().name_fi
    assert [name_of(number) for number in (-9000, 4, 5, 7, 8, 900)] == [first] * 2 + ["Kolmas"] * 2 + ["Neljäs"] * 2
    assert {name_of(number, first_known) for number in (-9000, 4, 5, 7, 8, 900)} == {first}


def test_before_anything_was_recorded_nothing_was_known(measurer: Connection) -> None:
    before = now(measurer)
    register.bring(measurer, town(), day(1))
    assert content(register.read(measurer, day(1), before).inventory) == content(Inventory())


def test_the_register_is_whole_at_every_moment(measurer: Connection) -> None:
    """Nobody can ask for a moment between the end of one version and the beginning of the next."""
    renamed = {name: cases.person(name, title_fi="Uusi nimike") for name in cases.EMPLOYEES}
    fewer = without(town(people=renamed), "people", cases.STEWARD)
    states = [
        town(),
        town(people=renamed),
        fewer,
        town(cases.dataset(name_fi="Uusi"), cases.unloaded(), people=renamed),
    ]
    for state in states:
        register.bring(measurer, state, day(1))
    moments = [row[0] for row in measurer.execute(
        "SELECT DISTINCT recorded_at FROM governance.register UNION"
        " SELECT superseded_at FROM governance.register WHERE superseded_at <> 'infinity' ORDER BY 1"
    )]  # fmt: skip
    assert len(moments) == len(states)
    for moment, state in zip(moments, states, strict=True):
        assert content(register.read(measurer, day(1), moment).inventory) == content(state)


# -- a plain model of the past ---------------------------------------------------------------------------------------


Step = tuple[int, list[str], list[str], int]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        st.lists(st.sampled_from([cases.OWNER, cases.OTHER]), unique=True),
        st.integers(0, 1),
    ),
    min_size=2,
    max_size=6,
)
GRID = range(-1, 16)


@FEW
@given(steps=STEPS)
def test_any_history_reads_as_it_was_known(measurer: Connection, steps: list[Step]) -> None:
    """Datasets stay when they vanish, people end, yesterday never changes, and every reading can be had again."""
    forget()
    held: dict[int, tuple[dict[str, Dataset], set[str]]] = {}
    readings: list[tuple[datetime, int, Any]] = []
    number = 1
    for position, (later, names, people, variant) in enumerate(steps):
        number += later
        files = Inventory(
            datasets={name: cases.dataset(id=name, name_fi=f"{name} {variant}") for name in names},
            people={name: cases.person(name) for name in [cases.OFFICER, *people]},
        )
        register.bring(measurer, files, day(number))
        before = held.get(number - later, ({}, set()))[0]
        current = ({**before, **files.datasets}, set(files.people))
        for when in GRID:
            if position == 0 or when >= number:
                held[when] = current
        moment = now(measurer)
        for when in GRID:
            found = register.read(measurer, day(when)).inventory
            assert (dict(found.datasets), set(found.people)) == held[when]
            readings.append((moment, when, content(found)))
    for moment, when, expected in readings:
        assert content(register.read(measurer, day(when), moment).inventory) == expected


# -- what vanishes and what comes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [("datasets", cases.UNLOADED), ("systems", "case_management")])
def test_what_vanishes_without_a_decision_stays_and_is_marked(measurer: Connection, kind: str, name: str) -> None:
    register.bring(measurer, town(), day(1))
    files = without(town(), kind, name)
    for number in (2, 3):
        assert register.bring(measurer, files, day(number)) == []
        found = known(measurer, files, number)
        assert found.vanished == {name}
        assert getattr(found.inventory, kind)[name] == getattr(town(), kind)[name]
    assert known(measurer, town(), 3).vanished == frozenset()  # it is back


@pytest.mark.parametrize("decision", ["removed", "merged", "split"])
@pytest.mark.parametrize(("kind", "name"), [("datasets", cases.UNLOADED), ("systems", "case_management")])
def test_an_officer_s_logged_change_ends_it(measurer: Connection, kind: str, name: str, decision: str) -> None:
    register.bring(measurer, town(), day(1))
    files = without(town(changes=(change(decision, before=[name], on=3),)), kind, name)
    assert not [line for line in register.bring(measurer, files, day(2)) if line.startswith(kind)]  # on a later day
    assert known(measurer, files, 2).vanished == {name}
    assert register.bring(measurer, files, day(4)) == [f"{kind} {name}: ended"]
    assert name in getattr(register.read(measurer, day(3)).inventory, kind)
    assert name not in getattr(known(measurer, files, 4).inventory, kind)
    assert known(measurer, files, 4).vanished == frozenset()
    assert register.bring(measurer, files, day(5)) == []


DECIDED_OTHERWISE: dict[str, tuple[Change, ...]] = {
    "by somebody who is no officer": (change("removed", before=[cases.UNLOADED], by=cases.OTHER),),
    "about another one": (change("removed", before=[cases.LOADED]),),
    "that it was added": (change("added", after=[cases.UNLOADED]),),
    "that it came of a split": (change("split", before=["entinen"], after=[cases.UNLOADED, "muu"]),),
    "that it came of a merger": (change("merged", before=["entinen", "muu"], after=[cases.UNLOADED]),),
    "that it stays after a split": (change("split", before=[cases.UNLOADED], after=[cases.UNLOADED, "muu"]),),
    "before it came back": (
        change("removed", before=[cases.UNLOADED], on=-9), change("added", after=[cases.UNLOADED], on=-5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("changes", DECIDED_OTHERWISE.values(), ids=DECIDED_OTHERWISE)
def test_other_decisions_end_nothing(measurer: Connection, changes: tuple[Change, ...]) -> None:
    register.bring(measurer, town(changes=changes), day(1))
    files = without(town(changes=changes), "datasets", cases.UNLOADED)
    assert register.bring(measurer, files, day(2)) == []
    assert known(measurer, files, 2).vanished == {cases.UNLOADED}


@pytest.mark.parametrize("role", ["owner", "steward"])
def test_who_answers_for_a_dataset_does_not_end_it(measurer: Connection, role: str) -> None:
    own = town(cases.dataset(), cases.unloaded(**{role: cases.OFFICER}))
    register.bring(measurer, own, day(1))
    files = without(replace(own, changes=(change("removed", before=[cases.UNLOADED]),)), "datasets", cases.UNLOADED)
    register.bring(measurer, files, day(2))
    assert known(measurer, files, 2).vanished == {cases.UNLOADED}


def test_people_and_decisions_that_vanish_end(measurer: Connection) -> None:
    waiver = cases.waiver("C5")
    full = town(not_applicable=(waiver,))
    register.bring(measurer, full, day(1))
    files = without(replace(full, not_applicable=()), "people", cases.OTHER)
    ended = register.bring(measurer, files, day(2))
    assert f"people {cases.OTHER}: ended" in ended
    assert len(ended) == 2
    yesterday, today = register.read(measurer, day(1)).inventory, known(measurer, files, 2)
    assert (cases.OTHER in yesterday.people, yesterday.not_applicable) == (True, (waiver,))
    assert (cases.OTHER in today.inventory.people, today.inventory.not_applicable) == (False, ())
    assert today.vanished == frozenset()


def test_what_comes_later_without_a_decision_is_told(measurer: Connection) -> None:
    register.bring(measurer, town(cases.dataset()), day(1))
    assert register.bring(measurer, town(), day(2)) == [
        f"datasets {cases.UNLOADED}: new", f"access_reviews {cases.inventory().access_reviews['kevat_2026'].id}: changed",
    ]  # fmt: skip
    assert known(measurer, town(), 2).unlogged == {cases.UNLOADED}
    assert known(measurer, town(), 90).unlogged == {cases.UNLOADED}  # it does not expire
    assert cases.UNLOADED not in register.read(measurer, day(1)).inventory.datasets
    for reason in (
        change("added", after=[cases.UNLOADED], by=cases.OTHER),
        change("removed", before=[cases.UNLOADED]),
        change("split", before=[cases.UNLOADED], after=["muu"]),
        change("merged", before=[cases.UNLOADED, "muu"], after=["yhteinen"]),
    ):
        files = town(changes=(reason,))
        register.bring(measurer, files, day(3))
        assert known(measurer, files, 3).unlogged == {cases.UNLOADED}
    files = town(changes=(change("added", after=[cases.UNLOADED], on=4),))  # decided afterwards
    register.bring(measurer, files, day(3))
    assert known(measurer, files, 3).unlogged == {cases.UNLOADED}
    assert known(measurer, files, 4).unlogged == frozenset()


def test_a_find_before_the_first_inventory_makes_nothing_late(measurer: Connection) -> None:
    register.note_finds(measurer, {"files:.": now(measurer)}, set(), day(1))
    register.bring(measurer, town(), day(1))
    assert known(measurer, town(), 1).unlogged == frozenset()


def test_what_changed_often_has_not_come_back(measurer: Connection) -> None:
    """Versions that were superseded leave no gap, on one day or on several."""
    register.bring(measurer, town(), day(1))
    for number in (5, 5, 6, 3, 9):  # a clock may go back
        register.bring(measurer, town(cases.dataset(name_fi=f"Nimi {number}"), cases.unloaded()), day(number))
    assert known(measurer, town(), 9).unlogged == frozenset()


def test_what_comes_before_the_day_of_its_decision_holds_from_today(measurer: Connection) -> None:
    register.bring(measurer, town(cases.dataset()), day(1))
    files = town(changes=(change("added", after=[cases.UNLOADED], on=9),))
    register.bring(measurer, files, day(3))
    assert [known(measurer, files, number).unlogged for number in (3, 8, 9)] == [{cases.UNLOADED}] * 2 + [frozenset()]


@pytest.mark.parametrize("kind", ["added", "split", "merged"])
def test_what_comes_by_a_decision_holds_from_its_day(measurer: Connection, kind: str) -> None:
    register.bring(measurer, town(cases.dataset()), day(1))
    files = town(changes=(change(kind, before=["entinen"], after=[cases.UNLOADED], on=3),))
    register.bring(measurer, files, day(5))
    assert known(measurer, files, 5).unlogged == frozenset()
    assert cases.UNLOADED not in register.read(measurer, day(2)).inventory.datasets
    assert cases.UNLOADED in register.read(measurer, day(3)).inventory.datasets


def test_a_new_id_without_a_decision_is_one_that_vanished_and_one_that_nobody_decided(measurer: Connection) -> None:
    register.bring(measurer, town(), day(1))
    files = town(cases.dataset(), cases.unloaded(id="uusi_nimi"))
    register.bring(measurer, files, day(2))
    found = known(measurer, files, 2)
    assert (found.vanished, found.unlogged) == ({cases.UNLOADED}, {"uusi_nimi"})
    assert set(found.inventory.datasets) == {cases.LOADED, cases.UNLOADED, "uusi_nimi"}


def test_what_ended_and_comes_back_was_not_there_meanwhile(measurer: Connection) -> None:
    """An old decision that it came does not cover its return, nor is the past written anew."""
    came, went = change("added", after=[cases.UNLOADED], on=-9), change("removed", before=[cases.UNLOADED], on=2)
    register.bring(measurer, town(changes=(came,)), day(1))
    register.bring(measurer, without(town(changes=(came, went)), "datasets", cases.UNLOADED), day(2))
    files = town(changes=(came, went))
    register.bring(measurer, files, day(6))
    there = [
        cases.UNLOADED in register.read(measurer, day(number)).inventory.datasets for number in (-10, -9, 1, 2, 5, 6)
    ]
    assert there == [False, True, True, False, False, True]
    assert known(measurer, files, 6).unlogged == {cases.UNLOADED}
    files = town(changes=(came, went, change("added", after=[cases.UNLOADED], on=7)))
    register.bring(measurer, files, day(7))
    assert known(measurer, files, 7).unlogged == frozenset()


def _planned(since: int) -> Inventory:
    base = town()
    system = base.systems["erp"].model_copy(update={"id": "next", "valid_from": day(since)})
    return replace(base, systems={**base.systems, "next": system})


def test_what_begins_on_a_later_day_is_recorded_once(measurer: Connection) -> None:
    register.bring(measurer, _planned(9), day(1))
    before = versions(measurer)
    assert register.bring(measurer, _planned(9), day(2)) == []
    assert versions(measurer) == before
    assert [("next" in register.read(measurer, day(number)).inventory.systems) for number in (2, 8, 9)] == [
        False, False, True,
    ]  # fmt: skip


def test_a_plan_may_move_and_be_given_up(measurer: Connection) -> None:
    register.bring(measurer, _planned(5), day(1))
    assert register.bring(measurer, _planned(9), day(2)) == ["systems next: new"]
    there = [("next" in register.read(measurer, day(number)).inventory.systems) for number in (4, 5, 8, 9)]
    assert there == [False, False, False, True]
    assert register.bring(measurer, town(), day(3)) == ["systems next: no longer planned"]
    assert "next" not in register.read(measurer, day(9)).inventory.systems
    register.bring(measurer, _planned(5), day(4))
    assert register.bring(measurer, town(), day(6)) == []  # it has begun: somebody has to decide
    assert known(measurer, town(), 6).vanished == {"next"}


# -- through JSON ----------------------------------------------------------------------------------------------------


def test_the_town_s_inventory_survives_the_round_trip(measurer: Connection) -> None:
    files = inventory.load()
    assert all(getattr(files, kind) for kind in KINDS)
    register.bring(measurer, files, day(1))
    assert register.bring(measurer, files, day(2)) == []
    found = known(measurer, files, 2)
    assert content(found.inventory) == content(files)
    assert found.inventory.reconciliation == files.reconciliation
    assert (found.vanished, found.unlogged) == (frozenset(), frozenset())


def test_where_to_look_is_what_the_files_say_now(measurer: Connection) -> None:
    register.bring(measurer, town(), day(1))
    files = town(reconciliation=Reconciliation(software_accounts=["1", "2"], months=3))
    assert known(measurer, files, 1).inventory.reconciliation == files.reconciliation


@pytest.mark.parametrize("kind", KINDS)
def test_any_entry_is_what_its_body_says(kind: str) -> None:
    model = KINDS[kind]
    codes = {"id": st.from_regex(r"\A[0-9]{2}(\.[0-9]{2}){0,3}\Z")} if kind == "task_classes" else {}
    # Where Swedish is an official language an entry without its Swedish name is none.
    codes |= {name: st.text() for name in ("name_sv", "title_sv") if name in model.model_fields}

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(entry=st.builds(model, **codes))
    def check(entry: Strict) -> None:
        assert model.model_validate(register._body(entry)) == entry

    check()


# -- nothing is undone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "assignment",
    [
        "kind = 'people'", "id = 'x'", "body = '{}'", "origin = 'reconciliation'", "valid_from = '2020-01-01'",
        "valid_to = '2100-01-01'", "recorded_at = '2020-01-01'", "superseded_at = 'infinity'",
        "superseded_at = clock_timestamp(), body = '{}'",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["owner", "measurer", None])
def test_nothing_of_a_version_changes(measurer: Connection, role: str | None, assignment: str) -> None:
    register.bring(measurer, Inventory(people={cases.OWNER: cases.person(cases.OWNER)}), day(1))
    before = versions(measurer)
    with as_role(role) as connection, pytest.raises(psycopg.Error, match=r"is refused|permission denied"):
        connection.execute(f"UPDATE governance.register SET {assignment}")
    assert versions(measurer) == before


@pytest.mark.parametrize("table", ["register", "attestation"])
@pytest.mark.parametrize("moment", ["clock_timestamp() - interval '1 hour'", "clock_timestamp() + interval '1 hour'"])
def test_nothing_is_recorded_at_another_time(measurer: Connection, table: str, moment: str) -> None:
    register.bring(measurer, Inventory(people={cases.OWNER: cases.person(cases.OWNER)}), day(1))
    names, values = {
        "register": ("kind, id, body, origin", "'datasets', 'x', '{}', 'inventory'"),
        "attestation": ("dataset, content_sha256, signed_by, signed_at, signature", "'x', 'x', 'x', now(), 'x'"),
    }[table]
    with as_role(None) as connection, pytest.raises(psycopg.Error, match="is the moment of recording"):
        connection.execute(f"INSERT INTO governance.{table} ({names}, recorded_at) VALUES ({values}, {moment})")


@pytest.mark.parametrize("statement", ["DELETE FROM governance.register", "TRUNCATE governance.register"])
@pytest.mark.parametrize("role", ["owner", "measurer", None])
def test_nothing_is_taken_back(measurer: Connection, role: str | None, statement: str) -> None:
    register.bring(measurer, Inventory(people={cases.OWNER: cases.person(cases.OWNER)}), day(1))
    before = versions(measurer)
    with as_role(role) as connection, pytest.raises(psycopg.Error, match=r"append-only|permission denied"):
        connection.execute(statement)
    assert versions(measurer) == before


def test_a_version_is_superseded_once(measurer: Connection) -> None:
    register.bring(measurer, Inventory(people={cases.OWNER: cases.person(cases.OWNER)}), day(1))
    for role in ("measurer", "owner"):
        with database.connect(role, autocommit=True) as connection:
            if role == "measurer":
                connection.execute("UPDATE governance.register SET superseded_at = clock_timestamp()")
            with pytest.raises(psycopg.Error, match="superseded once"):
                connection.execute("UPDATE governance.register SET superseded_at = clock_timestamp()")


# -- two at once -----------------------------------------------------------------------------------------------------


def test_two_measurers_at_once_record_once(measurer: Connection) -> None:
    register.bring(measurer, town(), day(1))
    files = town(cases.dataset(name_fi="Uusi"), cases.unloaded(), people={**town().people, "x": cases.person("x")})
    told: list[list[str]] = []
    action = lambda own: told.append(register.bring(own, files, day(2)))  # noqa: E731
    at_once(measurer, register.REGISTER_LOCK, action, action)
    assert sorted(told, key=len) == [[], ["people x: new", f"datasets {cases.LOADED}: changed"]]
    once = measurer.execute("SELECT kind, id, count(*) FROM governance.register WHERE superseded_at = 'infinity'"
                            " AND valid_to = 'infinity' GROUP BY 1, 2 HAVING count(*) > 1").fetchall()  # fmt: skip
    assert once == []
