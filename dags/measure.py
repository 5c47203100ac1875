"""`measure_governance`: the share of the town's data under governance, after each release and at the end of each day."""

from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable
from orchestration import alerts, retries, steps

from citydata import schedule, town

DOCUMENTATION = f"""Brings the inventory into the register, looks for systems that nobody named, gathers the evidence for each
criterion of each dataset, counts, and seals a snapshot that nobody can change unnoticed. The figure of a month's last day is the
official one.

The figure: `./citydata governance show`; why: `./citydata governance explain DATASET`. When it fails, the last figure stands:
{schedule.runbook("failed-measurement")}.
"""

with DAG(
    schedule.MEASURE_DAG,
    dag_display_name="Measure governance",
    description="Evidence, the share under governance, and its sealed snapshot",
    doc_md=DOCUMENTATION,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(schedule.MEASURE_CRON, timezone=town.load().time_zone),
        assets=[steps.RELEASE],
    ),
    catchup=False,
    max_active_runs=1,  # snapshots follow each other
    tags=["measure", "governance"],
    default_args={
        "owner": schedule.PLATFORM_OWNER,
        **retries.defaults(),
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": alerts.Failed(),
    },
):
    steps.measure_share.override(task_display_name="Measure and seal", doc_md=DOCUMENTATION)()
