"""docker-compose.yml played without a container engine: the image's tree in a plain directory, its commands as a user who is not root.

A container is a directory of its own with links to the volumes; the names of the services are ports of the loopback.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import psutil
import psycopg
import pytest
import requests

from citydata.service.airflow import Api
from citydata.service.postgres import Cluster, temporary_cluster
from tests import certificates, containers, debian_packages, object_storage
from tests.redis_server import free_port

PREPARE_SECONDS = 180
HEALTHY_SECONDS = 120
STOP_SECONDS = 15
ANYBODY = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Container:
    """A running service. `image` is the tree that stands for the image."""

    name: str
    service: Mapping[str, Any]
    environment: dict[str, str]
    image: Path
    directory: Path
    user: list[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it has printed."""
        return self.directory / "log"

    def start(self) -> None:
        """Run the service's command by the image's entry point."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.user, *self._entry(), *self.service["command"]],
                env=self.environment,
                cwd=self.image,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as `docker compose exec` does."""
        return subprocess.run(
            [*self.user, *command], env=self.environment, cwd=self.image, capture_output=True, text=True, check=False
        )

    def is_healthy(self) -> bool:
        """What its health check says."""
        assert self.process is None or self.process.poll() is None, f"{self.name} ended: {self.tail()}"
        kind, *command = self.service["healthcheck"]["test"]
        assert kind == "CMD"
        return self.execute(*command).returncode == 0

    def processes(self) -> list[psutil.Process]:
        """Everything that it runs now."""
        assert self.process
        with contextlib.suppress(psutil.NoSuchProcess):
            leader = psutil.Process(self.process.pid)
            return [leader, *leader.children(recursive=True)]
        return []

    def stop(self) -> None:
        """End it, in good order or not."""
        members = self.processes() if self.process else []
        for process in members[:1]:
            process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(members, timeout=STOP_SECONDS)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process:
            self.process.wait()

    def tail(self) -> str:
        """The end of what it has printed."""
        return self.log.read_text(errors="replace")[-3000:]

    def _entry(self) -> list[str]:
        [entry] = [each.words for each in containers.last_stage() if each.name == "ENTRYPOINT"]
        return [str(self.image / Path(entry[0]).name), *entry[1:]]


