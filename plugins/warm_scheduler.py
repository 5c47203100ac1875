"""Import the heavy libraries (CITYDATA_PRELOADED) once, in the scheduler, before it forks the processes that run tasks.

Which they are says `Airflow.environment()`. Celery's workers import them by a setting of their own.
"""

import importlib
import logging
import os
import sys
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """Called by every job and task as it starts, before a job knows its type; the scheduler's comes before its executor."""
    if sys.argv[1:2] != ["scheduler"] or conf.get("core", "executor") != "LocalExecutor":
        return
    for library in os.environ.get("CITYDATA_PRELOADED", "").split():
        try:
            importlib.import_module(library)
        except ImportError:
            log.exception("cannot import %s ahead; tasks that need it will tell", library)


class WarmScheduler(AirflowPlugin):
    """Registers the listener above."""

    name = "warm_scheduler"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow declares it
