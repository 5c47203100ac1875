"""Two runs of one dataset at once leave what one run leaves."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from citydata import audit, ops, pipeline, publish
from tests.integration.steps import Steps

CENTRES = "trial.cost_centres"
ROOT = Path(__file__).parents[3]


def content(codes: range, name: str = "Yksikkö") -> str:
    return "Koodi;Nimi;Talousarvio;Voimassa\n" + "".join(f"{code};{name};;\n" for code in codes)


def assert_one_version_each(trial: Steps, codes: range) -> None:
    assert len(trial.current(CENTRES)) == len(codes)
    trial.assert_accounted(CENTRES, current=[(str(code), "Yksikkö", None, None) for code in codes])


def test_two_publications_at_once(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", content(range(1000, 3000), "Vanha"))
    trial.load(CENTRES)
    trial.drop("kustannuspaikat-2.csv", content(range(1000, 3000)))
    audit.audit(pipeline.extract_and_land(CENTRES))

    with ThreadPoolExecutor(2) as pool:
        done = [batch for batches in pool.map(publish.publish, [CENTRES] * 2) for batch in batches]

    assert [(batch.changed, batch.inserted) for batch in done] == [(2000, 0)]
    assert_one_version_each(trial, range(1000, 3000))
    assert trial.query("SELECT count(*) FROM raw.trial__cost_centres") == [(4000,)]


def test_two_extractions_at_once_take_a_file_once(trial: Steps) -> None:
    trial.drop("kustannuspaikat.csv", content(range(1000, 3000)))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(pipeline.extract_and_land, [CENTRES] * 2)
    assert first == second
    assert trial.states(CENTRES) == ["landed"]


def test_an_audit_that_another_run_overtakes_looks_again(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.drop("kustannuspaikat.csv", content(range(1000, 1010)))
    [batch_id] = pipeline.extract_and_land(CENTRES)
    judge = audit._audit

    def overtaken(runner: Any, batch: ops.Batch) -> str:
        monkeypatch.setattr(audit, "_audit", judge)
        audit.audit([batch.batch_id])
        publish.publish(CENTRES)
        runner.connection.execute(f"SELECT FROM landing.{batch.landing_table}")  # which the other one has dropped
        return "audited"

    monkeypatch.setattr(audit, "_audit", overtaken)
    assert audit.audit([batch_id]) == {batch_id: "published"}
    assert_one_version_each(trial, range(1000, 1010))


# The audit, which imports Great Expectations, is left out: it takes the batches that have landed as they are.
WHOLE_RUN = """
import sys
from citydata import audit, database, pipeline
def passed(batches):
    with database.connect("loader") as connection:
        connection.execute("UPDATE ops.batch SET state = 'audited' WHERE batch_id = ANY(%s) AND state = 'landed'", (batches,))
audit.audit = passed
sys.stdin.readline()
pipeline.audit_and_publish([sys.argv[1]], pipeline.extract_and_land(sys.argv[1]))
"""


def test_two_whole_runs_at_once(trial: Steps) -> None:
    trial.drop("kustannuspaikat-1.csv", content(range(1000, 2000)))
    trial.drop("kustannuspaikat-2.csv", content(range(1000, 2010)))
    environment = {
        **os.environ,
        "CITYDATA_CONTRACTS": str(ROOT / "tests" / "contracts"),
        "PYTHONPATH": f"{ROOT / 'include'}:{ROOT}",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WHOLE_RUN, CENTRES], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:  # both have imported what they need and start together
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
    errors = [process.communicate()[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    trial.load(CENTRES)  # whatever the slower one left
    assert trial.states(CENTRES) == ["published", "published"]
    assert_one_version_each(trial, range(1000, 2010))
    assert trial.query("SELECT count(*) FROM raw.trial__cost_centres") == [(1010,)]
