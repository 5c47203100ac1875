"""Libraries are imported ahead in the scheduler of a LocalExecutor, and the platform's own code never."""

import os
import subprocess
import sys

from citydata import settings
from citydata.service import airflow

CALL = """
import sys
sys.argv[:1] = ["airflow"]
from airflow.jobs.job import Job
Job()
print("LOADED", *(name for name in ("great_expectations", "pyarrow", "citydata", "orchestration") if name in sys.modules))
"""


def _loaded(command: str, executor: str = "LocalExecutor") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CALL, command],
        env=os.environ
        | {
            "AIRFLOW__CORE__EXECUTOR": executor,
            "CITYDATA_PRELOADED": " ".join(airflow._PRELOADED),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.ROOT / "plugins"),
            "PYTHONPATH": os.pathsep.join((str(settings.ROOT / "include"), str(settings.ROOT))),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return next(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("LOADED"))


def test_the_scheduler_imports_libraries_and_nothing_of_ours() -> None:
    assert _loaded("scheduler") == ["great_expectations", "pyarrow"]


def test_other_jobs_and_executors_do_not() -> None:
    assert _loaded("triggerer") == []
    assert _loaded("scheduler", "CeleryExecutor") == []
