"""How long parsing all DAG files takes with 200 contracts, beyond importing airflow.sdk.

    PYTHONPATH=include:plugins:. python tests/benchmarks/dag_parsing.py [CONTRACTS]

Each measurement is a process of its own, as the DAG processor's are.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "include" / "contracts" / "hr" / "people.yaml"
REPETITIONS = 5
HEAVY = ("pyarrow", "pandas", "great_expectations", "sqlalchemy.orm", "dbt", "citydata.pipeline")

MEASURED = """
import json, sys, time
import airflow.sdk
from airflow.sdk import DAG, AssetOrTimeSchedule, BaseNotifier, RetryPolicy, task, get_current_context, Connection, Param
before = set(sys.modules)
started = time.process_time()
import runpy
dags = 0
for file in sys.argv[1:]:
    dags += sum(type(value).__name__ == "DAG" for value in runpy.run_path(file).values())
seconds = time.process_time() - started
print(json.dumps({"seconds": seconds, "modules": sorted(set(sys.modules) - before)}))
"""


def generate(directory: Path, count: int, systems: int = 20) -> list[str]:
    """Write `count` contracts of `systems` systems below `directory`, every third on another schedule; returns the datasets."""
    text = MODEL.read_text(encoding="utf-8")
    datasets = []
    for number in range(count):
        system, name = f"system_{number % systems}", f"dataset_{number}"
        changed = text.replace("id: hr.people", f"id: {system}.{name}").replace("- name: people", f"- name: {name}")
        if number // systems % 3 == 2:
            changed = changed.replace('"0 5 * * *"', '"15 * * * *"')
        (directory / system).mkdir(parents=True, exist_ok=True)
        (directory / system / f"{name}.yaml").write_text(changed, encoding="utf-8")
        datasets.append(f"{system}.{name}")
    return datasets


def measure(contracts: Path) -> tuple[float, list[str]]:
    """Seconds of processor time that parsing all DAG files took in a new process, and the modules that it imported."""
    files = sorted(str(path) for path in (ROOT / "dags").glob("*.py"))
    paths = os.pathsep.join(str(ROOT / part) for part in ("include", "plugins", "."))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *files],
        env=os.environ
        | {"CITYDATA_CONTRACTS": str(contracts), "PYTHONPATH": paths, "AIRFLOW_HOME": str(contracts / ".airflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["modules"]


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory), count)
        results = [measure(Path(directory)) for _ in range(REPETITIONS)]
    seconds = sorted(seconds for seconds, _ in results)
    heavy = [name for name in HEAVY if name in results[0][1]]
    print(f"parsing all DAG files with {count} contracts, beyond importing airflow.sdk; limit 1 s of processor time:")
    print(f"  median {seconds[len(seconds) // 2]:.2f} s, fastest {seconds[0]:.2f} s, slowest {seconds[-1]:.2f} s")
    print(f"  heavy modules imported: {', '.join(heavy) or 'none'}")


if __name__ == "__main__":
    main()
