"""What is pinned: what would make every process slower to start is left out, and the lock files say how they are made."""

import re
import tomllib

import pytest

from citydata.settings import ROOT

LOCKS = ("requirements.txt", "requirements-test.txt")


def _pinned(lock: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_overridden_is_not_installed(lock: str) -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = {re.split(r"[;\s]", text)[0] for text in document["tool"]["uv"]["override-dependencies"]}
    assert left_out == {"rfc3987-syntax"}
    pinned = _pinned(lock)
    assert {"jsonschema", "dbt-core", "apache-airflow"} <= pinned
    assert pinned & left_out == set(), "compile it in the checkout: pyproject.toml says what is left out"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_every_package_of_its_list(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    packages = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [package.split("==")[0] for package in packages if "--hash=sha256:" not in package] == []
    listed = (ROOT / lock).with_suffix(".in").read_text(encoding="utf-8")
    names = {re.split(r"[\[=<;\s]", line)[0].lower() for line in listed.splitlines() if re.match(r"[A-Za-z]", line)}
    assert names - _pinned(lock) == set()
