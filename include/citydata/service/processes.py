"""Daemons of an installation: started in a session of their own, found again by number and start time.

A process number is used again by the system; together with the time of its start it names one process for ever.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOG_LIMIT = 20 * 1024 * 1024
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Daemon:
    """A process that outlives the command that started it.

    Below `home`, `run/<name>.json` says which process it is, and `logs/<name>.log` is its output.
    """

    name: str
    home: Path

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.home / "logs" / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.home / "run" / f"{self.name}.json"

    def process(self) -> psutil.Process | None:
        """The running process, or None."""
        record = self._read()
        return _identify(record["pid"], record["started"]) if record else None

    def is_running(self, command: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> bool:
        """Whether it runs; with `command` and `environment`, whether it runs exactly so."""
        if self.process() is None:
            return False
        return command is None or self._read().get("digest") == _digest(command, environment or {})

    def start(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        """Start it in `directory` with exactly this environment, as the leader of a session of its own.

        The record is written before anybody can see the process fail, so that `stop` finds whatever was started.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._record.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).create_time()
        record = {"pid": process.pid, "started": started, "digest": _digest(command, environment)}
        temporary = self._record.with_suffix(".new")
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(self._record)

    def stop(self, seconds: float = _STOP_SECONDS) -> bool:
        """End it with every process of its session: TERM, and KILL after `seconds`. Return whether anything ran."""
        record = self._read()
        if not record:
            return False
        members = _session(record["pid"], record["started"])
        leader = _identify(record["pid"], record["started"])
        # A leader ends its own children in good order; without one they are told themselves.
        for process in [leader] if leader else members:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline = time.monotonic() + seconds
        while (left := _session(record["pid"], record["started"])) and time.monotonic() < deadline:
            time.sleep(0.05)
        while left:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.05)
            left = _session(record["pid"], record["started"])
        self._record.unlink(missing_ok=True)
        return bool(members)

    def tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def _read(self) -> dict:
        try:
            return json.loads(self._record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}


def _identify(pid: int, started: float) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if _same_start(process, started) and not _ended(process):
            return process
    return None


def _same_start(process: psutil.Process, started: float) -> bool:
    # Two seconds: the clock that start times are computed from may be adjusted. No number is used again so fast.
    return abs(process.create_time() - started) < 2


def _session(leader: int, started: float) -> list[psutil.Process]:
    """Living processes of the session. The system gives no number away again while a session or group bears it."""
    with contextlib.suppress(psutil.Error):
        if not _same_start(psutil.Process(leader), started):
            return []  # a stranger has the number, so the session is gone
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and process.create_time() > started - 2 and not _ended(process):
                found.append(process)
    return found


def _ended(process: psutil.Process) -> bool:
    if process.status() != psutil.STATUS_ZOMBIE:
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)  # ours: take it off the list
    return True


def _digest(command: Sequence[str], environment: Mapping[str, str]) -> str:
    settings = {name: value for name, value in environment.items() if name.startswith(("AIRFLOW", "CITYDATA_", "AWS_"))}
    return hashlib.sha256(json.dumps([list(command), settings], sort_keys=True).encode()).hexdigest()
