"""Memory does not grow with the source: the peak of a process that loads much is that of one that loads little."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.steps import Steps

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
ROOT = Path(__file__).parents[3]
MEGABYTE = 1 << 20
PEAK = """
import re, sys
from citydata import pipeline
pipeline.extract_and_land(sys.argv[1])
# Not getrusage: a process inherits that figure from the one that started it.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""


def peak(dataset: str) -> int:
    """Peak memory in MiB of a process that extracts and lands a dataset."""
    environment = {
        **os.environ,
        "CITYDATA_CONTRACTS": str(ROOT / "tests" / "contracts"),
        "PYTHONPATH": str(ROOT / "include"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PEAK, dataset], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def endless(path: Path, header: bytes, size: int) -> None:
    with path.open("wb") as file:
        file.write(header)
        for _ in range(size // MEGABYTE):
            file.write(b"x" * MEGABYTE)


@pytest.mark.parametrize("dataset", ["trial.cost_centres", "trial.remarks"])
def test_one_endless_line(trial: Steps, dataset: str) -> None:
    name, header = {
        "trial.cost_centres": ("kustannuspaikat", b"Koodi;Nimi;Talousarvio;Voimassa\n"),
        "trial.remarks": ("huomautukset", b'number;remark\n1;"'),
    }[dataset]
    endless(trial.drop(f"{name}.csv", b""), header, 300 * MEGABYTE)
    assert peak(dataset) < 300
    assert "longer than" in trial.batch(dataset)["held_reason"]
    trial.assert_accounted(dataset, current=[], extracted=0)


def test_a_long_table(trial: Steps) -> None:
    name = "y" * 60
    row = "{};" + name + ";1 234,00;1.1.2026\n"
    few = "Koodi;Nimi;Talousarvio;Voimassa\n" + "".join(row.format(1000 + number % 9000) for number in range(1000))
    trial.drop("kustannuspaikat-1.csv", few)
    little = peak("trial.cost_centres")
    lines = few.split("\n", 1)[1]
    path = trial.drop("kustannuspaikat-2.csv", few)
    with path.open("a") as file:
        for _ in range(900):
            file.write(lines)
    much = peak("trial.cost_centres")
    assert trial.batch("trial.cost_centres")["extracted"] == 901_000
    assert much < little + 220, f"{little} MiB for a thousand rows, {much} MiB for {path.stat().st_size >> 20} MiB"


def test_a_long_table_of_a_database(trial: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYDATA_SOURCE_TRIAL", os.environ["CITYDATA_DATABASE_URL"])
    trial.execute(
        "CREATE TABLE public.meter AS"
        " SELECT n AS number, repeat('x', 500) AS remark, now() AS changed_at FROM generate_series(1, 1000) AS n"
    )
    little = peak("trial.meters")
    trial.execute("INSERT INTO public.meter SELECT n, repeat('y', 500), now() FROM generate_series(1001, 300000) AS n")
    much = peak("trial.meters")
    assert trial.batch("trial.meters")["extracted"] == 300_000
    assert much < little + 150, f"{little} MiB for a thousand rows, {much} MiB for 150 MiB"
