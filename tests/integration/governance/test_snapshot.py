"""Sealed snapshots in PostgreSQL: what was sealed is read again, any changed byte is found, and nothing is taken back."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citydata import database
from citydata.governance import share, snapshot
from citydata.governance.evidence import CRITERIA, RESULTS, Evidence
from citydata.governance.share import Judged
from citydata.governance.snapshot import GENESIS, CountedSystem, EvidenceRow, Figure, SnapshotError
from tests.integration.governance.conftest import Connection, as_role, at_once

TABLES = ("snapshot", "snapshot_dataset", "evidence", "snapshot_system")
MOMENT = datetime(2026, 6, 15, 9, 30, 0, 123456, tzinfo=UTC)


def judged(name: str, **changes: Any) -> Judged:
    """A governed dataset."""
    values: dict[str, Any] = {
        "dataset": name, "unit": name, "name_fi": "Päätöspöytäkirjat", "name_sv": "Nämndprotokoll – “Å”",
        "system": "asianhallinta", "sector": "concern", "criticality": "core", "personal_data": "none", "level": 3,
        "missing": (), "owner": "talousjohtaja", "contracts": ("finance.suppliers",), "rows": 12, "bytes": 2**40,
    }  # fmt: skip
    return Judged(**(values | changes))


def row(criterion: str = "C1", **changes: Any) -> Evidence:
    """A row of evidence."""
    values: dict[str, Any] = {
        "criterion": criterion, "result": "pass", "reason": f"{criterion}.text", "looked_at": "inventory/ä.yaml",
        "source": "906/2019 5 §", "observed_at": MOMENT, "expires_at": MOMENT + timedelta(days=365),
    }  # fmt: skip
    return Evidence(**(values | changes))


def system(name: str, **changes: Any) -> CountedSystem:
    """A mapped system of the inventory."""
    values = {"name_fi": "Järjestelmä", "name_sv": "System", "sector": "concern", "origin": "inventory", "mapped": True}
    return CountedSystem(system=name, **(values | changes))


DATASETS = [
    judged("a_päätökset"),
    judged("b", level=4, manual=True, contracts=(), rows=None, bytes=None, steward="x", unit="a, b × \\N"),
    judged("c", level=1, missing=("C3", "C8"), uncounted="vanished", owner=None, rows=0, bytes=0),
]
EVIDENCE = {
    "a_päätökset": [row(), row("C7", subject="sarake", figure=Decimal("12345678901234567890.123"), unit="h", run="7")],
    "c": [row("C3", result="unknown", figure=Decimal("0.0000000001"), threshold=Decimal("1E+30"), manual=True)],
}
SYSTEMS = [
    system("asianhallinta"),
    system("files:.", sector=None, origin="reconciliation", mapped=False, found_in="files", first_seen=MOMENT),
]


def seal(connection: Connection, **changes: Any) -> Figure:
    """Seal a snapshot of three datasets, three rows of evidence and two systems."""
    values: dict[str, Any] = {
        "taken_at": MOMENT, "as_of": MOMENT.date(), "method_version": "2026.1", "official": False, "reason": "syy",
        "run_id": None, "judged": DATASETS, "evidence": EVIDENCE, "systems": SYSTEMS,
    }  # fmt: skip
    return snapshot.seal(connection, **(values | changes))


@pytest.fixture
def three(measurer: Connection) -> list[Figure]:
    """Three snapshots, that differ."""
    return [seal(measurer, reason=f"syy {number}", run_id="ajo" if number == 2 else None) for number in (1, 2, 3)]


@pytest.fixture
def forger(measurer: Connection) -> Iterator[Connection]:
    """A superuser who has switched every trigger and constraint off; what is forged goes when the test ends."""
    with database.connect_admin() as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in TABLES:
            found = connection.execute(
                "SELECT conname FROM pg_constraint WHERE contype IN ('c', 'p', 'u') AND conrelid = %s::regclass",
                (f"governance.{table}",),
            ).fetchall()
            for (name,) in found:
                connection.execute(f"ALTER TABLE governance.{table} DROP CONSTRAINT {name} CASCADE")
        yield connection
        connection.rollback()


# -- sealing ---------------------------------------------------------------------------------------------------------


def test_snapshots_are_chained_and_hold_what_was_sealed(measurer: Connection, three: list[Figure]) -> None:
    assert [figure.snapshot_id for figure in three] == [1, 2, 3]
    assert [figure.previous_sha256 for figure in three] == [GENESIS, three[0].sha256, three[1].sha256]
    assert len({figure.sha256 for figure in three}) == 3
    assert snapshot.figures(measurer) == three[::-1]
    assert snapshot.datasets(measurer, 2) == DATASETS
    assert snapshot.systems(measurer, 2) == SYSTEMS
    assert snapshot.evidence(measurer, 2) == [
        EvidenceRow(**vars(found), dataset=name, number=number)
        for name, rows in EVIDENCE.items()
        for number, found in enumerate(rows, start=1)
    ]
    assert {found.dataset for found in snapshot.evidence(measurer, 2, "c")} == {"c"}
    assert list(snapshot.verify(measurer)) == []
    assert all(list(snapshot.verify(measurer, figure.sha256)) == [] for figure in three)


def test_the_figure_is_what_the_stored_datasets_and_systems_count_up_to(measurer: Connection) -> None:
    figure = seal(measurer)
    counts = share.count(snapshot.datasets(measurer, 1), mapped=1, unmapped=1)
    assert (figure.n, figure.m, figure.s, figure.u) == (counts.n, counts.m, counts.s, counts.u) == (2, 3, 1, 1)
    assert (figure.denominator, figure.share) == (counts.denominator, counts.share) == (6, Decimal("33.3"))
    assert (figure.upper_denominator, figure.upper_share) == (4, counts.upper_share) == (4, Decimal("50.0"))
    assert [figure.level_1, figure.level_2, figure.level_3, figure.level_4] == [2, 2, 2, 1]
    assert (figure.automatic, figure.manual) == (1, 1)
    assert (figure.text, figure.upper_text) == ("2/6 (33,3 %)", "2/4 (50,0 %)")
    with database.connect("portal") as reader:
        assert snapshot.latest(reader) == figure


def test_an_empty_town_has_no_share(measurer: Connection) -> None:
    figure = seal(measurer, judged=[], evidence={}, systems=[])
    assert (figure.denominator, figure.share, figure.upper_share) == (0, None, None)
    assert snapshot.latest(measurer) == figure
    assert list(snapshot.verify(measurer)) == []


def test_what_cannot_be_sealed_leaves_nothing(measurer: Connection) -> None:
    for changes in ({"judged": [*DATASETS, DATASETS[0]]}, {"systems": [*SYSTEMS, SYSTEMS[0]]}, {"reason": "a\0b"}):
        with pytest.raises(psycopg.Error):
            seal(measurer, **changes)
    assert snapshot.figures(measurer) == []
    assert seal(measurer).snapshot_id == 1


def test_the_newest_of_a_past_day_is_found(measurer: Connection) -> None:
    with pytest.raises(SnapshotError, match=r"no snapshot of the share yet.*citydata governance snapshot"):
        snapshot.required(measurer)
    days = [date(2026, 5, 30), date(2026, 5, 31), date(2026, 5, 31), date(2026, 6, 2)]
    sealed = [seal(measurer, as_of=day) for day in days]
    assert snapshot.required(measurer) == sealed[3]
    assert [snapshot.latest(measurer, until=date(2026, *day)) for day in ((6, 1), (5, 31), (5, 30), (5, 29))] == [
        sealed[2], sealed[2], sealed[0], None,
    ]  # fmt: skip
    assert snapshot.figures(measurer, limit=2) == sealed[:1:-1]
    with pytest.raises(SnapshotError, match="of 2026-05-29 or before"):
        snapshot.required(measurer, until=date(2026, 5, 29))


def test_two_sealing_at_once_make_two_consecutive_snapshots(measurer: Connection) -> None:
    first = seal(measurer)
    at_once(measurer, snapshot.SNAPSHOT_LOCK, *[functools.partial(seal, reason=name) for name in ("yksi", "kaksi")])
    third, second, *rest = snapshot.figures(measurer)
    assert rest == [first]
    assert (second.snapshot_id, third.snapshot_id) == (2, 3)
    assert (second.previous_sha256, third.previous_sha256) == (first.sha256, second.sha256)
    assert {second.reason, third.reason} == {"yksi", "kaksi"}
    assert list(snapshot.verify(measurer)) == []


# -- round trips -----------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ODD = st.sampled_from(["NULL", "", "\\N", '"', "{a,b}", "a,b", "\\", "\t\n\r", "Ä", "Ä"])
WORDS = st.one_of(TEXT, ODD)
COUNT = st.none() | st.integers(0, 2**63 - 1)
ZONES = st.builds(lambda hours: timezone(timedelta(hours=hours)), st.integers(-12, 14))
MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001 - timezones says it
NUMBERS = st.one_of(
    st.none(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal(text) for text in ("-0", "-0.00", "0E+9", "0E-9", "1E+40", "-1E-40", "1.50", "1" * 60)]),
)
JUDGED = st.builds(
    Judged, dataset=WORDS, unit=WORDS, name_fi=WORDS, name_sv=WORDS, system=WORDS, sector=WORDS, criticality=WORDS,
    personal_data=WORDS, level=st.integers(0, 4), missing=st.lists(WORDS, max_size=3).map(tuple), manual=st.booleans(),
    uncounted=st.none() | st.sampled_from(share.UNCOUNTED), owner=st.none() | WORDS, steward=st.none() | WORDS,
    contracts=st.lists(WORDS, max_size=3).map(tuple), rows=COUNT, bytes=COUNT,
)  # fmt: skip
ROWS = st.builds(
    Evidence, criterion=st.sampled_from(CRITERIA), result=st.sampled_from(RESULTS), reason=WORDS, looked_at=WORDS,
    source=WORDS, observed_at=MOMENTS, expires_at=MOMENTS, subject=WORDS, figure=NUMBERS, threshold=NUMBERS,
    unit=st.none() | WORDS, run=st.none() | WORDS, manual=st.booleans(),
)  # fmt: skip
FOUND = st.builds(
    CountedSystem, system=WORDS, name_fi=WORDS, name_sv=WORDS, sector=st.none() | WORDS,
    origin=st.sampled_from(["inventory", "reconciliation"]), mapped=st.booleans(), found_in=st.none() | WORDS,
    first_seen=st.none() | MOMENTS,
)  # fmt: skip


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    datasets=st.lists(JUDGED, max_size=4, unique_by=lambda entry: entry.dataset),
    evidence=st.dictionaries(WORDS, st.lists(ROWS, min_size=1, max_size=3), max_size=3),
    systems=st.lists(FOUND, max_size=3, unique_by=lambda entry: entry.system),
    header=st.fixed_dictionaries({"taken_at": MOMENTS, "reason": WORDS, "run_id": st.none() | WORDS}),
)
def test_whatever_is_sealed_is_read_again(
    measurer: Connection,
    datasets: list[Judged],
    evidence: dict[str, list[Evidence]],
    systems: list[CountedSystem],
    header: dict[str, Any],
) -> None:
    figure = seal(measurer, judged=datasets, evidence=evidence, systems=systems, **header)
    assert snapshot.latest(measurer) == figure
    of = figure.snapshot_id
    assert snapshot.datasets(measurer, of) == sorted(datasets, key=lambda entry: entry.dataset)
    assert snapshot.systems(measurer, of) == sorted(systems, key=lambda entry: entry.system)
    for name, rows in evidence.items():
        found = snapshot.evidence(measurer, of, name)
        assert found == [EvidenceRow(**vars(one), dataset=name, number=n) for n, one in enumerate(rows, start=1)]
    assert len(snapshot.evidence(measurer, of)) == sum(map(len, evidence.values()))
    assert not [line for line in snapshot.verify(measurer) if f"snapshot {of} " in line]


# -- what was changed is found ---------------------------------------------------------------------------------------

FORGED: dict[str, tuple[str, ...]] = {
    "text": ("{0} || 'x'", "''", "upper({0})", "NULL", "coalesce({0}, 'x')"),
    "ARRAY": ("array_append({0}, 'x')", "'{{}}'", "array_append({0}, '')"),
    "integer": ("{0} + 1", "0"),
    "bigint": ("{0} + 97", "NULL", "coalesce({0}, 1)"),
    "numeric": ("{0} + 0.1", "-{0}", "NULL", "coalesce({0}, 1)"),
    "boolean": ("NOT {0}",),
    "date": ("{0} + 1", "'infinity'", "'-infinity'"),
    "timestamp with time zone": ("{0} + interval '1 microsecond'", "'infinity'", "NULL", "coalesce({0}, now())"),
}
"""By type of column what a forger might write."""


def test_a_change_of_any_byte_is_found(three: list[Figure], forger: Connection) -> None:
    assert list(snapshot.verify(forger)) == []
    columns = forger.execute(
        "SELECT table_name, column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
        " WHERE table_schema = 'governance' AND table_name = ANY(%s) ORDER BY 1, ordinal_position",
        (list(TABLES),),
    ).fetchall()
    assert {table for table, *_ in columns} == set(TABLES)
    unseen = []
    for table, column, kind, nullable in columns:
        places = forger.execute(f"SELECT ctid::text, snapshot_id FROM governance.{table} ORDER BY 1").fetchall()
        forged = {of: 0 for _, of in places}
        for ctid, of in places:
            for template in FORGED[kind]:
                value = template.format(column)
                if value == "NULL" and not nullable:
                    continue
                with forger.transaction(force_rollback=True):
                    changed = forger.execute(
                        f"UPDATE governance.{table} SET {column} = {value}"
                        f" WHERE ctid = '{ctid}' AND {column} IS DISTINCT FROM {value}"
                    ).rowcount
                    if changed and not list(snapshot.verify(forger)):
                        unseen.append((table, column, template, of))
                    forged[of] += changed
        assert all(forged[figure.snapshot_id] for figure in three), f"nothing was tried on {table}.{column}"
    assert unseen == []
    assert list(snapshot.verify(forger)) == []


MOVED = {
    "a row to another snapshot": "UPDATE governance.evidence SET snapshot_id = 2, number = 9 WHERE snapshot_id = 1",
    "rows among datasets": "UPDATE governance.evidence SET dataset = CASE dataset WHEN 'c' THEN 'd' ELSE 'c' END",
    "rows in their order": "UPDATE governance.evidence SET number = 3 - number WHERE dataset <> 'c'",
    "a row away": "DELETE FROM governance.evidence WHERE snapshot_id = 3 AND dataset = 'c'",
    "a dataset away": "DELETE FROM governance.snapshot_dataset WHERE snapshot_id = 1 AND dataset = 'c'",
    "a system away": "DELETE FROM governance.snapshot_system WHERE snapshot_id = 3 AND NOT mapped",
    "a row besides": "INSERT INTO governance.evidence SELECT 3, 'b', 1, criterion, result, reason, subject, looked_at, figure,"
    " threshold, unit, source, run, manual, observed_at, expires_at FROM governance.evidence WHERE snapshot_id = 1 AND number = 2",
    "a snapshot to another number": "UPDATE governance.snapshot SET snapshot_id = 4 WHERE snapshot_id = 3",
}


@pytest.mark.parametrize("statement", MOVED.values(), ids=MOVED)
def test_what_was_moved_is_found(three: list[Figure], forger: Connection, statement: str) -> None:
    assert forger.execute(statement).rowcount
    assert list(snapshot.verify(forger))


def remove(connection: Connection, *numbers: int) -> None:
    """Take whole snapshots away."""
    for table in TABLES:
        connection.execute(f"DELETE FROM governance.{table} WHERE snapshot_id = ANY(%s)", (list(numbers),))


@pytest.mark.parametrize("number", [1, 2])
def test_a_snapshot_that_is_missing_is_found(three: list[Figure], forger: Connection, number: int) -> None:
    remove(forger, number)
    found = list(snapshot.verify(forger))
    assert f"snapshot {number} is missing: {number + 1} comes in its place" in found
    assert f"snapshot {number + 1} of 2026-06-15 does not follow the one before it: the chain is broken there" in found


@pytest.mark.parametrize("numbers", [(3,), (2, 3), (1, 2, 3)])
def test_a_chain_that_was_cut_is_found_by_a_hash_noted_earlier(
    three: list[Figure], forger: Connection, numbers: tuple[int, ...]
) -> None:
    remove(forger, *numbers)
    assert list(snapshot.verify(forger)) == []  # what is left is whole
    (line,) = snapshot.verify(forger, head=three[-1].sha256)
    assert line.startswith(f"no snapshot has the hash {three[-1].sha256[:12]}…")


def reseal(connection: Connection, figure: Figure) -> None:
    """Write a snapshot's header with the hash of its present content, as a forger does who has read this code."""
    of = figure.snapshot_id
    content = (snapshot.datasets(connection, of), snapshot.evidence(connection, of), snapshot.systems(connection, of))
    values = vars(replace(figure, sha256=snapshot._digest(figure, *content)))
    names = [name for name in values if name != "snapshot_id"]
    connection.execute(
        f"UPDATE governance.snapshot SET {', '.join(f'{name} = %({name})s' for name in names)}"
        " WHERE snapshot_id = %(snapshot_id)s",
        values,
    )


