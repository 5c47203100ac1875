"""docker-compose.yml and the Dockerfile against each other and against the code, resolved without a container engine.

Where there is an engine, tests/end_to_end/test_server.py starts them; without one, it runs what they say in a plain directory.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from typer.testing import CliRunner

from citydata import deploy, geopackage, settings, transform
from citydata.cli import app
from citydata.service import server, state
from citydata.service.airflow import Airflow
from citydata.service.postgres import Cluster
from citydata.settings import ROOT
from tests import containers

TEXT = containers.COMPOSE.read_text(encoding="utf-8")
PLATFORM = ("prepare", "api-server", "scheduler", "dag-processor", "triggerer", "worker")
WITH_TASKS = {"scheduler", "worker"}
"""Who runs steps, or the commands of people that do."""
PROXIES = {"HTTP_PROXY": "http://plain.town.example:3128", "HTTPS_PROXY": "http://proxy.town.example:3128"}
OPERATORS = re.compile(r"\$\{(\w+)(:?[-?+])?")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services without a profile."""
    return containers.resolved(containers.environment_file(tmp_path_factory.mktemp("plain") / "town.env"))


@pytest.fixture(scope="module")
def scaled_out(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services with workers, TLS and names of the town."""
    stated = {
        "COMPOSE_PROFILES": "scale-out",
        "CITYDATA_AIRFLOW_NAME": "data.town.example",
        "CITYDATA_AIRFLOW_SSL_CERT": "/etc/citydata/certificates/airflow.crt",
        "CITYDATA_AIRFLOW_SSL_KEY": "/etc/citydata/certificates/airflow.key",
        "CITYDATA_POSTGRES_NAME": "db.town.example",
        "CITYDATA_POSTGRES_SSL": "on",
        "CITYDATA_POSTGRES_SSLMODE": "verify-full",
        "CITYDATA_CA": "/etc/citydata/certificates/bundle.crt",
        **PROXIES,
        "NO_PROXY": ".town.example,10.0.0.7",
    }
    return containers.resolved(containers.environment_file(tmp_path_factory.mktemp("scaled") / "town.env", stated))


def test_workers_and_their_broker_come_with_the_profile_only(plain: dict[str, Any], scaled_out: dict[str, Any]) -> None:
    assert set(plain["services"]) == {"postgres", *PLATFORM} - {"worker"}
    assert set(scaled_out["services"]) == {"postgres", "redis", *PLATFORM}
    assert scaled_out["services"]["worker"]["deploy"]["replicas"] in (2, "2")
    for name in PLATFORM[:-1]:
        assert plain["services"][name]["environment"]["CITYDATA_BROKER_URL"] == "", name
        broker = scaled_out["services"][name]["environment"]["CITYDATA_BROKER_URL"]
        assert re.fullmatch(r"redis://:\S{20,}@redis:6379/0", broker), name


def test_nothing_starts_with_a_default_password(tmp_path: Path) -> None:
    used: dict[str, set[str]] = {}
    for name, operator in OPERATORS.findall(TEXT):
        used.setdefault(name, set()).add(operator)
    for secret in state.server_generators():
        # `prepare` takes the other logins' from the environment file, and says which is missing.
        assert secret in used or secret.startswith("CITYDATA_PASSWORD_"), secret
        assert used.get(secret, {":?"}) in ({":?"}, {":?", ""}), secret
    file = containers.environment_file(tmp_path / "town.env")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("CITYDATA_POSTGRES_PASSWORD")))
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        containers.resolved(file)
    assert (
        "CITYDATA_POSTGRES_PASSWORD is missing a value: password of PostgreSQL's administrator" in refusal.value.stderr
    )


def test_every_variable_is_described() -> None:
    described = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    missing = {name for name, _ in OPERATORS.findall(TEXT) if f"`{name}`" not in described}
    # Roles and sources are described once for all.
    assert {name for name in missing if not name.startswith(("CITYDATA_PASSWORD_", "CITYDATA_SOURCE_"))} == set()


def test_every_variable_of_a_container_is_read_by_the_code(scaled_out: dict[str, Any]) -> None:
    read = {f"CITYDATA_PASSWORD_{role.upper()}" for role in deploy.login_roles()}
    for path in (ROOT / "include" / "citydata").rglob("*.py"):
        read.update(re.findall(r"\bCITYDATA_\w+", path.read_text(encoding="utf-8")))
    by_libraries = {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "PGSSLROOTCERT"}
    by_libraries |= {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
    for name in PLATFORM:
        stated = scaled_out["services"][name]["environment"]
        assert set(stated) - read == by_libraries, name
        # What the services need they have: nothing else comes into a container.
        assert set(server.NEEDED) <= set(stated), name


@pytest.mark.parametrize("spelling", [str.upper, str.lower])
def test_every_service_goes_outside_by_the_stated_proxies(
    scaled_out: dict[str, Any], spelling: Callable[[str], str]
) -> None:
    """Among themselves they do not: every name that one of them listens by is excepted."""
    stated = {".town.example", "10.0.0.7"}
    own = {"localhost", "127.0.0.1", "postgres", "api-server", "redis", "db.town.example", "data.town.example"}
    for name in PLATFORM:
        environment = scaled_out["services"][name]["environment"]
        assert {each: environment[spelling(each)] for each in PROXIES} == PROXIES, name
        assert set(environment[spelling("NO_PROXY")].split(",")) - {""} == own | stated, name


def test_the_image_is_built_by_the_stated_proxies(scaled_out: dict[str, Any]) -> None:
    for name in PLATFORM:
        arguments = dict(each.split("=", 1) for each in scaled_out["services"][name]["build"]["args"])
        assert {each: arguments[each] for each in PROXIES} == PROXIES, name
        assert {".town.example", "10.0.0.7"} <= set(arguments["NO_PROXY"].split(",")), name


def test_every_service_trusts_the_stated_authorities(plain: dict[str, Any], scaled_out: dict[str, Any]) -> None:
    """Without a statement those of the public, where the base image, a Debian, keeps them."""
    public, own = "/etc/ssl/certs/ca-certificates.crt", "/etc/citydata/certificates/bundle.crt"
    for services, bundle in ((plain["services"], public), (scaled_out["services"], own)):
        for name in set(PLATFORM) & set(services):
            for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "PGSSLROOTCERT"):
                assert services[name]["environment"][variable] == bundle, (name, variable)


def test_the_administrator_is_known_to_the_database_and_to_prepare_only(scaled_out: dict[str, Any]) -> None:
    services = scaled_out["services"]
    password = services["postgres"]["environment"]["POSTGRES_PASSWORD"]
    knowing = {
        name for name, service in services.items() if password in " ".join(containers.environment_of(service).values())
    }
    assert knowing == {"postgres", "prepare"}
    for name in set(PLATFORM) - {"prepare"}:
        assert "CITYDATA_AIRFLOW_ADMIN_PASSWORD" not in services[name]["environment"]
        assert services[name]["environment"]["CITYDATA_DATABASE_URL"].startswith("postgresql://db.town.example:5432/")


def test_only_who_runs_tasks_knows_the_logins_and_keys_of_steps_and_sources(tmp_path: Path) -> None:
    given = {
        "tasks": {
            "CITYDATA_SOURCE_HR": "a-login",
            "AWS_SECRET_ACCESS_KEY": "a-key",
            "CITYDATA_ARCHIVE": "s3://archive",
        },
        "alerts": {"CITYDATA_ALERT_WEBHOOK": "a-token", "AIRFLOW_CONN_SMTP_DEFAULT": "smtp://a-login"},
    }
    stated = {"COMPOSE_PROFILES": "scale-out"}
    for kind, settings_of_kind in given.items():
        file = tmp_path / f"{kind}.env"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings_of_kind.items()))
        stated[f"CITYDATA_{kind.upper()}_FILE"] = str(file)
    services = containers.resolved(containers.environment_file(tmp_path / "town.env", stated))["services"]
    environments = {name: containers.environment_of(services[name]) for name in PLATFORM}

    def knowing(variable: str) -> set[str]:
        return {name for name, environment in environments.items() if environment.get(variable)}

    for variable in given["tasks"]:
        assert knowing(variable) == WITH_TASKS, variable
    for variable in given["alerts"]:
        assert knowing(variable) == WITH_TASKS | {"dag-processor"}, variable
    # `prepare` makes the logins: it is given the environment file as it is, and ends.
    secret = {name for name in state.server_generators() if name.startswith(("CITYDATA_PASSWORD_", "CITYDATA_SOURCE_"))}
    secret |= {"CITYDATA_ARCHIVE_KEY", "CITYDATA_PSEUDONYM_KEY"}
    for variable in secret - {"CITYDATA_PASSWORD_PORTAL"}:
        assert knowing(variable) <= WITH_TASKS | {"prepare"}, variable
    assert knowing("CITYDATA_ARCHIVE_KEY") == knowing("CITYDATA_PSEUDONYM_KEY") == WITH_TASKS | {"prepare"}
    assert knowing("CITYDATA_PASSWORD_PORTAL") == WITH_TASKS | {"prepare", "api-server"}


def test_with_certificates_everything_is_reached_by_the_name_in_them(
    scaled_out: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = scaled_out["services"]
    for name, value in services["worker"]["environment"].items():
        monkeypatch.setenv(name, value)
    given = Airflow(tmp_path, services["worker"]["environment"]["CITYDATA_DATABASE_URL"]).environment()
    assert given["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "https://data.town.example:8080/execution/"
    assert given["SSL_CERT_FILE"] == given["PGSSLROOTCERT"] == "/etc/citydata/certificates/bundle.crt"
    assert "@db.town.example:5432/airflow?sslmode=verify-full" in given["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    dbt = transform._environment()
    assert (dbt["CITYDATA_DBT_SSLMODE"], dbt["PGSSLROOTCERT"]) == (
        "verify-full",
        "/etc/citydata/certificates/bundle.crt",
    )
    assert "data.town.example" in services["api-server"]["networks"]["services"]["aliases"]
    assert "db.town.example" in services["postgres"]["networks"]["services"]["aliases"]
    assert {"postgres", "redis", "data.town.example", "db.town.example"} <= set(given["NO_PROXY"].split(","))
    assert "-cssl=on" in services["postgres"]["command"]
    for name in ("postgres", *PLATFORM):
        assert any(mount.split(":")[1:] == ["/etc/citydata/certificates", "ro"] for mount in services[name]["volumes"])


def test_the_database_is_set_as_the_cluster_of_a_laptop(plain: dict[str, Any], tmp_path: Path) -> None:
    """Above all: values of rows are in no log."""
    stated = dict(word.removeprefix("-c").split("=", 1) for word in plain["services"]["postgres"]["command"][1:])
    own = dict(re.findall(r"(?m)^(\w+) = '(.*)'$", Cluster(tmp_path)._configuration(1)))
    of_the_server = {"ssl", "ssl_cert_file", "ssl_key_file", "shared_buffers"}
    assert {name: own.get(name) for name in stated.keys() - of_the_server} == {
        name: stated[name] for name in stated.keys() - of_the_server
    }
    assert {name for name in own if "parameter_max" in name or "error" in name or "statement" in name} <= set(stated)


def test_it_is_reached_from_this_machine_only_unless_somebody_says_otherwise(plain: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in plain["services"].items() if "ports" in service}
    assert ports == {"postgres": ["127.0.0.1:5432:5432"], "api-server": ["127.0.0.1:8080:8080"]}
    assert plain["networks"]["services"] == {"internal": True}


def test_every_service_restarts_is_watched_and_keeps_its_log_small(scaled_out: dict[str, Any]) -> None:
    for name, service in scaled_out["services"].items():
        assert service["restart"] == ("on-failure:3" if name == "prepare" else "unless-stopped"), name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name
        assert ("healthcheck" in service) == (name != "prepare"), name  # it ends
        if name in PLATFORM and name != "prepare":
            assert service["healthcheck"]["test"] == ["CMD", "./citydata", "server", "health", name]
            assert service["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}


def test_every_command_is_one(scaled_out: dict[str, Any]) -> None:
    [entry] = [each.words for each in containers.last_stage() if each.name == "ENTRYPOINT"]
    [workdir] = [each.words for each in containers.last_stage() if each.name == "WORKDIR"]
    assert entry == [f"{workdir[0]}/citydata"]
    started = set()
    for name in PLATFORM:
        service = scaled_out["services"][name]
        assert "entrypoint" not in service
        started.add(service["command"][-1])
        for command in (service["command"], service.get("healthcheck", {}).get("test", [])[2:]):
            assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0, command
    assert started == {"prepare", *server.SERVICES}


def test_nobody_is_root(scaled_out: dict[str, Any]) -> None:
    [user] = [each.words for each in containers.last_stage() if each.name == "USER"]
    number, group = user[0].split(":")
    [account] = [each.text for each in containers.last_stage() if "useradd" in each.text]
    assert int(number) >= 1000
    assert f"--uid {number} --gid {group}" in account
    for name, service in scaled_out["services"].items():
        assert service.get("user") == {"postgres": "postgres", "redis": "redis"}.get(name), name


def test_volumes_lie_where_the_code_writes_and_belong_to_its_user(
    scaled_out: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = containers.image_environment()["CITYDATA_HOME"]
    [making] = [each.words for each in containers.last_stage() if "useradd" in each.text]
    made = {word for word in making if word.startswith(home)}
    for name, value in scaled_out["services"]["worker"]["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path))
    for name in ("CITYDATA_ARCHIVE", "CITYDATA_DROP"):
        monkeypatch.delenv(name, raising=False)
    written = {settings.archive(), settings.drop_directory(), geopackage.directory().parent, transform._directory()}
    logs = Airflow(tmp_path, "postgresql://h/d").environment()["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]
    written |= {Path(logs).parent}
    expected = {f"{home}/{Path(each).relative_to(tmp_path)}" for each in written}
    assert expected == made - {home}
    for name in PLATFORM:
        mounts = dict(mount.split(":")[:2] for mount in scaled_out["services"][name]["volumes"])
        inside = {target for source, target in mounts.items() if target.startswith(home)}
        # Sealed archives, dropped files and what is made of them are out of reach of the web server and the others.
        assert inside == (expected if name in WITH_TASKS else {f"{home}/logs"}), name
        assert set(mounts) - set(scaled_out["volumes"]) == {"/etc/citydata/certificates", "/etc/citydata/town"}
    used = {mount.split(":")[0] for service in scaled_out["services"].values() for mount in service.get("volumes", [])}
    assert set(scaled_out["volumes"]) <= used


def test_of_this_machine_nothing_is_mounted_or_read_but_what_is_stated(tmp_path: Path) -> None:
    """By the settings with which a test starts them: an engine makes a missing folder as root and leaves it behind."""
    stated = containers.host_paths(tmp_path) | {"COMPOSE_PROFILES": "scale-out"}
    everything = containers.resolved(containers.environment_file(tmp_path / "town.env", stated))
    for name, service in everything["services"].items():
        mounted = {mount.split(":")[0] for mount in service.get("volumes", [])} - set(everything["volumes"])
        read = {entry["path"] if isinstance(entry, dict) else entry for entry in service.get("env_file", [])}
        assert mounted or name == "redis", name
        for path in map(Path, mounted):
            assert path.is_dir(), (name, path)
        assert {path for path in mounted | read if not Path(path).is_relative_to(tmp_path)} == set(), name


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's working directory, made as the Dockerfile says."""
    return containers.build(tmp_path_factory.mktemp("image"), Path(sys.prefix))


def test_every_path_that_a_service_names_is_in_the_image_or_mounted(scaled_out: dict[str, Any], tree: Path) -> None:
    [workdir] = [each.words[0] for each in containers.last_stage() if each.name == "WORKDIR"]
    for name in PLATFORM:
        service = scaled_out["services"][name]
        mounted = [mount.split(":")[1] for mount in service["volumes"]]
        values = [value for value in service["environment"].values() if value.startswith("/")]
        words = [*service["command"], *service.get("healthcheck", {}).get("test", [])]
        named = {PurePosixPath(workdir, word) for word in (*values, *words) if "/" in word}
        inside = {path for path in named if not any(path.is_relative_to(target) for target in mounted)}
        assert len(inside) >= 4, name
        for path in inside:
            assert path.is_relative_to(workdir), (name, path)
            assert (tree / path.relative_to(workdir)).exists(), (name, path)


def test_the_town_is_that_of_the_image_unless_somebody_states_another(scaled_out: dict[str, Any]) -> None:
    [workdir] = [each.words[0] for each in containers.last_stage() if each.name == "WORKDIR"]
    for variable in ("TOWN", "CONTRACTS", "EXPECTATIONS", "INVENTORY"):
        default = f"{workdir}/{getattr(settings, variable).relative_to(ROOT)}"
        for name in PLATFORM:
            assert scaled_out["services"][name]["environment"][f"CITYDATA_{variable}"] == default, (name, variable)


def test_the_image_holds_the_code_and_nothing_that_lies_about(tree: Path, tmp_path: Path) -> None:
    """Every source of a COPY exists, and whoever runs it reads all and writes nothing."""
    top = {path.name for path in tree.iterdir()}
    assert top == {
        ".venv",
        "citydata",
        "requirements.txt",
        "LICENSE",
        "dags",
        "dbt_project",
        "expectations",
        "include",
        "plugins",
    }
    files = [path for path in tree.rglob("*") if path.is_file() and ".venv" not in path.parts]
    assert len(files) > 300
    for path in files:
        assert not path.name.startswith("."), path
        assert path.suffix not in (".env", ".key", ".pem"), path
        wanted = 0o755 if path.name == "citydata" and path.parent == tree else 0o644
        assert path.stat().st_mode & 0o777 == wanted, path
    done = subprocess.run(
        [tree / "citydata", "--help"],
        env={"PATH": os.defpath, "CITYDATA_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "server" in done.stdout


def test_the_environment_is_made_by_the_launcher_before_there_is_code(tmp_path: Path) -> None:
    """The first stage: `./citydata` with an empty command line."""
    [run] = [each for each in containers.dockerfile() if each.stage == 0 and each.name == "RUN"]
    for name in ("citydata", "requirements.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = run.text.replace("/run/secrets/ca.pem", str(tmp_path / "ca.pem"))
    subprocess.run(["/bin/sh", "-ec", script], cwd=tmp_path, env={"PATH": os.defpath}, check=True)
    assert {path.name for path in (tmp_path / "include" / "citydata").iterdir()} >= {"__init__.py", "cli.py"}


def test_the_image_is_pinned_to_the_python_that_tests_run_on() -> None:
    bases = {each.words[0] for each in containers.dockerfile() if each.name == "FROM"}
    pinned = re.fullmatch(r"python:3\.(\d+)\.\d+-slim-bookworm", " ".join(bases))
    assert pinned
    assert 11 <= int(pinned[1]) <= 13
    if os.environ.get("CI") == "true":
        assert sys.version_info[:2] == (3, int(pinned[1]))


def test_no_secret_is_in_the_image() -> None:
    for each in containers.dockerfile():
        assert each.name in ("FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD", "ARG")
        if each.name in ("ARG", "ENV"):
            assert not re.search("KEY|SECRET|PASSWORD|TOKEN", each.text), each.text
    mounted = re.findall(r"--mount=type=(\w+),id=(\w+)", containers.DOCKERFILE.read_text(encoding="utf-8"))
    assert mounted == [("secret", "pip"), ("secret", "ca")]
