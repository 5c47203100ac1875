"""The tasks. Each imports what it needs when it runs; results hold ids and counts, never values of the data."""

import functools
import logging
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from airflow.sdk import Asset, Connection, Context, get_current_context, task
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from citydata import contract, schedule
from citydata.connector_options import HttpOptions, SqlConnector
from orchestration import alerts

log = logging.getLogger(__name__)

RELEASE = Asset("release", uri=schedule.RELEASE_ASSET, group="warehouse")
"""The asset that stands for a release of everything that was built."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class GroupsStale(RuntimeError):
    """A build of which some groups could not be released; what people read of them stays as it was."""


def without_values(step: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Clean the texts of errors: Airflow writes them to the log, and drivers and parsers put values of rows into theirs.

    Errors of our own have none. Classes and places stay, by which retries are decided and mistakes found.
    """

    @functools.wraps(step)
    def cleaned(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return step(*args, **kwargs)
        except BaseException as error:
            _clean(error, set())
            raise

    return cleaned


def _clean(error: BaseException | None, seen: set[int]) -> None:
    if error is None or id(error) in seen:
        return
    from citydata import database  # noqa: PLC0415

    seen.add(id(error))
    _clean(error.__cause__, seen)
    _clean(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            _clean(part, seen)
    elif type(error).__module__.partition(".")[0] not in ("citydata", "orchestration", "airflow"):
        error.args = (database.cleaned(error),)
        for name in {"statement", "params"} & set(vars(error)):  # SQLAlchemy adds these to the text
            setattr(error, name, None)


@task
@without_values
def extract_and_land(dataset: str) -> list[int]:
    """Read what the source has, or in a run of a backfill what it asks for; returns the batches that wait."""
    from citydata import pipeline  # noqa: PLC0415

    context = get_current_context()
    _provide_address(dataset)
    if context["dag_run"].run_type == "backfill":
        waiting = _backfilled(dataset, context)
    else:
        waiting = pipeline.extract_and_land(dataset, run_id=context["run_id"])
    alerts.tell_held(context, dataset)
    return waiting


def _backfilled(dataset: str, context: Context) -> list[int]:
    """Read the window that ends with the run's tick. A dataset that has none is skipped with the reason.

    A dry run is skipped too: its log says what would be read.
    """
    from citydata import backfill  # noqa: PLC0415

    run = context["dag_run"]
    try:
        if context["params"]["dry_run"]:
            seen = backfill.preview_run(dataset, run.logical_date)
            told = "; ".join(window.expectation for window in seen.windows)
            raise AirflowSkipException(f"{dataset}: {told}. Closed: {seen.closes}. Nothing was read")
        found, windows = backfill.join(
            dataset,
            run.logical_date,
            reason=context["params"]["reason"] or f"Airflow backfill of {run.dag_id}",
            person=getattr(run, "triggering_user_name", None) or "Airflow",
            approval=context["params"]["wait_for_approval"],
            run_id=context["run_id"],
        )
    except backfill.NotPossible as error:
        raise AirflowSkipException(str(error)) from None
    if not windows:
        log.info("%s: another run reads what this one would (backfill %s)", dataset, found.backfill_id)
    return backfill.read_for_run(found, windows, context["run_id"])


@task
@without_values
def audit(datasets: list[str]) -> dict[str, list[int]]:
    """Audit every batch that has landed; returns batch ids by their new state."""
    from citydata import audit, pipeline  # noqa: PLC0415

    context = get_current_context()
    # The ledger says what waits, so that a batch which an earlier run left behind is not forgotten.
    batch_ids = [batch_id for dataset in datasets for batch_id in pipeline.waiting(dataset)]
    states = audit.audit(batch_ids) if batch_ids else {}
    held = [batch_id for batch_id, state in states.items() if state == "held"]
    alerts.tell_held(context, *datasets, batch_ids=held)
    return {"audited": [batch_id for batch_id in states if batch_id not in held], "held": held}


@task
@without_values
def publish(dataset: str) -> dict[str, list[int]]:
    """Publish what can be; the asset gets an event when the dataset reads differently now, else the task is skipped.

    The windows of a backfill ring no bell; the run that ends it does, for all of them.
    """
    from citydata import backfill, pipeline  # noqa: PLC0415

    context = get_current_context()
    done = pipeline.audit_and_publish([dataset], [])[dataset]
    held = [batch.batch_id for batch in done if batch.state == "held"]
    alerts.tell_held(context, dataset, batch_ids=held)
    settled = backfill.settle_run(dataset, context["run_id"], functools.partial(_active_runs, context))
    if context["dag_run"].run_type == "backfill" and settled and not settled[1]:
        raise AirflowSkipException(f"{dataset}: the build comes when backfill {settled[0].backfill_id} has ended")
    changes = _changes(dataset, context["run_id"], [batch.batch_id for batch in done])
    if settled and settled[1]:
        names = ("batch_id", "inserted", "changed", "closed")
        changes += [
            tuple(batch[name] for name in names) for batch in settled[0].batches if batch["state"] == "published"
        ]
    changes = sorted(set(changes))
    altered = [batch_id for batch_id, *counts in changes if any(counts)]
    if not altered:
        raise AirflowSkipException(f"{dataset}: nothing new; {len(changes)} batches published, {len(held)} held")
    inserted, changed, closed = (sum(counts) for counts in list(zip(*changes, strict=True))[1:])
    extra = {"batches": altered, "inserted": inserted, "changed": changed, "closed": closed}
    context["outlet_events"][asset(dataset)].extra = extra
    return {"published": [batch_id for batch_id, *_ in changes], "held": held}


def _active_runs(context: Context, run_ids: list[str] | None) -> int:
    """How many runs of this DAG are queued or running: all, or those of the ids."""
    active: int = context["ti"].get_dr_count(
        dag_id=context["dag_run"].dag_id, run_ids=run_ids, states=["queued", "running"]
    )
    return active


@task(outlets=[RELEASE])
@without_values
def build_and_release() -> dict[str, Any]:
    """Build what is out of date, everything on the daily run, and release what can be. One task: the two are one chain."""
    from citydata import pipeline  # noqa: PLC0415

    context = get_current_context()
    full = context["params"]["full"] or context["dag_run"].run_type == "scheduled"
    build, done = pipeline.build_and_release(full=full, run_id=context["run_id"])
    alerts.tell_waiting(context)
    if done.stale:
        reasons = "; ".join(f"{group}: {reason}" for group, reason in done.stale.items())
        raise GroupsStale(
            f"build {build.build_id}: {len(done.stale)} groups stay as they were ({reasons}); see {build.log}"
        )
    rows = {f"{c.schema}.{c.table}": c.inserted + c.updated + c.deleted for c in done.changes}
    return {"build": build.build_id, "release": done.release_id, "rows": rows}


@task
@without_values
def measure_share() -> dict[str, Any]:
    """Gather the evidence, count and seal; the daily run of a month's last day makes the official figure."""
    from citydata.governance import measure  # noqa: PLC0415

    context = get_current_context()
    run = context["dag_run"]
    daily = run.run_type == "scheduled"
    for dataset in contract.load_each()[0]:  # the catalogues of connected databases are looked at
        _provide_address(dataset)
    official = daily and schedule.is_last_of_month(context["ti"].start_date)
    figure = measure.measure("daily" if daily else "release", official=official, run_id=context["run_id"])
    return {"snapshot": figure.snapshot_id, "n": figure.n, "denominator": figure.denominator}


def asset(dataset: str) -> Asset:
    """The asset that stands for a dataset."""
    return Asset(dataset, uri=schedule.asset_uri(dataset), group=dataset.partition(".")[0])


def _changes(dataset: str, run_id: str, batch_ids: list[int]) -> list[tuple[int, int, int, int]]:
    """Batch, inserted, changed and closed of what this run published.

    Asked from the ledger, because the process that published may have been killed before it could say so.
    """
    from citydata import database  # noqa: PLC0415

    with database.connect("engineer", autocommit=True) as connection:
        return connection.execute(
            "SELECT batch_id, inserted, changed, closed FROM ops.batch WHERE dataset = %s AND state = 'published'"
            " AND (run_id = %s OR batch_id = ANY(%s)) ORDER BY batch_id",
            (dataset, run_id, batch_ids),
        ).fetchall()


def _provide_address(dataset: str) -> None:
    """Put the source's address where the step looks for it, from the Airflow connection of its name when it is not there."""
    connector = contract.load(dataset).platform.connector
    if not isinstance(connector, SqlConnector | HttpOptions):
        return
    variable = f"CITYDATA_SOURCE_{connector.connection.upper()}"
    if not os.environ.get(variable):
        try:
            os.environ[variable] = Connection.get(connector.connection).get_uri()
        except AirflowNotFoundException:
            log.warning("neither %s nor an Airflow connection “%s” exists", variable, connector.connection)