def test_what_was_sealed_anew_does_not_fit_into_the_chain(three: list[Figure], forger: Connection) -> None:
    for figure in three:
        with forger.transaction(force_rollback=True):
            reseal(forger, replace(figure, reason="toinen syy"))
            found = list(snapshot.verify(forger, head=three[-1].sha256))
            assert len(found) == 1
            assert ("does not follow" if figure is not three[-1] else "no snapshot has the hash") in found[0]


COUNTED = (
    *("n", "m", "s", "u", "denominator", "upper_denominator", "share", "upper_share", "level_1", "level_2", "level_3"),
    *("level_4", "automatic", "manual"),
)


def test_a_figure_that_is_not_of_its_datasets_is_found_though_its_hash_fits(
    three: list[Figure], forger: Connection
) -> None:
    for name in COUNTED:
        with forger.transaction(force_rollback=True):
            reseal(forger, replace(three[-1], **{name: getattr(three[-1], name) + 1}))
            (line,) = snapshot.verify(forger)
            assert line == "snapshot 3 of 2026-06-15: its figure is not what its datasets and systems count up to"


# -- what the database refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_nothing_sealed_is_changed_or_taken_back(measurer: Connection, table: str) -> None:
    seal(measurer)
    for role in ("owner", "measurer", "officer", None):
        for statement in (
            f"UPDATE governance.{table} SET snapshot_id = 1",
            f"DELETE FROM governance.{table}",
            f"TRUNCATE governance.{table} CASCADE",
        ):
            refusal = "append-only" if role in ("owner", None) else "permission denied"
            with as_role(role) as connection, pytest.raises(psycopg.Error, match=refusal):
                connection.execute(statement)
    assert list(snapshot.verify(measurer)) == []
    assert len(snapshot.evidence(measurer, 1)) == 3


