"""Load the same ledger with dlt (Arrow) and with pandas `to_sql`, for comparison with `tests.benchmarks.ledger`.

Run: `PYTHONPATH=include:. .venv/bin/python -m tests.benchmarks.peers --rows 1000000`.
The peers are installed into an environment that this command makes and removes. They do less than the platform: no archive,
no structural rules, no versions.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ["dlt[postgres]==1.*", "pandas", "pyarrow", "sqlalchemy", "psycopg2-binary"]

DLT = """
import os, sys, time
import dlt, pyarrow.csv as csv
url, path = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
start = time.perf_counter()
@dlt.resource(name="ledger", write_disposition="replace")
def ledger():
    options = csv.ConvertOptions(column_types={name: "string" for name in open(path).readline().strip().split(";")})
    yield from csv.open_csv(path, parse_options=csv.ParseOptions(delimiter=";"), convert_options=options)
pipeline = dlt.pipeline("ledger", destination=dlt.destinations.postgres(url), dataset_name="dlt_peer", pipelines_dir=os.getcwd())
pipeline.run(ledger())
print(time.perf_counter() - start)
"""

PANDAS = """
import sys, time
import pandas, sqlalchemy
url, path = sys.argv[1:]
engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
start = time.perf_counter()
for number, part in enumerate(pandas.read_csv(path, sep=";", dtype=str, chunksize=50_000)):
    part.to_sql("pandas_peer", engine, index=False, if_exists="append" if number else "replace")
print(time.perf_counter() - start)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the ledger (default: a million)")
    rows = parser.parse_args().rows
    from citydata.service.postgres import temporary_cluster
    from simulators import ledger
    from tests.benchmarks.ledger import floor

    with tempfile.TemporaryDirectory(prefix="citydata-peers-") as directory, temporary_cluster(durable=True) as cluster:
        environment = Path(directory) / "environment"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        python = environment / "bin" / "python"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        url = cluster.ensure_database("peers")
        file = Path(directory) / "ledger.csv"
        ledger.write(file, rows=rows)
        floor(url, file)
        for name, program in {"dlt, Arrow source": DLT, "pandas to_sql": PANDAS}.items():
            seconds = floor(url, file)
            done = subprocess.run(
                [str(python), "-c", program, url, str(file)], capture_output=True, text=True, cwd=directory, check=False
            )
            if done.returncode:
                print(f"{name:22s} failed: {done.stderr.strip().splitlines()[-1]}")
                continue
            took = float(done.stdout.split()[-1])
            print(f"{name:22s} {took:6.2f} s  {took / seconds:5.2f} × floor of {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
