"""From the last extract's end to released marts: on the scheduler, and the same steps without Airflow.

    PYTHONPATH=include:. python tests/benchmarks/scheduler_overhead.py [PAIRS]

A platform of its own is started with a synthetic town. Its days go through the scheduler and through one plain process
in turn, so that both see the same kind of work and the same machine.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from citydata import database
from citydata.service import up
from citydata.service.simulation import Simulation
from tests.end_to_end.running_platform import Platform, started

LIMIT = 1.5
WITHOUT = """
from citydata import contract, pipeline, release, transform
batch_ids = [batch_id for dataset in contract.load_all() for batch_id in pipeline.extract_and_land(dataset)]
pipeline.audit_and_publish(contract.load_all(), batch_ids)
release.release(transform.build().build_id)
"""

# The first release that has everything in it which changed since a moment.
_SECONDS = """
    with changed as (
        select dataset, max(batch_id) as batch_id from ops.batch
        where state = 'published' and inserted + changed + closed > 0 and published_at > %(since)s group by dataset),
    complete as (
        select min(released_at) as at from ops.release r where released_at > %(since)s and not exists (
            select from changed c where c.batch_id > all (
                select h.batch_id from ops.release_horizon h where h.release_id = r.release_id and h.dataset = c.dataset)))
    select extract(epoch from at - (select max(landed_at) from ops.batch where landed_at > %(since)s and landed_at < at))::float8
    from complete
"""


def on_the_scheduler(platform: Platform) -> None:
    """The next day through the DAGs."""
    outcome = up.step(platform.installation, report=lambda _: None, watch=lambda datasets, build: None)
    if outcome.failures:
        raise RuntimeError(f"the day failed: {outcome.failures}")
    platform.wait_for_quiet()


def in_one_process(platform: Platform) -> None:
    """The next day through the same steps in a process that is started for it."""
    town = Simulation(platform.installation.home).choose(None)
    up.simulate(platform.installation, replace(town, day=town.day + 1), {})
    environment = platform.installation.airflow.environment()
    subprocess.run([sys.executable, "-c", WITHOUT], env=environment, check=True, capture_output=True)


def seconds(platform: Platform, day: Callable[[Platform], None]) -> float:
    """Bring a day through, and return the seconds between the end of the last extract and the release."""
    with database.connect("engineer", autocommit=True) as connection:
        since: datetime = database.now(connection)
        day(platform)
        row = connection.execute(_SECONDS, {"since": since}).fetchone()
    assert row is not None
    return float(row[0])


def main() -> None:
    """Print the figures."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with started() as platform:
        airflow, plain = [], []
        for _ in range(pairs):
            airflow.append(seconds(platform, on_the_scheduler))
            plain.append(seconds(platform, in_one_process))
            print(
                f"  scheduler {airflow[-1]:5.1f} s, one process {plain[-1]:5.1f} s, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    ratio = statistics.median(airflow) / statistics.median(plain)
    print(
        f"from the last extract's end to released marts: median {statistics.median(airflow):.1f} s on the scheduler,"
        f" {statistics.median(plain):.1f} s without: ratio {ratio:.2f} (limit {LIMIT})"
    )


if __name__ == "__main__":
    main()
