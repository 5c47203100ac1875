"""Import the heavy libraries once, in the scheduler, before it forks the processes that run tasks.

Great Expectations alone takes five seconds of processor time in every audit; a forked task finds it imported. Only
libraries: what they do changes with the requirements, while the platform's own code is read anew by every task.
"""

import importlib
import logging
import sys
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

LIBRARIES = ("psycopg", "sqlalchemy", "pyarrow.compute", "pyarrow.csv", "great_expectations")

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """Called by every job and task as it starts; the scheduler's comes before its executor."""
    if getattr(component, "job_type", None) != "SchedulerJob" or conf.get("core", "executor") != "LocalExecutor":
        return
    for library in LIBRARIES:
        try:
            importlib.import_module(library)
        except ImportError:
            log.exception("cannot import %s ahead; tasks that need it will tell", library)


class WarmScheduler(AirflowPlugin):
    """Registers the listener above."""

    name = "warm_scheduler"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow declares it
