"""Extract, land and publish a big ledger file, as ratios to PostgreSQL's COPY of the same file into text columns.

Run: `PYTHONPATH=include:. .venv/bin/python -m tests.benchmarks.ledger --rows 1000000`.
Every measured step runs in a process of its own, whose peak memory is the operating system's figure. The floor is measured
before each step, because a shared machine drifts.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

HERE = Path(__file__).parent
os.environ["CITYDATA_CONTRACTS"] = str(HERE / "contracts")  # before citydata reads its settings
DATASET = "finance.ledger"
TARGETS = {"first load": 5.0, "same rows, new file": 4.5, "one percent changed": 5.0}


def environment(home: Path, url: str) -> dict[str, str]:
    """An installation of its own, with the contract of the ledger only."""
    from citydata.database import STEP_ROLES

    return {
        **{f"CITYDATA_PASSWORD_{role.upper()}": secrets.token_hex(12) for role in STEP_ROLES},
        "CITYDATA_HOME": str(home),
        "CITYDATA_DATABASE_URL": url,
        "CITYDATA_PSEUDONYM_KEY": f"k1:{secrets.token_hex(32)}",
    }


def floor(url: str, file: Path) -> float:
    """Seconds that COPY takes for the file into text columns of a new table."""
    with psycopg.connect(url, autocommit=True) as connection, open(file, "rb") as opened:
        header = opened.readline().decode().strip().split(";")
        opened.seek(0)
        connection.execute("DROP TABLE IF EXISTS public.floor")
        connection.execute(f"CREATE TABLE public.floor ({', '.join(f'{name} text' for name in header)})")
        connection.execute("CHECKPOINT")
        start = time.perf_counter()
        with connection.cursor().copy("COPY public.floor FROM STDIN (FORMAT csv, HEADER, DELIMITER ';')") as copy:
            while block := opened.read(1 << 20):
                copy.write(block)
        return time.perf_counter() - start


def load() -> None:
    """The measured process: extract and land, then publish. The audit is measured apart (`tests.benchmarks.suite`)."""
    import pandas  # noqa: F401 - pyarrow imports it for its first array; loading libraries is not what is measured

    from citydata import database, pipeline, publish

    start = time.perf_counter()
    batches = pipeline.extract_and_land(DATASET)
    landed = time.perf_counter()
    with database.connect("loader", autocommit=True) as connection:
        connection.execute("UPDATE ops.batch SET state = 'audited' WHERE batch_id = ANY(%s)", (batches,))
    ready = time.perf_counter()
    done = publish.publish(DATASET)
    end = time.perf_counter()
    # getrusage would tell the parent's peak where that was higher: a child inherits it.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    print(landed - start, end - ready, peak, sum(one.inserted + one.changed + one.unchanged for one in done))


def step(name: str, url: str, file: Path, *, before: bool = True) -> None:
    """Measure one load of what lies in the drop directory, in a process of its own."""
    seconds = floor(url, file) if before else 0.0
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.ledger", "--load"], capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(result.stderr)
    land, publish, peak, rows = result.stdout.split()
    total = float(land) + float(publish)
    ratio = f"{total / seconds:5.2f} × floor of {seconds:.2f} s (target {TARGETS[name]})" if before else ""
    print(
        f"{name:22s} {total:6.2f} s = land {float(land):5.2f} + publish {float(publish):5.2f}  {ratio}  peak {peak} MB  rows {rows}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the ledger (default: a million)")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        load()
        return
    from citydata.service.postgres import temporary_cluster
    from simulators import ledger

    with (
        tempfile.TemporaryDirectory(prefix="citydata-ledger-") as directory,
        temporary_cluster(durable=True) as cluster,
    ):
        home = Path(directory)
        drop = home / "drop" / "finance"
        drop.mkdir(parents=True)
        url = cluster.ensure_database("citydata")
        os.environ.update(environment(home, url))
        from citydata import deploy

        deploy.deploy()
        files = {
            "first load": {},
            "same rows, new file": {"shuffled": True},
            "one percent changed": {"changed_share": 0.01},
        }
        print(f"{arguments.rows} rows, {os.cpu_count()} cores", flush=True)
        for number, (name, options) in enumerate(files.items()):
            file = drop / f"ledger-{number}.csv"
            size = ledger.write(file, rows=arguments.rows, **options)
            file.with_name(file.name + ".done").touch()
            if not number:
                print(f"file of {size / 1e6:.1f} MB", flush=True)
                floor(url, file)  # once unmeasured: the first COPY of a new cluster grows its files
            step(name, url, file)
        copy = drop / "ledger-3.csv"
        copy.write_bytes(file.read_bytes())
        copy.with_name(copy.name + ".done").touch()
        step("identical bytes", url, copy, before=False)


if __name__ == "__main__":
    main()
