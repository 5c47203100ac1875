"""`up`: from nothing to released marts and running servers; again, it finds everything done.

Every step can be repeated. An interruption stops what this call started and nothing else.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from citydata import contract, database, deploy, schedule, settings
from citydata.governance import snapshot
from citydata.governance.snapshot import Figure
from citydata.schedule import BUILD_DAG, MEASURE_DAG
from citydata.service import inputs, progress
from citydata.service.airflow import Api
from citydata.service.installation import Installation
from citydata.service.progress import BuildProgress, DatasetProgress
from citydata.service.simulation import Simulation, Town

ACTIVE = ("queued", "running")
_AT_WORK = ("queued", "running", "scheduled", "restarting", "deferred", "up_for_reschedule")
_TRIES_AWAITED = 2
"""`up` does not wait for a task that has failed so often; the scheduler goes on trying it."""
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 90.0
"""How long an asset event may take to become a run of the build."""


@dataclass(frozen=True)
class Failure:
    """A task that failed in the scheduler."""

    dag: str
    task: str
    link: str


@dataclass
class Outcome:
    """What a pass of the main job did. `worked` is False when there was nothing to do."""

    worked: bool
    datasets: list[DatasetProgress]
    build: BuildProgress | None = None
    share: Figure | None = None
    failures: list[Failure] = field(default_factory=list)

    @property
    def held(self) -> list[str]:
        """Datasets with a held batch."""
        return [item.dataset for item in self.datasets if item.step == "held"]


Watch = Callable[[list[DatasetProgress], BuildProgress | None], None]


def up(
    installation: Installation,
    *,
    manifest: Path | None = None,
    scale: float | None = None,
    report: Callable[[str], None],
    watch: Watch,
) -> Outcome:
    """Start everything, bring the sources' data through to released marts, and leave the servers running.

    Args:
        installation: which one.
        manifest: names real files to read in place of the synthetic ones.
        scale: size of the synthetic town, when it is made now.
        report: is told each step in a few words.
        watch: is given the progress of datasets and build about every second.
    """
    given = inputs.read(manifest) if manifest else {}
    with installation.locked(), _undone_when_interrupted(installation) as started:
        installation.make()
        simulation = Simulation(installation.home)
        town = simulation.choose(scale)
        report("starting PostgreSQL")
        if installation.needs_cluster and not installation.cluster.is_running():
            started.append(installation.cluster.stop)
        installation.start_database()
        report("bringing the database to this version")
        for change in deploy.deploy():
            report(f"  {change}")
        since = _clock()
        news = simulate(installation, town, given)
        for text in news:
            report(f"  {text}")
        if installation.simulated_services and not installation.sources.is_running():
            report("starting the synthetic services")
            started.append(installation.sources.stop)
        installation.start_sources()
        if not installation.airflow.is_running():
            started.append(installation.airflow.stop)
        api = installation.airflow.start(report)
        return work(api, since=since if news else None, report=report, watch=watch)


def simulate(installation: Installation, town: Town, given: Mapping[str, Path]) -> list[str]:
    """Bring the source systems to the town's day and give them the `given` files; return what was new, in words."""
    from simulators import officer  # noqa: PLC0415 - only who simulates needs it

    drop = settings.drop_directory()
    simulation = Simulation(installation.home)
    from_files = [name for name in contract.load_all() if inputs.from_files(name)]
    answers = {name: simulation.keep(name, path) for name, path in given.items() if name not in from_files}
    recorded = town.recorded | {name: path for name, path in answers.items() if path}
    replaced = {*town.replaced, *(name for name in given if name in from_files)}
    hr = None
    if installation.simulates_hr:
        hr = (installation.cluster.url(), settings.required("CITYDATA_SOURCE_HR_PASSWORD", "the HR reader's password"))
    news = simulation.bring(
        replace(town, replaced=tuple(sorted(replaced)), recorded=recorded),
        drop=drop,
        files=[name for name in from_files if name not in replaced],
        hr=hr,
    )
    news += [f"answer {Path(path).name}" for path in answers.values() if path]
    with database.connect("officer", autocommit=True) as connection:
        if signed := officer.sign(connection, database.now(connection)):
            news.append(f"{signed} datasets signed by the synthetic town's governance officer")
    files = {name: path for name, path in given.items() if name in from_files}
    return news + [f"file {path.name} for {name}" for name, path in files.items() if inputs.drop(name, path, drop)]


def step(installation: Installation, *, report: Callable[[str], None], watch: Watch) -> Outcome:
    """Move the synthetic sources to the next day and run the main job on what that day brought."""
    town = Simulation(installation.home).choose(None)
    since = _clock()
    news = simulate(installation, replace(town, day=town.day + 1), {})
    report(f"day {town.day + 1}: {', '.join(news) or 'nothing new'}")
    return work(installation.airflow.api(), since=since, report=report, watch=watch)


def _clock() -> datetime:
    with database.connect("engineer", autocommit=True) as connection:
        return database.now(connection)


