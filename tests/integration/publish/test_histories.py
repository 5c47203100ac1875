"""Random histories of a dataset agree with a plain model: current rows, the ledger, the past, replaying and rebuilding."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citydata import contract, pipeline, publish
from tests.integration.steps import Steps

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVERYTHING: tuple[Any, ...] = ()
Row = tuple[Any, ...]
FEW = settings(
    max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Model:
    """What a dataset should hold: rows by part of its scope, each part with the time of its newest observation."""

    def __init__(self) -> None:
        self.parts: dict[Any, list[Row]] = {}
        self.observed: dict[Any, datetime] = {}

    def publish(self, parts: dict[Any, list[Row]], at: datetime) -> None:
        for part, rows in parts.items():
            if self.observed.get(part, at) <= at:
                self.parts[part], self.observed[part] = rows, at

    def rows(self) -> list[Row]:
        return [row for rows in self.parts.values() for row in rows]


def run(trial: Steps, dataset: str, header: str, files: Iterable[tuple[str, int, Model]], name: str) -> None:
    """Load files (content, hour of observation, model after it) and compare after each one."""
    past: dict[int, Counter[Row]] = {}
    for number, (content, hour, model) in enumerate(files):
        trial.drop(f"{name}-{number}.csv", header + content, at=NOON + timedelta(hours=hour, seconds=number))
        trial.load(dataset)
        trial.assert_accounted(dataset)
        assert Counter(trial.current(dataset)) == Counter(model.rows())
        past[trial.batch(dataset)["batch_id"]] = Counter(trial.current(dataset))
        assert publish.publish(dataset) == []
    for horizon, rows in past.items():
        assert Counter(trial.current(dataset, horizon)) == rows
    assert trial.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'landing'") == [(0,)]
    before = trial.versions(dataset)
    ledger = [{key: one[key] for key in one if not key.endswith("_at")} for one in trial.batches(dataset)]
    pipeline.rebuild(dataset)
    assert trial.versions(dataset) == before
    assert [{key: one[key] for key in ledger[0]} for one in trial.batches(dataset)] == ledger
    trial.assert_accounted(dataset)
    clear(trial, dataset)


def clear(trial: Steps, dataset: str) -> None:
    """A dataset that nothing was loaded into: the next example begins."""
    trial.execute(
        f"TRUNCATE raw.{contract.load(dataset).raw_name}, quarantine.trial, ops.batch, ops.coverage, ops.arrival"
    )
    for path in (trial.home / "drop" / "trial").iterdir():
        path.unlink()


YEARS = st.dictionaries(st.integers(2020, 2023), st.integers(0, 2), min_size=1)
INDICATORS = st.dictionaries(st.sampled_from("abcd"), YEARS, min_size=1, max_size=3)


# The hour of observation (files arrive in any order), the file's rows, and how many of them are repeated.
@FEW
@given(st.lists(st.tuples(st.integers(0, 3), INDICATORS, st.integers(0, 2)), min_size=1, max_size=5))
def test_keyed_snapshots_of_some_key_values(
    trial: Steps, history: list[tuple[int, dict[str, dict[int, int]], int]]
) -> None:
    model = Model()

    def files() -> Iterable[tuple[str, int, Model]]:
        for number, (hour, indicators, repeats) in enumerate(history):
            lines = [f"{one};{year};{value},5" for one, years in indicators.items() for year, value in years.items()]
            parts = {
                one: [(one, year, Decimal(f"{value}.50")) for year, value in years.items()]
                for one, years in indicators.items()
            }
            model.publish(parts, NOON + timedelta(hours=hour, seconds=number))
            # Blank lines make the bytes of each file its own; identical bytes are another test's.
            yield "".join(f"{line}\n" for line in lines + lines[:repeats]) + "\n" * number, hour, model

    run(trial, "trial.measures", "indicator;year;value\n", files(), "mittarit")


LINES = st.tuples(st.integers(2024, 2025), st.sampled_from("12"), st.integers(-1, 1), st.sampled_from(["", "A"]))


@FEW
@given(st.lists(st.tuples(st.integers(0, 3), st.lists(LINES, min_size=1, max_size=6)), min_size=1, max_size=5))
def test_keyless_snapshots_of_some_years(
    trial: Steps, history: list[tuple[int, list[tuple[int, str, int, str]]]]
) -> None:
    model = Model()

    def files() -> Iterable[tuple[str, int, Model]]:
        for number, (hour, lines) in enumerate(history):
            parts: dict[int, list[Row]] = {}
            for year, voucher, amount, unit in lines:
                parts.setdefault(year, []).append((year, voucher, Decimal(amount), unit or None))
            model.publish(parts, NOON + timedelta(hours=hour, seconds=number))
            content = "".join(f"{year};{voucher};{amount};{unit}\n" for year, voucher, amount, unit in lines)
            yield content + "\n" * number, hour, model

    run(trial, "trial.vouchers", "fiscal_year;voucher;amount;unit\n", files(), "tositteet")


BROKEN = {"name": "{};;;\n", "budget": "{};Yksikkö;1.5;\n", "columns": "{};Yksikkö;;;\n"}


@FEW
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(1000, 1005), st.sampled_from(["A", "B", *BROKEN]), min_size=3),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_keyed_snapshots_with_broken_rows(
    trial: Steps, nothing_held: None, history: list[tuple[dict[int, str], bool]]
) -> None:
    model = Model()

    def files() -> Iterable[tuple[str, int, Model]]:
        current: dict[int, str] = {}
        for number, (centres, repeat) in enumerate(history):
            good = {code: name for code, name in centres.items() if name not in BROKEN}
            unreadable = any(name == "columns" for name in centres.values())
            # What was refused, or might have been the refused line, is not taken for deleted.
            kept = {code: name for code, name in current.items() if unreadable or code in centres}
            current = kept | good
            model.publish(
                {EVERYTHING: [(str(code), name, None, None) for code, name in current.items()]},
                NOON + timedelta(hours=number, seconds=number),
            )
            lines = [BROKEN.get(name, "{};" + name + ";;\n").format(code) for code, name in centres.items()]
            again = [f"{code};{name};;\n" for code, name in good.items()] if repeat else []
            yield "".join(lines + again) + "\n" * number, number, model

    run(trial, "trial.cost_centres", "Koodi;Nimi;Talousarvio;Voimassa\n", files(), "kustannuspaikat")


@pytest.fixture
def nothing_held(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is held: how much may vanish or be refused is the subject of other tests."""
    monkeypatch.setattr(contract.Contract, "max_closed_share", 1.0)
    monkeypatch.setattr(contract.Contract, "too_many_quarantined", lambda *_: None)


