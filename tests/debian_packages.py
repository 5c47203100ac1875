"""Programs that a test needs and that Python does not bring, installed from Debian where that may be done."""

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import TypeVar

import pytest

INSTALL_SECONDS = 240

Found = TypeVar("Found")


def required(find: Callable[[], Found | None], *packages: str) -> Found:
    """What `find` finds, after installing `packages` where it finds nothing. Skips where it cannot be had; in CI that is a failure."""
    if found := find():
        return found
    why = _install(packages)
    if found := find():
        return found
    message = f"install {' and '.join(packages)} ({why or 'apt-get installed nothing that helps'})"
    pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


def _install(packages: tuple[str, ...]) -> str | None:
    """Install Debian's packages; returns why that was not possible."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "they can only be installed by root with apt-get"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        try:
            done = subprocess.run(
                ["apt-get", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"apt-get {arguments[0]} took longer than {INSTALL_SECONDS} s"
        if done.returncode:
            return f"apt-get {arguments[0]} failed: {done.stderr.strip().splitlines()[-1:]}"
    return None
