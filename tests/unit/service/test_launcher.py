"""The launcher makes the environment once, again when it is half made, and says what it lacks."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from citydata.settings import ROOT

TOOLS = ("bash", "cat", "cmp", "cp", "dirname", "flock", "mkdir", "rm", "tr", "chmod")
FAKE_PYTHON = """#!/bin/bash
case "$*" in *"citydata.cli"*) echo "ran $*, PYTHONPATH=$PYTHONPATH" ;; *"pip config list"*) cat "$PIP_SETTINGS" ;; esac
"""
FAKE_UV = """#!/bin/bash
echo "uv $* index=$UV_DEFAULT_INDEX links=$UV_FIND_LINKS cert=$SSL_CERT_FILE" >> "$CALLS"
if [ "$1" = venv ]; then d="${!#}"; mkdir -p "$d/bin"; cp "$FAKE" "$d/bin/python"; chmod +x "$d/bin/python"; fi
if [ "$2" = sync ] && [ -n "$BREAK" ]; then exit 1; fi
exit 0
"""


class Checkout:
    def __init__(self, path: Path) -> None:
        self.root = path / "checkout"
        self.bin = path / "bin"
        self.calls = path / "calls"
        self.pip = path / "pip"
        for directory in (self.root, self.bin):
            directory.mkdir()
        shutil.copy(ROOT / "citydata", self.root)
        for name in ("requirements.txt", "requirements-test.txt"):
            (self.root / name).write_text(name)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.tool("python3.12", FAKE_PYTHON)
        self.tool("uv", FAKE_UV)
        self.pip.write_text("")
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(path),
            "CALLS": str(self.calls),
            "PIP_SETTINGS": str(self.pip),
            "FAKE": str(self.bin / "python3.12"),
        }

    def tool(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        return subprocess.run(
            [self.root / "citydata", *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def made(self) -> str:
        return self.calls.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_call_installs_with_hashes_and_the_second_only_runs(checkout: Checkout) -> None:
    first = checkout.run("status", "--json")
    assert first.returncode == 0, first.stderr
    assert f"pip sync --quiet --compile-bytecode --require-hashes {checkout.root}/requirements.txt" in checkout.made
    assert f"ran -m citydata.cli status --json, PYTHONPATH={checkout.root}/include:{checkout.root}" in first.stdout
    second = checkout.run("status", "--json")
    assert second.stdout == first.stdout
    assert checkout.made == ""


@pytest.mark.parametrize("command", ["test", "check", "docs"])
def test_tests_and_checks_want_more_and_then_the_rest_is_content(checkout: Checkout, command: str) -> None:
    checkout.run("up")
    checkout.run(command)
    assert "requirements-test.txt" in checkout.made
    assert "venv" not in checkout.made.split("pip sync")[0]
    checkout.run("up")
    assert checkout.made == ""


def test_an_interrupted_environment_is_made_again(checkout: Checkout) -> None:
    assert checkout.run("up", BREAK="yes").returncode != 0
    leftover = checkout.root / ".venv" / "leftover"
    leftover.touch()
    assert checkout.run("up").returncode == 0
    assert "uv venv" in checkout.made
    assert not leftover.exists()


def test_changed_requirements_are_installed(checkout: Checkout) -> None:
    checkout.run("up")
    (checkout.root / "requirements.txt").write_text("other")
    checkout.run("up")
    assert "pip sync" in checkout.made


def test_pips_settings_are_used(checkout: Checkout) -> None:
    checkout.pip.write_text(
        "global.cert='/etc/ca.pem'\nglobal.find-links='/opt/wheels'\nglobal.index-url='https://mirror/simple'\n"
    )
    checkout.run("up")
    assert "index=https://mirror/simple links=/opt/wheels cert=/etc/ca.pem" in checkout.made


def test_without_a_suitable_python_it_says_so(checkout: Checkout) -> None:
    (checkout.bin / "python3.12").unlink()
    checkout.tool("python3", "#!/bin/bash\nexit 1\n")  # too old or too new
    done = checkout.run("up")
    assert done.returncode == 1
    assert "no Python 3.11, 3.12 or 3.13 found" in done.stderr
    assert not (checkout.root / ".venv").exists()


def test_it_is_executable() -> None:
    assert os.access(ROOT / "citydata", os.X_OK)
