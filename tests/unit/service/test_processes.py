"""Daemons are found, and ended with all that they started; strangers are left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from citydata.service.processes import Daemon

# A leader with a child in a process group of its own, as Airflow's task supervisors have; it writes the child's number.
FAMILY = """
import os, pathlib, signal, sys, time
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL if sys.argv[2] == "orphaned" else signal.SIG_IGN)
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(300)
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else signal.SIG_DFL)
time.sleep(300)
"""


@pytest.fixture
def daemon(tmp_path: Path):
    daemon = Daemon("family", tmp_path)
    yield daemon
    daemon.stop(seconds=0)


def _start(daemon: Daemon, tmp_path: Path, temper: str = "mild") -> psutil.Process:
    note = tmp_path / "child"
    daemon.start([sys.executable, "-c", FAMILY, str(note), temper], {"CITYDATA_X": "1"}, tmp_path)
    while not (note.exists() and note.read_text()):
        time.sleep(0.01)
    return psutil.Process(int(note.read_text()))


def _is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_started_daemon_is_found_by_another_call(daemon: Daemon, tmp_path: Path) -> None:
    _start(daemon, tmp_path)
    assert Daemon("family", tmp_path).is_running()


@pytest.mark.parametrize("temper", ["mild", "stubborn"])
def test_stop_leaves_no_process_of_the_session(daemon: Daemon, tmp_path: Path, temper: str) -> None:
    child = _start(daemon, tmp_path, temper)
    leader = daemon.process()
    assert leader is not None
    assert daemon.stop(seconds=0.5)
    assert _is_gone(child)
    assert _is_gone(leader)
    assert not daemon.is_running()


def test_children_of_a_killed_leader_are_ended_too(daemon: Daemon, tmp_path: Path) -> None:
    child = _start(daemon, tmp_path)
    leader = daemon.process()
    assert leader is not None
    os.kill(leader.pid, signal.SIGKILL)
    psutil.wait_procs([leader], timeout=5)
    assert not daemon.is_running()
    assert daemon.stop(seconds=0.5)
    assert _is_gone(child)


def test_children_of_a_killed_leader_are_asked_before_they_are_killed(daemon: Daemon, tmp_path: Path) -> None:
    child = _start(daemon, tmp_path, "orphaned")
    leader = daemon.process()
    assert leader is not None
    os.kill(leader.pid, signal.SIGKILL)
    psutil.wait_procs([leader], timeout=5)
    begun = time.monotonic()
    assert daemon.stop(seconds=60)
    assert time.monotonic() - begun < 30
    assert _is_gone(child)


def test_a_stranger_who_got_the_number_is_not_touched(daemon: Daemon, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        (tmp_path / "run").mkdir()
        earlier = psutil.Process(stranger.pid).create_time() - 1000
        (tmp_path / "run" / "family.json").write_text(
            json.dumps({"pid": stranger.pid, "started": earlier, "digest": ""})
        )
        assert not daemon.is_running()
        assert not daemon.stop(seconds=0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_other_settings_are_noticed(daemon: Daemon, tmp_path: Path) -> None:
    _start(daemon, tmp_path)
    command = [sys.executable, "-c", FAMILY, str(tmp_path / "child"), "mild"]
    assert daemon.is_running(command, {"CITYDATA_X": "1", "LANG": "fi_FI.UTF-8"})
    assert not daemon.is_running(command, {"CITYDATA_X": "2"})


def test_the_log_is_private_and_its_end_is_shown(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start([sys.executable, "-c", "raise SystemExit('broken')"], {}, tmp_path)
    deadline = time.monotonic() + 10
    while daemon.is_running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert daemon.tail(1) == "broken"
    assert daemon.log.stat().st_mode & 0o077 == 0
