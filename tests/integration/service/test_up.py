"""When `up` joins a run, what it waits for, and what it says of runs that fail; the scheduler's answers are given."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from citydata import contract, database, schedule
from citydata.governance import snapshot
from citydata.schedule import BUILD_DAG, MEASURE_DAG
from citydata.service import up

EXTRACT = "extract_finance"


class Scheduler:
    """Airflow's answers. `then` is called before each answer about a run, with the number of answers so far."""

    url = "http://here"

    def __init__(self, then: Callable[["Scheduler", int], None] = lambda *_: None) -> None:
        self.known: dict[str, list[dict[str, Any]]] = {}
        self.work: dict[str, list[dict[str, Any]]] = {}
        self.triggered: list[str] = []
        self.answers = 0
        self.then = then

    def begin(self, dag: str, state: str, *, name: str = "r1", start: Any = None) -> None:
        with database.connect("engineer", autocommit=True) as connection:
            begun = start or database.now(connection)
        self.known.setdefault(dag, []).insert(0, {"dag_run_id": name, "state": state, "start_date": begun.isoformat()})

    def wait_for_dags(self, dags: list[str]) -> None: ...

    def trigger(self, dag: str) -> str:
        self.triggered.append(dag)
        self.begin(dag, "success", name="triggered")
        return "triggered"

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return self.known.get(dag, [])

    def run(self, dag: str, name: str) -> dict[str, Any]:
        self.answers += 1
        self.then(self, self.answers)
        return next(run for run in self.known[dag] if run["dag_run_id"] == name)

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return self.work.get(dag, [])


@pytest.fixture(autouse=True)
def _hurry(platform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(up, "_GRACE_SECONDS", 20)


@pytest.fixture
def since() -> Any:
    with database.connect("engineer", autocommit=True) as connection:
        return database.now(connection)


def work(scheduler: Scheduler, since: Any) -> up.Outcome:
    return up.work(scheduler, since=since, report=lambda _: None, watch=lambda *_: None)  # type: ignore[arg-type]


def publish_something() -> None:
    with database.connect_admin() as connection:
        connection.execute(
            "INSERT INTO ops.batch (dataset, mode, contract_version, contract_hash, state, extracted, inserted, published_at)"
            " VALUES ('finance.accounts', 'snapshot', '1', 'x', 'published', 1, 1, clock_timestamp())"
        )


def end_a_build(state: str = "failed") -> None:
    with database.connect_admin() as connection:
        connection.execute("INSERT INTO ops.build (state, finished_at) VALUES (%s, clock_timestamp())", (state,))


def release_something() -> None:
    with database.connect_admin() as connection:
        connection.execute(
            "WITH b AS (INSERT INTO ops.build (state) VALUES ('built') RETURNING build_id)"
            " INSERT INTO ops.release (build_id) SELECT build_id FROM b"
        )


def measure_something() -> None:
    with database.connect("measurer", autocommit=True) as connection:
        moment = database.now(connection)
        what: Any = {"official": False, "reason": "test", "run_id": None, "judged": [], "evidence": {}, "systems": []}
        snapshot.seal(connection, taken_at=moment, as_of=moment.date(), method_version="1", **what)


def test_nothing_is_run_when_everything_is_released_and_measured() -> None:
    release_something()
    measure_something()
    scheduler = Scheduler()
    done = work(scheduler, None)
    assert (done.worked, scheduler.triggered) == (False, [])
    assert [item.dataset for item in done.datasets] == list(contract.load_all())
    assert done.share
    assert done.share.text == "0/0 (–)"


def test_a_release_that_was_not_measured_is_measured_and_nothing_else_is_run() -> None:
    measure_something()
    release_something()

    def end(scheduler: Scheduler, answers: int) -> None:
        if answers == 20:
            measure_something()

    scheduler = Scheduler(end)
    done = work(scheduler, None)
    assert (done.worked, scheduler.triggered, done.failures) == (True, [MEASURE_DAG], [])
    assert scheduler.answers >= 20, "it waited for the figure"
    assert done.share
    assert done.share.snapshot_id == 2


def test_a_measurement_that_failed_or_never_began_is_told(since: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release_something()
    monkeypatch.setattr(up, "_GRACE_SECONDS", 0.1)
    [failure] = work(Scheduler(), since).failures
    assert (failure.dag, failure.task) == (MEASURE_DAG, "(no run began)")
    monkeypatch.setattr(up, "_GRACE_SECONDS", 20)
    scheduler = Scheduler()
    scheduler.begin(MEASURE_DAG, "failed", name="m1")
    scheduler.work[MEASURE_DAG] = [{"task_id": "measure_share", "state": "failed", "try_number": 1}]
    [failure] = work(scheduler, since).failures
    assert (failure.dag, failure.task) == (MEASURE_DAG, "measure_share")


def test_a_run_that_began_after_the_news_is_joined_and_an_older_one_is_not(since: Any) -> None:
    scheduler = Scheduler()
    scheduler.begin(EXTRACT, "success")
    scheduler.begin("extract_hr", "success", start=since - timedelta(minutes=1))
    assert work(scheduler, since).failures == []
    assert EXTRACT not in scheduler.triggered
    assert "extract_hr" in scheduler.triggered
    assert {EXTRACT, *scheduler.triggered} == {extract.dag_id for extract in schedule.extracts()}


def test_a_run_at_work_is_waited_for(since: Any) -> None:
    def end(scheduler: Scheduler, answers: int) -> None:
        if answers > 20:
            scheduler.known[EXTRACT][0]["state"] = "success"

    scheduler = Scheduler(end)
    scheduler.begin(EXTRACT, "running")
    scheduler.work[EXTRACT] = [{"task_id": "extract_accounts", "state": "up_for_retry", "try_number": 1}]
    assert work(scheduler, since).failures == []
    assert scheduler.answers > 20


@pytest.mark.parametrize("beside", [None, "running"])
def test_a_task_that_is_tried_again_for_hours_is_not_waited_for_unless_another_is_at_work(
    since: Any, beside: str | None
) -> None:
    def end(scheduler: Scheduler, answers: int) -> None:
        if answers > 20:
            scheduler.work[EXTRACT] = scheduler.work[EXTRACT][:1]

    scheduler = Scheduler(end)
    scheduler.begin(EXTRACT, "running")
    scheduler.work[EXTRACT] = [
        {"task_id": "extract_accounts", "state": "up_for_retry", "try_number": 2},
        {"task_id": "extract_suppliers", "state": beside or "success", "try_number": 1},
    ]
    link = f"http://here/dags/{EXTRACT}/runs/r1/tasks/extract_accounts"
    assert work(scheduler, since).failures == [up.Failure(EXTRACT, "extract_accounts", link)]
    assert (scheduler.answers > 20) == bool(beside)


def test_a_build_that_failed_after_the_news_is_told_and_not_waited_for(since: Any) -> None:
    publish_something()
    end_a_build()
    scheduler = Scheduler()
    scheduler.begin(BUILD_DAG, "failed", name="b1")
    scheduler.work[BUILD_DAG] = [{"task_id": "build_and_release", "state": "failed", "try_number": 2}]
    [failure] = work(scheduler, since).failures
    assert (failure.dag, failure.task) == (BUILD_DAG, "build_and_release")
    assert scheduler.answers == len(scheduler.triggered), "asked once"


def test_a_build_that_never_begins_is_told(since: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_something()
    monkeypatch.setattr(up, "_GRACE_SECONDS", 0.1)
    [failure] = work(Scheduler(), since).failures
    assert (failure.dag, failure.task) == (BUILD_DAG, "(no run began)")