@pytest.mark.parametrize("role", ["engineer", "officer", "dpo", "portal", "loader", "transformer", "bi"])
def test_nobody_else_seals(measurer: Connection, role: str) -> None:
    with as_role(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        seal(connection)


def test_a_figure_that_disagrees_with_its_counts_is_refused(measurer: Connection) -> None:
    figure = seal(measurer)

    def store(**changes: Any) -> None:
        values = vars(replace(figure, **{"snapshot_id": 2, "sha256": "f" * 64} | changes))
        measurer.execute(
            f"INSERT INTO governance.snapshot ({', '.join(values)}) VALUES ({', '.join(f'%({name})s' for name in values)})",
            values,
        )

    for changes in (
        {"share": Decimal("33.4")}, {"share": None}, {"upper_share": Decimal("50.1")}, {"upper_share": None},
        {"denominator": 5}, {"upper_denominator": 0}, {"n": 3, "level_3": 3, "automatic": 2},
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation, match="the_share_is_of_the_counts"):
            store(**changes)
    for changes in ({"automatic": 2}, {"manual": 0}, {"level_3": 1}):
        with pytest.raises(psycopg.errors.CheckViolation, match="the_parts_add_up"):
            store(**changes)
    with pytest.raises(psycopg.errors.UniqueViolation):
        store(snapshot_id=1)
    store()
