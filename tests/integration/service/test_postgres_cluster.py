"""The cluster from the wheel: starts, recovers, avoids ports, and never logs a value."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from citydata.service import postgres
from citydata.service.postgres import Cluster, ClusterError, temporary_cluster


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the system user may pass through, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="citydata-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def durable() -> Iterator[Cluster]:
    with temporary_cluster(durable=True) as cluster:
        yield cluster


def _pid(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def test_it_is_utf8_on_the_loopback_with_a_password(durable: Cluster) -> None:
    with psycopg.connect(durable.ensure_database("warehouse")) as connection:
        settings = dict(connection.execute("select name, setting from pg_settings").fetchall())
    assert settings["server_encoding"] == "UTF8"
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["unix_socket_directories"] == ""
    assert settings["synchronous_commit"] == "on"
    assert settings["jit"] == "off"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(durable.url().replace(durable.password, "wrong"))


def test_what_was_committed_survives_a_kill(durable: Cluster) -> None:
    with psycopg.connect(durable.url(), autocommit=True) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as number")
        os.kill(_pid(durable), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while durable.is_running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not durable.is_running()
    durable.start()
    with psycopg.connect(durable.url()) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1000,)


def test_a_second_start_and_a_second_stop_change_nothing(durable: Cluster) -> None:
    before = _pid(durable)
    assert Cluster(durable.directory).start() == durable.url()
    assert _pid(durable) == before
    durable.stop()
    durable.stop()
    assert not durable.is_running()


def test_stop_leaves_no_process(durable: Cluster) -> None:
    server = psutil.Process(_pid(durable))
    processes = [server, *server.children(recursive=True)]
    durable.stop()
    assert not [process for process in processes if process.is_running()]


def test_the_address_stays_after_a_restart(durable: Cluster) -> None:
    url = durable.url()
    durable.stop()
    assert Cluster(durable.directory).start() == url


def test_the_number_of_a_stranger_in_the_pid_file_does_not_hinder(durable: Cluster) -> None:
    lines = (durable.data / "postmaster.pid").read_text().splitlines()
    durable.stop()
    # A process of the same user, as after a reboot, so that PostgreSQL itself cannot tell.
    user = durable.data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as stranger:
        (durable.data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert not durable.is_running()
        durable.start()
        assert stranger.poll() is None
        stranger.kill()
    assert durable.is_running()


def test_a_port_in_use_is_avoided(directory: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        cluster = Cluster(directory / "cluster", port=taken)
        try:
            cluster.start()
            assert taken < cluster.port < taken + 100
        finally:
            cluster.stop()


def test_an_interrupted_initdb_is_done_again(directory: Path) -> None:
    (directory / "cluster" / "data.new").mkdir(parents=True)
    (directory / "cluster" / "data.new" / "PG_VERSION").write_text("18")
    cluster = Cluster(directory / "cluster")
    try:
        assert cluster.start().startswith("postgresql://postgres:")
    finally:
        cluster.stop()


def test_no_value_reaches_the_log(durable: Cluster) -> None:
    secret = "131052-308T"
    with psycopg.connect(durable.url(), autocommit=True) as connection:
        connection.execute("create table person (code text primary key, born int)")
        for statement, values in (
            (f"insert into person values ('{secret}', 'x')", None),
            ("insert into person values (%s, %s::text::int)", (secret, secret)),
            (f"do $$ begin raise warning '{secret}'; end $$", None),
            (f"select '{secret}'::int", None),
        ):
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement, values)
        connection.execute("insert into person values (%s, 1)", (secret,))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into person values (%s, 1)", (secret,))
    durable.stop()
    logs = list(durable.log_directory.iterdir())
    assert any("database system is ready" in path.read_text() for path in logs)
    assert not [path for path in logs if secret in path.read_text(errors="replace")]


def test_a_server_that_cannot_start_says_why(directory: Path) -> None:
    cluster = Cluster(directory / "cluster", settings={"shared_buffers": "a lot"})
    with pytest.raises(ClusterError, match="shared_buffers"):
        cluster.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a system user")
def test_as_root_a_way_that_is_closed_to_the_system_user_is_named_and_not_opened(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ClusterError, match=f"cannot enter {closed}"):
        Cluster(closed / "cluster").start()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a system user")
def test_as_root_binaries_behind_a_closed_directory_are_copied(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_may_execute", lambda path, user: False)
    cluster = Cluster(directory / "cluster")
    try:
        cluster.start()
        program = Path(f"/proc/{_pid(cluster)}/exe").resolve()
        assert cluster.directory in program.parents
    finally:
        cluster.stop()
