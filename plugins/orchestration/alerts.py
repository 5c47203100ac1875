"""Tell people: a step failed, a batch is held, a dataset is late. To the log always; by e-mail and webhook when they are set up.

CITYDATA_ALERT_EMAIL (addresses; owners of the datasets are added) with the Airflow connection `smtp_default`, and
CITYDATA_ALERT_WEBHOOK (an address that takes JSON). Texts hold no values of the data.
"""

import html
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airflow.sdk import BaseNotifier

from citydata import contract, schedule

log = logging.getLogger(__name__)

RUNBOOKS = {
    "SourceError": "source-unreachable",
    "ArchiveUnreachable": "archive-unreachable",
    "ControllerOver": "controller-over",
    "GroupsStale": "failed-build",
    "TransformError": "failed-build",
    "ReleaseError": "failed-build",
    "BackfillError": "backfill-waits",
    "InventoryError": "failed-measurement",
    "SnapshotError": "failed-measurement",
}
_BATCH = re.compile(r"\bbatch (\d+)")


@dataclass(frozen=True)
class Message:
    """What somebody is told."""

    subject: str
    datasets: list[str]
    batch: int | None
    reason: str
    log: str
    runbook: str

    @property
    def text(self) -> str:
        """All of it, a line each."""
        lines = {
            "Datasets": ", ".join(self.datasets) or "the warehouse",
            "Batch": self.batch or "none",
            "Reason": self.reason,
            "Log": self.log,
            "What to do": self.runbook,
        }
        return "\n".join([self.subject, *(f"{name}: {value}" for name, value in lines.items())])


class Failed(BaseNotifier):
    """`on_failure_callback` of a task: runs in the task's process, or in the DAG processor when that was killed."""

    def __init__(self, *datasets: str) -> None:
        super().__init__()
        self.datasets = datasets

    def notify(self, context: Mapping[str, Any]) -> None:
        """Tell about the task of the context."""
        from citydata import database  # noqa: PLC0415 - not while DAG files are parsed

        error, instance = context.get("exception"), context["ti"]
        if isinstance(error, BaseException):
            reason = f"{type(error).__name__}: {database.cleaned(error)}"
        else:
            reason = "the task's process ended without an answer; the log tells more"
        batch = _BATCH.search(reason)
        send(
            Message(
                subject=f"{instance.dag_id}: {instance.task_id} failed",
                datasets=list(self.datasets),
                batch=int(batch[1]) if batch else None,
                reason=reason,
                log=_log_url(instance),
                runbook=schedule.runbook(RUNBOOKS.get(type(error).__name__, "failed-step")),
            )
        )


def tell_held(context: Mapping[str, Any], *datasets: str, batch_ids: Iterable[int] | None = None) -> None:
    """Tell owners about held batches: those with the ids, or those that this run extracted. Holding is no failure."""
    if batch_ids is not None and not batch_ids:
        return
    from citydata import database  # noqa: PLC0415

    with database.connect("engineer", autocommit=True) as connection:
        held = connection.execute(
            "SELECT batch_id, dataset, held_reason FROM ops.batch WHERE dataset = ANY(%(datasets)s) AND state = 'held'"
            " AND CASE WHEN %(ids)s::bigint[] IS NULL THEN run_id = %(run)s ELSE batch_id = ANY(%(ids)s) END ORDER BY batch_id",
            {
                "datasets": list(datasets),
                "ids": None if batch_ids is None else list(batch_ids),
                "run": context["run_id"],
            },
        ).fetchall()
    for batch_id, dataset, reason in held:
        send(
            Message(
                subject=f"{dataset}: batch {batch_id} is held",
                datasets=[dataset],
                batch=batch_id,
                reason=reason or "no reason was recorded",
                log=_log_url(context["ti"]),
                runbook=schedule.runbook("held-batch"),
            )
        )


def tell_waiting(context: Mapping[str, Any]) -> None:
    """Tell owners about the backfills whose difference this run computed, and which wait for a person now."""
    from citydata import backfill, database  # noqa: PLC0415

    with database.connect("engineer", autocommit=True) as connection:
        waiting = backfill.waiting_since(connection, context["run_id"])
    for found in waiting:
        rows = sum(change["inserted"] + change["updated"] + change["deleted"] for change in found.changes)
        send(
            Message(
                subject=f"{found.dataset}: backfill {found.backfill_id} waits for approval",
                datasets=[found.dataset],
                batch=None,
                reason=f"a release would write {rows} rows of {len(found.changes)} tables; {', '.join(backfill.what_to_do(found))}",
                log=_log_url(context["ti"]),
                runbook=schedule.runbook("backfill-waits"),
            )
        )


def tell_late(datasets: list[str], context: Mapping[str, Any]) -> None:
    """Callback of a deadline: a run was not done in time. Told are the datasets that are late, if any is."""
    from citydata import database  # noqa: PLC0415

    run = context["dag_run"]
    with database.connect("engineer", autocommit=True) as connection:
        late = schedule.late(connection, datasets)
    if not late:
        return
    times = ", ".join(
        f"{item.dataset} {item.last:%Y-%m-%d %H:%M %Z}" if item.last else f"{item.dataset} never" for item in late
    )
    base = os.environ.get("AIRFLOW__API__BASE_URL", "").rstrip("/")
    send(
        Message(
            subject=f"{run['dag_id']}: {len(late)} of {len(datasets)} datasets are late",
            datasets=[item.dataset for item in late],
            batch=None,
            reason=f"promised every {min(item.promised_hours for item in late):g} h, last taken in: {times}",
            log=f"{base}/dags/{run['dag_id']}/runs/{run['dag_run_id']}",
            runbook=schedule.runbook("late-dataset"),
        )
    )


def send(message: Message) -> None:
    """Send a message everywhere it should go. A way that fails is logged and does not stop the others."""
    log.error("ALERT %s", message.text.replace("\n", " | "))
    for way in (_mail, _post):
        try:
            way(message)
        except Exception as error:  # an alert must not fail the step that it is about
            # Not the error's text: it may hold the address, which holds a token.
            log.warning("the alert could not be sent by %s: %s", way.__name__.strip("_"), type(error).__name__)


def _recipients(datasets: Sequence[str]) -> list[str]:
    given = [address.strip() for address in os.environ.get("CITYDATA_ALERT_EMAIL", "").split(",") if address.strip()]
    known = contract.load_each()[0]
    owners = [known[name].owner_email.removeprefix("mailto:") for name in datasets if name in known]
    return sorted({*given, *owners}) if given else []


def _mail(message: Message) -> None:
    recipients = _recipients(message.datasets)
    if not recipients:
        return
    from airflow.providers.smtp.hooks.smtp import SmtpHook  # noqa: PLC0415

    with SmtpHook() as hook:
        hook.send_email_smtp(
            to=recipients, subject=message.subject, html_content=f"<pre>{html.escape(message.text)}</pre>"
        )


def _post(message: Message) -> None:
    address = os.environ.get("CITYDATA_ALERT_WEBHOOK")
    if not address:
        return
    import requests  # noqa: PLC0415

    requests.post(address, json={"text": message.text, **asdict(message)}, timeout=10).raise_for_status()


def _log_url(instance: Any) -> str:
    return getattr(instance, "log_url", None) or f"{instance.dag_id} {instance.run_id} {instance.task_id}"