@FEW
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("123"), st.sampled_from("xyz"), st.integers(0, 5)), min_size=0, max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_increments_of_which_the_newest_version_counts(
    trial: Steps, nothing_held: None, history: list[list[tuple[str, str, int]]]
) -> None:
    model = Model()

    def moment(hour: int) -> datetime:
        return datetime(2026, 1, 1, 10 + hour, tzinfo=UTC)

    def files() -> Iterable[tuple[str, int, Model]]:
        current: dict[str, tuple[str, int]] = {}
        for number, changes in enumerate(history):
            for key in {key for key, _, _ in changes}:
                newest = max(hour for one, _, hour in changes if one == key)
                states = {state for one, state, hour in changes if (one, hour) == (key, newest)}
                if len(states) == 1 and (key not in current or newest >= current[key][1]):
                    state = states.pop()
                    # The time of a change is volatile: without another change it makes no version.
                    if key not in current or current[key][0] != state:
                        current[key] = (state, newest)
            model.publish(
                {EVERYTHING: [(key, state, moment(hour)) for key, (state, hour) in current.items()]},
                NOON + timedelta(hours=number, seconds=number),
            )
            content = "".join(f"{key};{state};2026-01-01 {12 + hour}:00:00\n" for key, state, hour in changes)
            yield content + "\n" * number, number, model

    run(trial, "trial.changes", "number;state;changed_at\n", files(), "muutokset")
