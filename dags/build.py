"""`build_warehouse`: build what is out of date when a dataset changed, everything once a day, and release it."""

from datetime import timedelta

from airflow.sdk import DAG, AssetAny, AssetOrTimeSchedule, CronTriggerTimetable, Param
from orchestration import alerts, retries, steps

from citydata import schedule, town

DOCUMENTATION = f"""Brings what people read up to date: one `dbt build` at a fixed horizon, then a release by difference.

Any dataset's event rings the bell; what is out of date is asked from the ledger (`ops`), so that a failed run loses
nothing. The daily run builds everything. A group that fails stays as it was, the others are released, and the run fails.

When it fails: {schedule.runbook("failed-build")}.
"""

with DAG(
    schedule.BUILD_DAG,
    dag_display_name="Build the warehouse",
    description="dbt build of what is out of date, then release to the marts",
    doc_md=DOCUMENTATION,
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(schedule.BUILD_CRON, timezone=town.load().time_zone),
        assets=AssetAny(*(steps.asset(name) for name in schedule.datasets())),
    ),
    catchup=False,
    max_active_runs=1,  # both work on the same build schemas
    tags=["build", "warehouse"],
    params={
        "full": Param(False, type="boolean", title="Full", description="Build everything anew, as the daily run does.")
    },
    default_args={
        "owner": schedule.PLATFORM_OWNER,
        **retries.defaults(),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": alerts.Failed(),
    },
):
    steps.build_and_release.override(task_display_name="Build and release", doc_md=DOCUMENTATION)()
