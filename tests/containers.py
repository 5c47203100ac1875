"""docker-compose.yml and the Dockerfile as a container engine understands them, where there is none."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from citydata.service import server
from citydata.settings import ROOT

COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
REQUIRED = {"CITYDATA_AIRFLOW_URL": "https://data.town.example"}
"""What a person has to state beside the secrets."""


def environment_file(path: Path, settings: Mapping[str, str] | None = None, *, secrets: str | None = None) -> Path:
    """The file that a person makes for a server: the secrets, what must be stated, and `settings`."""
    stated = REQUIRED | {"CITYDATA_ENV_FILE": str(path)} | dict(settings or {})
    lines = "".join(f"{name}={value}\n" for name, value in stated.items())
    path.write_text((secrets or server.secrets()) + lines, encoding="utf-8")
    path.chmod(0o600)
    return path


def host_paths(directory: Path) -> dict[str, str]:
    """Settings by which an engine mounts and reads nothing of this machine but what lies in `directory`.

    Makes the folders, which an engine would make as root. The files are nobody's duty, and absent.
    """
    folders = {"CITYDATA_CERTIFICATES": "certificates", "CITYDATA_TOWN_DIRECTORY": "town"}
    files = {"CITYDATA_ALERTS_FILE": "alerts.env", "CITYDATA_TASKS_FILE": "tasks.env"}
    for name in folders.values():
        (directory / name).mkdir(exist_ok=True)
    return {variable: str(directory / name) for variable, name in (folders | files).items()}


def resolved(file: Path) -> dict[str, Any]:
    """docker-compose.yml with the variables of an environment file and of nothing else, and the services of its profiles.

    Raises CalledProcessError, with what is missing at the end of its stderr.
    """
    done = subprocess.run(
        [Path(sys.executable).with_name("podman-compose"), "--dry-run", "-f", COMPOSE, "--env-file", file, "config"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    return yaml.load(done.stdout, Loader=yaml.CSafeLoader)


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Environment of a resolved service: its files that exist, then what it states itself."""
    found: dict[str, str] = {}
    for entry in service.get("env_file", []):
        path = Path(entry["path"] if isinstance(entry, dict) else entry)
        if path.exists() or not isinstance(entry, dict) or entry.get("required", True):
            lines = path.read_text(encoding="utf-8").splitlines()
            found |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return found | {name: str(value) for name, value in service.get("environment", {}).items()}


@dataclass(frozen=True)
class Instruction:
    """A line of a Dockerfile. `stage` counts from 0; `words` are its arguments, without the flags."""

    stage: int
    name: str
    words: list[str]
    flags: dict[str, str]
    text: str


def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions in their order, its own arguments replaced."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"))
    found: list[Instruction] = []
    arguments: dict[str, str] = {}
    stage = -1
    for line in re.sub(r"\\\n", " ", text).splitlines():
        name, _, rest = line.strip().partition(" ")
        if not name:
            continue
        stage += name == "FROM"
        if name == "ARG":
            key, _, value = rest.partition("=")
            arguments[key] = value
        if name == "FROM":
            rest = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest)
        plain = re.sub(r"^(--[\w-]+=\S+\s+)+", "", rest)
        flags = dict(re.findall(r"--([\w-]+)=(\S+)", rest.removesuffix(plain)))
        words = json.loads(plain) if plain.startswith("[") else shlex.split(plain)
        found.append(Instruction(stage, name, words, flags, plain))
    return found


def last_stage() -> list[Instruction]:
    """What makes the image itself."""
    instructions = dockerfile()
    return [each for each in instructions if each.stage == instructions[-1].stage]


def image_environment() -> dict[str, str]:
    """What ENV gives to every container."""
    return dict(word.split("=", 1) for each in last_stage() if each.name == "ENV" for word in each.words)


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path of the checkout out: the last pattern decides that fits it or a folder above it."""
    decided = False
    for pattern, wanted in _patterns():
        above = [path, *map(str, PurePosixPath(path).parents)][:-1]
        if any(pattern.fullmatch(each) for each in above):
            decided = not wanted
    return decided


def _patterns() -> Iterator[tuple[re.Pattern[str], bool]]:
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            parts = re.split(r"(\*\*/|\*)", line.removeprefix("!"))
            signs = {"**/": "(?:.*/)?", "*": "[^/]*"}
            yield re.compile("".join(signs.get(part) or re.escape(part) for part in parts)), line.startswith("!")


def context() -> list[str]:
    """Paths of the files of the checkout that an engine is sent."""
    found = []
    for directory, folders, files in os.walk(ROOT):
        here = Path(directory).relative_to(ROOT)
        # A folder is left out with all that is in it unless a later pattern wants something below: ours want none.
        folders[:] = [name for name in folders if not ignored((here / name).as_posix())]
        found += [path for name in files if not ignored(path := (here / name).as_posix())]
    return found


def build(target: Path, environment: Path) -> Path:
    """Make the image's tree below `target` as the last stage says, with a link to an environment that is there already.

    Returns the directory that stands for the image's working directory. What makes users and volumes is left out.
    """
    [workdir] = [each.words[0] for each in last_stage() if each.name == "WORKDIR"]
    root = target / workdir.lstrip("/")
    root.mkdir(parents=True)
    sent = context()
    for each in last_stage():
        if each.name == "COPY" and "from" in each.flags:
            assert each.words == [f"{workdir}/.venv", ".venv"]
            (root / ".venv").symlink_to(environment)
        elif each.name == "COPY":
            *sources, place = each.words
            for source in sources:
                _copy(source, root, place, sent)
        elif each.name == "RUN" and ".venv/bin/python" in each.text:
            subprocess.run(["/bin/sh", "-c", each.text], cwd=root, check=True)
    return root


def _copy(source: str, root: Path, place: str, sent: list[str]) -> None:
    files = [path for path in sent if path == source or path.startswith(f"{source}/")]
    if not files:
        raise FileNotFoundError(f"COPY {source}: there is no such file in what the engine is sent")
    for path in files:
        below = PurePosixPath(path).relative_to(source)
        target = root / place / (below if str(below) != "." else PurePosixPath(source).name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