def work(api: Api, *, since: datetime | None, report: Callable[[str], None], watch: Watch) -> Outcome:
    """Run the extracts and wait for the build that follows.

    `since` is a moment before the sources got news; None when they got none: then nothing is done unless something is
    still unreleased.
    """
    with database.connect("engineer", autocommit=True) as connection:
        if since is None:
            since = database.now(connection)
            if progress.has_release(connection) and not progress.unreleased(connection):
                if not progress.is_measured(connection):
                    report(f"running {MEASURE_DAG}")
                    return _wait(
                        api, connection, since=since, extracts={MEASURE_DAG: api.trigger(MEASURE_DAG)}, watch=watch
                    )
                report("nothing new: everything that was published is released and measured")
                return Outcome(False, progress.datasets(connection, since), share=snapshot.latest(connection))
        dags = [extract.dag_id for extract in schedule.extracts()]
        report("waiting for the DAGs")
        api.wait_for_dags([*dags, BUILD_DAG, MEASURE_DAG])
        extracts = {dag: _running_since(api, dag, since) or api.trigger(dag) for dag in dags}
        report(f"running {', '.join(extracts)}, then {BUILD_DAG} and {MEASURE_DAG}")
        return _wait(api, connection, since=since, extracts=extracts, watch=watch)


def _running_since(api: Api, dag: str, since: datetime) -> str | None:
    """A run that began after the news came reads them: the scheduler starts one when it sees a DAG for the first time."""
    for run in api.runs(dag):
        if run["state"] == "queued" or _began_after(run, since):
            return run["dag_run_id"]
    return None


def _wait(
    api: Api, connection: psycopg.Connection[Any], *, since: datetime, extracts: Mapping[str, str], watch: Watch
) -> Outcome:
    idle_since: float | None = None
    while True:
        datasets, build = progress.datasets(connection, since), progress.build(connection, since)
        watch(datasets, build)
        runs = [(dag, api.run(dag, run)) for dag, run in extracts.items()]
        builds, measurements = api.runs(BUILD_DAG), api.runs(MEASURE_DAG)
        at_work = [(dag, run) for dag, run in runs if run["state"] in ACTIVE and not _waits_for_source(api, dag, run)]
        if at_work or any(run["state"] in ACTIVE for run in [*builds, *measurements]):
            idle_since = None
        else:
            idle_since = idle_since or time.monotonic()
            overdue = time.monotonic() - idle_since > _GRACE_SECONDS
            # A build that failed or left a group stale leaves its datasets unreleased: waiting would not help, for the
            # measurement neither, which follows a release that is whole.
            broken = any(
                run["state"] == "failed" and _began_after(run, since) for run in [*builds[:1], *measurements[:1]]
            )
            released = not progress.unreleased(connection) or progress.is_answered(connection)
            if (released and (broken or progress.is_measured(connection))) or overdue:
                latest = [
                    (dag, run)
                    for dag, newest in ((BUILD_DAG, builds[:1]), (MEASURE_DAG, measurements[:1]))
                    for run in newest
                    if _began_after(run, since)
                ]
                failures = [
                    failure
                    for dag, run in [*runs, *latest]
                    if run["state"] in ("failed", *ACTIVE)
                    for failure in _failures(api, dag, run["dag_run_id"])
                ]
                if overdue and not failures:
                    missing = MEASURE_DAG if released else BUILD_DAG
                    failures.append(Failure(missing, "(no run began)", f"{api.url}/dags/{missing}"))
                datasets, build = progress.datasets(connection, since), progress.build(connection, since)
                watch(datasets, build)
                return Outcome(True, datasets, build, snapshot.latest(connection), failures)
        time.sleep(_POLL_SECONDS)


def _began_after(run: Mapping[str, Any], since: datetime) -> bool:
    return bool(run["start_date"]) and datetime.fromisoformat(run["start_date"]) >= since


def _failures(api: Api, dag: str, run: str) -> list[Failure]:
    return [
        Failure(dag, task["task_id"], f"{api.url}/dags/{dag}/runs/{run}/tasks/{task['task_id']}")
        for task in api.tasks(dag, run)
        if task["state"] in ("failed", "up_for_retry")
    ]


def _waits_for_source(api: Api, dag: str, run: Mapping[str, Any]) -> bool:
    """Whether nothing of a run goes on but tasks that failed repeatedly and are tried again later: for hours, if need be."""
    tasks = api.tasks(dag, run["dag_run_id"])
    retried = [task for task in tasks if task["state"] == "up_for_retry" and task["try_number"] >= _TRIES_AWAITED]
    return bool(retried) and not any(task["state"] in _AT_WORK for task in tasks)


@contextlib.contextmanager
def _undone_when_interrupted(installation: Installation) -> Iterator[list[Callable[[], Any]]]:
    started: list[Callable[[], Any]] = []
    try:
        yield started
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not leave half of it running
        for stop in reversed(started):
            stop()
        raise
