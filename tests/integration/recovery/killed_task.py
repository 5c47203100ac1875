"""Run one task in a process of its own, and kill -9 it, or PostgreSQL with all its backends, at a named point.

`python killed_task.py TASK POINT VICTIM DATASET SERVER_DIRECTORY`, in the environment of an installation. The platform has no
hooks for this: functions of its modules are replaced in this process only. Prints `struck` when the point is reached.
"""

import dataclasses
import functools
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from citydata import audit, database, land, ops, pipeline, publish, release, transform
from citydata.extract import archive, files
from citydata.extract.background import Background

TASK, POINT, VICTIM, DATASET, SERVER = sys.argv[1:]
SECONDS = 30


def strike() -> None:
    """Kill once; the second time that the point is passed, nothing happens."""
    if strike.__dict__.setdefault("done", False):
        return
    strike.__dict__["done"] = True
    print("struck", flush=True)  # noqa: T201
    if VICTIM == "task":
        os.kill(os.getpid(), signal.SIGKILL)
    pid = int((Path(SERVER) / "data" / "postmaster.pid").read_text().splitlines()[0])
    postmaster = psutil.Process(pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=2)


def reached(owner: Any, name: str, *, after: bool = False, when: Callable[..., bool] = lambda *_: True) -> None:
    """Strike before (or after) a call of `owner.name` of which `when` says, by its arguments, that it is the one."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def replaced(*args: Any, **options: Any) -> Any:
        wanted = when(*args)
        if wanted and not after:
            strike()
        result = original(*args, **options)
        if wanted and after:
            strike()
        return result

    setattr(owner, name, replaced)


def nth(count: int, when: Callable[..., bool] = lambda *_: True) -> Callable[..., bool]:
    """True the `count`-th time that `when` is."""
    seen = 0

    def wanted(*args: Any) -> bool:
        nonlocal seen
        seen += bool(when(*args))
        return seen == count

    return wanted


def strike_between_halves(protocol: Any) -> None:
    """Strike when PostgreSQL has got the first half of a block and waits for the second."""
    original = protocol.parse
    land.Background = InPieces  # type: ignore[misc]

    def parse(*args: Any) -> Iterator[Any]:
        for block in original(*args):
            middle = len(block.rows) // 2
            first, second = (
                dataclasses.replace(
                    block, rows=block.rows.slice(*part), numbers=block.numbers.slice(*part), refused=refused
                )
                for part, refused in (((0, middle), []), ((middle,), block.refused))
            )
            yield first
            wait_for_copy()
            strike()
            yield second

    protocol.parse = parse


class InPieces(Background):
    """Sends small pieces: PostgreSQL sees nothing of a message before it has all of it."""

    def __init__(self, consume: Callable[[bytes], object]) -> None:
        super().__init__(lambda data: [consume(data[start : start + 512]) for start in range(0, len(data), 512)])


def wait_for_copy() -> None:
    with database.connect_admin(autocommit=True) as connection:
        for _ in range(SECONDS * 20):
            if connection.execute("SELECT 1 FROM pg_stat_progress_copy WHERE bytes_processed > 0").fetchone():
                return
            time.sleep(0.05)
    raise TimeoutError("PostgreSQL got nothing of the first half")


MODEL_MADE = re.compile(r"\bOK created sql (table|incremental) model build_")

POINTS: dict[str, Callable[[], None]] = {
    "before_seal": lambda: reached(archive.Writer, "seal"),
    "archive_named": lambda: reached(archive.Writer, "seal", after=True),
    "after_seal": lambda: reached(ops, "sealed", after=True),
    "in_copy": lambda: strike_between_halves(files),
    "after_landing": lambda: reached(land, "settle", after=True),
    "after_audit": lambda: reached(audit, "_settle", after=True, when=lambda *args: args[1].dataset == DATASET),
    "in_publish": lambda: reached(
        publish._Publication, "_run", when=lambda _, statement, *__: statement.startswith("INSERT INTO {raw}")
    ),
    "before_event": lambda: reached(publish, "publish", after=True),
    "in_dbt": lambda: reached(transform, "_clean", when=nth(4, lambda text: bool(MODEL_MADE.search(text)))),
    "after_dbt": lambda: reached(transform, "_record"),
    "in_release": lambda: reached(release, "_bring_up_to_date", when=nth(10)),
}


def waiting_batches() -> list[int]:
    with database.connect("loader", autocommit=True) as connection:
        return [row[0] for row in connection.execute("SELECT batch_id FROM ops.batch WHERE state = 'landed'")]


def last_build() -> int:
    with database.connect("engineer", autocommit=True) as connection:
        row = connection.execute("SELECT max(build_id) FROM ops.build").fetchone()
    assert row
    return int(row[0])


TASKS: dict[str, Callable[[], object]] = {
    "extract": lambda: pipeline.extract_and_land(DATASET),
    "audit": lambda: audit.audit(waiting_batches()),
    "publish": lambda: publish.publish(DATASET),
    "build": transform.build,
    "release": lambda: release.release(last_build()),
}

if __name__ == "__main__":
    POINTS[POINT]()
    TASKS[TASK]()