@dataclass
class Server:
    """A running server."""

    directory: Path
    cluster: Cluster
    storage: object_storage.ObjectStorage
    settings: dict[str, str]
    """The environment file."""
    address: str
    containers: dict[str, Container] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each part of the start took."""

    @property
    def api(self) -> Api:
        """Airflow's API, over TLS, as the administrator."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REQUESTS_CA_BUNDLE", str(self.directory / "certificates" / "bundle.crt"))
            return Api(self.address, self.settings["CITYDATA_AIRFLOW_ADMIN_PASSWORD"])

    def query(self, statement: str, database: str = "citydata") -> list[tuple[Any, ...]]:
        """Ask a database as the administrator."""
        with psycopg.connect(self.cluster.url(database), autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    def volume(self, name: str) -> Path:
        """Where a named volume lies."""
        return self.directory / "volumes" / name

    def wait(self, condition: Any, what: str, seconds: float) -> None:
        """Wait for a condition. Fails when it does not come about, or when a service has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            for name, each in self.containers.items():
                if each.process and each.process.poll() is not None and name != "prepare":
                    pytest.fail(f"{name} ended: {each.tail()}")
            if time.monotonic() > deadline:
                tails = "\n".join(f"== {name}\n{each.tail()}" for name, each in self.containers.items())
                pytest.fail(f"waited {seconds:.0f} s for {what}\n{tails}")
            time.sleep(0.5)


@contextlib.contextmanager
def started(settings: Mapping[str, str], volumes: Mapping[str, Path]) -> Iterator[Server]:
    """Start the profile scale-out with a person's `settings`, and leave neither process nor file behind.

    `volumes` are folders of this machine that settings name.
    """
    directory = Path(tempfile.mkdtemp(prefix="citydata-server-"))
    directory.chmod(0o755)
    try:
        with contextlib.ExitStack() as stack:
            yield _start(directory, settings, volumes, stack)
    finally:
        shutil.rmtree(directory)


def _start(
    directory: Path, settings: Mapping[str, str], volumes: Mapping[str, Path], stack: contextlib.ExitStack
) -> Server:
    began = time.monotonic()
    image = containers.build(directory / "image", Path(sys.prefix))
    certificates.make(directory / "certificates", "127.0.0.1")
    (directory / "certificates" / "bundle.crt").write_bytes(
        Path(certifi.where()).read_bytes() + (directory / "certificates" / "ca.crt").read_bytes()
    )
    storage = stack.enter_context(object_storage.running())
    given = containers.host_paths(directory)
    Path(given["CITYDATA_TASKS_FILE"]).write_text(
        "".join(f"{name}={value}\n" for name, value in storage.environment.items())
    )
    port, broker = free_port(), free_port()
    stated = {
        **given,
        "COMPOSE_PROFILES": "scale-out",
        "CITYDATA_RETRY_SECONDS": "4",
        "CITYDATA_AIRFLOW_URL": f"https://127.0.0.1:{port}",
        "CITYDATA_AIRFLOW_NAME": "127.0.0.1",
        "CITYDATA_AIRFLOW_SSL_CERT": "/etc/citydata/certificates/server.crt",
        "CITYDATA_AIRFLOW_SSL_KEY": "/etc/citydata/certificates/server.key",
        "CITYDATA_CA": "/etc/citydata/certificates/bundle.crt",
        **settings,
    }
    secrets = subprocess.run(
        [image / "citydata", "server", "secrets"],
        env={"PATH": ANYBODY, **{name: _outside(value, volumes) for name, value in settings.items()}},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    file = containers.environment_file(directory / "town.env", stated, secrets=secrets)
    known = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    services = containers.resolved(file)["services"]
    server_settings = dict(
        word.removeprefix("-c").split("=", 1)
        for word in services["postgres"]["command"][1:]
        # Of the wheel PostgreSQL has no TLS, and CI's machine less memory.
        if not word.startswith(("-cssl", "-cshared_buffers"))
    )
    cluster = stack.enter_context(temporary_cluster(settings=server_settings))
    cluster.ensure_database(services["postgres"]["environment"]["POSTGRES_DB"])
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE postgres PASSWORD '{known['CITYDATA_POSTGRES_PASSWORD']}'")
    (cluster.directory / "password").write_text(known["CITYDATA_POSTGRES_PASSWORD"])
    stack.enter_context(_redis(services["redis"], directory, broker))
    places = {
        "@postgres:5432": f"@127.0.0.1:{cluster.port}",
        "//postgres:5432": f"//127.0.0.1:{cluster.port}",
        "@redis:6379": f"@127.0.0.1:{broker}",
        "/etc/citydata/certificates": str(directory / "certificates"),
        **{inside: str(outside) for inside, outside in volumes.items()},
    }
    server = Server(directory, cluster, storage, known, f"https://127.0.0.1:{port}")
    server.seconds["image, PostgreSQL, Redis, object storage"] = time.monotonic() - began
    for name, service in services.items():
        if name not in ("postgres", "redis"):
            for number in range(1, int(service.get("deploy", {}).get("replicas", 1)) + 1):
                container = _container(directory, image, name, service, number, places)
                container.environment["CITYDATA_AIRFLOW_PORT"] = str(port)
                server.containers[container.name] = container
    stack.callback(_stop, server)
    _bring_up(server)
    return server


def _container(
    directory: Path, image: Path, name: str, service: Mapping[str, Any], number: int, places: Mapping[str, str]
) -> Container:
    label = f"{name}-{number}" if "deploy" in service else name
    own = directory / "containers" / label
    given = containers.image_environment() | containers.environment_of(service)
    home = own / given["CITYDATA_HOME"].lstrip("/")
    home.mkdir(parents=True)
    [workdir] = [each.words[0] for each in containers.last_stage() if each.name == "WORKDIR"]
    replaced = {**places, given["CITYDATA_HOME"]: str(home), workdir: str(image)}
    for mount in service["volumes"]:
        source, target = mount.split(":")[:2]
        if target.startswith(given["CITYDATA_HOME"]):
            volume = directory / "volumes" / source
            volume.mkdir(parents=True, exist_ok=True)
            (home / Path(target).name).symlink_to(volume)
    [user] = [each.words[0] for each in containers.last_stage() if each.name == "USER"]
    # The image has the user's name in its /etc/passwd; this machine need not.
    environment = {"PATH": ANYBODY, "HOSTNAME": label, "LOGNAME": "citydata"}
    for key, value in given.items():
        environment[key] = _outside(value, replaced)
    identity = _identity(*map(int, user.split(":")), [own, directory / "volumes", directory / "certificates"])
    return Container(label, service, environment, image, own, identity)


def _outside(value: str, places: Mapping[str, str | Path]) -> str:
    """A setting of a container as it is written outside of one."""
    for inside, outside in places.items():
        value = value.replace(inside, str(outside))
    return value


def _identity(user: int, group: int, places: list[Path]) -> list[str]:
    """What runs a command as the image's user, to whom `places` are given; nothing when nobody here is root."""
    if os.geteuid() != 0:
        return []
    for place in places:
        for path in (place, *place.rglob("*")):
            os.chown(path, user, group, follow_symlinks=False)
    command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
    if subprocess.run([*command, "/bin/sh", "-c", 'test -x "$0"', sys.executable], check=False).returncode:
        # The Python of this machine lies where nobody else may enter: the user may read everything, and write its own.
        command += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    return command


@contextlib.contextmanager
def _redis(service: Mapping[str, Any], directory: Path, port: int) -> Iterator[None]:
    """Redis by the service's own command, in a directory in place of its volume."""
    debian_packages.required(lambda: shutil.which("redis-server"), "redis-server")
    data = directory / "broker"
    data.mkdir()
    shell, option, script = service["command"]
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [shell, option, script.replace("dir /data", f"dir {data}\nport {port}\nbind 127.0.0.1")],
            env={"PATH": ANYBODY, **service["environment"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        kind, check = service["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        check = check.replace("redis-cli", f"redis-cli -p {port}")
        for _ in range(100):
            if not subprocess.run(
                ["/bin/sh", "-c", check], env={"PATH": ANYBODY, **service["environment"]}, check=False
            ).returncode:
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"Redis does not answer: {(directory / 'redis.log').read_text()}")
        yield
    finally:
        process.kill()
        process.wait()


def _bring_up(server: Server) -> None:
    """In the order that `depends_on` says."""
    began = time.monotonic()
    prepare = server.containers["prepare"]
    prepare.start()
    assert prepare.process
    assert prepare.process.wait(PREPARE_SECONDS) == 0, prepare.tail()
    server.seconds["prepare"] = time.monotonic() - began
    began = time.monotonic()
    api = server.containers["api-server"]
    api.start()
    server.wait(server.api.health, "the API server", HEALTHY_SECONDS)
    for name, container in server.containers.items():
        if name not in ("prepare", "api-server"):
            container.start()
    components = {"scheduler", "dag_processor", "triggerer"}
    server.wait(
        lambda: all(server.api.health().get(each) == "healthy" for each in components), "the services", HEALTHY_SECONDS
    )
    server.seconds["services"] = time.monotonic() - began


def _stop(server: Server) -> None:
    for container in reversed(server.containers.values()):
        if container.process and container.process.poll() is None:
            container.process.send_signal(signal.SIGTERM)
    for container in server.containers.values():
        container.stop()


def get(server: Server, path: str, **arguments: Any) -> requests.Response:
    """Ask the API server as nobody known."""
    bundle = server.directory / "certificates" / "bundle.crt"
    return requests.get(f"{server.address}{path}", verify=str(bundle), timeout=30, **arguments)
