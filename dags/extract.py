"""`extract_<system>`: read, audit and publish the datasets of each source system, as their contracts say."""

from airflow.sdk import DAG, CronTriggerTimetable, DeadlineAlert, DeadlineReference, Param, SyncCallback, TriggerRule
from orchestration import alerts, retries, steps

from citydata import schedule, town

BACKFILL = {
    "reason": Param("", type="string", title="Reason", description="Of a backfill: why; it is kept in the ledger."),
    "wait_for_approval": Param(
        False,
        type="boolean",
        title="Wait for approval",
        description="Of a backfill: compare with what people read, and release after approval only.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Of a backfill: say in the log of each extract task what it would read and close, and read nothing.",
    ),
}

for extract in schedule.extracts():
    with DAG(
        extract.dag_id,
        dag_display_name=extract.title,
        description=f"Read, audit and publish {', '.join(entry.name for entry in extract.contracts)}",
        doc_md=extract.documentation,
        schedule=CronTriggerTimetable(extract.cron, timezone=town.load().time_zone),
        catchup=False,
        max_active_runs=1,
        tags=extract.tags,
        params=BACKFILL,
        default_args={
            "owner": extract.owner,
            **retries.defaults(),
            "on_failure_callback": alerts.Failed(*extract.datasets),
        },
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=extract.deadline,
            callback=SyncCallback(alerts.tell_late, kwargs={"datasets": extract.datasets}),
            name=f"{extract.system}: service level",
        ),
    ):
        # One audit for all: what it imports costs seconds. It waits for every extract, also for those that fail, and those that
        # a backfill skips; where none succeeded it finds nothing to do.
        audited = steps.audit.override(trigger_rule=TriggerRule.ALL_DONE)(extract.datasets)
        for entry in extract.contracts:
            own = {
                "owner": entry.owner,
                "doc_md": schedule.documentation(entry),
                "on_failure_callback": alerts.Failed(entry.dataset),
            }
            landed = steps.extract_and_land.override(
                task_id=f"extract_{entry.name}",
                task_display_name=f"Extract {entry.title}",
                pool=schedule.pool(entry.system),
                **own,
            )(entry.dataset)
            published = steps.publish.override(
                task_id=f"publish_{entry.name}",
                task_display_name=f"Publish {entry.title}",
                outlets=[steps.asset(entry.dataset)],
                **own,
            )(entry.dataset)
            landed >> [audited, published]
            audited >> published
