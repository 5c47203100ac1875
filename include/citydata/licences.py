"""What the platform is made of: a bill of materials (CycloneDX) and the licence of every package that it runs on.

The packages and their hashes are those that requirements.txt pins; what their licences are, the installed packages say. Licences that
nobody has allowed are named: `include/licences.yaml` holds those that may be used, and what a person found where metadata is silent.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from citydata.settings import ROOT

POLICY = ROOT / "include" / "licences.yaml"
REQUIREMENTS = ROOT / "requirements.txt"
SPECIFICATION = "1.6"
"""Version of CycloneDX."""


class LicenceError(RuntimeError):
    """A bill of materials that could not be made; the text says why and what to do."""


@dataclass(frozen=True)
class Package:
    """A pinned package. `licence` is an SPDX expression, `stated` what its metadata says; `problem` why it may not be used."""

    name: str
    version: str
    licence: str
    stated: str
    problem: str | None = None
    reviewed: str | None = None


@dataclass(frozen=True)
class Policy:
    """Licences that may be used, names that stand for one, and packages that a person has looked at."""

    allowed: frozenset[str]
    names: Mapping[str, str]
    reviewed: Mapping[str, Mapping[str, str]]

    @cached_property
    def _spdx(self) -> Any:
        from license_expression import get_spdx_licensing  # type: ignore[import-untyped]  # noqa: PLC0415 - of the test environment

        return get_spdx_licensing()

    def _parsed(self, text: str) -> Any | None:
        """The expression; None when it is none, or one of licences that SPDX does not know."""
        from license_expression import ExpressionError, ParseError  # noqa: PLC0415 - as above

        try:
            return self._spdx.parse(text, validate=True)
        except (ExpressionError, ParseError):
            return None

    def _value(self, expression: Any, allowed: Mapping[Any, bool]) -> bool:
        if expression in allowed:
            return allowed[expression]
        parts = (self._value(part, allowed) for part in expression.args)
        return all(parts) if isinstance(expression, self._spdx.AND) else any(parts)

    def judge(self, name: str, version: str, stated: str) -> Package:
        """What a package's licence is and whether it may be used. Of a choice one must be allowed, of several all."""
        if decision := self.reviewed.get(normal(name)):
            return Package(name, version, decision["licence"], stated, reviewed=decision["reason"])
        # Classifiers are joined by semicolons: each of them may hold.
        parts = [self.names.get(part.strip(), part.strip()) for part in stated.split(";")]
        text = " AND ".join(dict.fromkeys(f"({part})" if " " in part and len(parts) > 1 else part for part in parts))
        expression = self._parsed(text)
        if expression is None:
            return Package(name, version, "NOASSERTION", stated, f"an unknown licence: “{stated or 'none'}”")
        values = {symbol: symbol.key in self.allowed for symbol in expression.symbols}
        fine = self._value(expression, values)
        refused = ", ".join(sorted(symbol.key for symbol, allowed in values.items() if not allowed))
        return Package(
            name, version, str(expression), stated, None if fine else f"a licence that is not allowed: {refused}"
        )


def read_policy(path: Path = POLICY) -> Policy:
    """The policy in `include/licences.yaml`."""
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return Policy(frozenset(document["allowed"]), document["names"], document["reviewed"])


def normal(name: str) -> str:
    """A package's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bill_of_materials() -> tuple[dict[str, Any], list[Package]]:
    """The bill of materials as a CycloneDX document, and the packages in it; the same requirements give the same bytes.

    Raises LicenceError when the tools of the test environment cannot tell.
    """
    document = json.loads(
        _run(
            "cyclonedx-py", "requirements", str(REQUIREMENTS), "--pyproject", str(ROOT / "pyproject.toml"),
            "--spec-version", SPECIFICATION, "--output-reproducible", "--no-validate",
        )
    )  # fmt: skip
    stated = {
        normal(row["Name"]): "" if row["License"] == "UNKNOWN" else row["License"]
        for row in json.loads(_run("pip-licenses", "--format=json", "--from=mixed", "--with-system"))
    }
    policy = read_policy()
    packages = []
    for component in document["components"]:
        package = policy.judge(component["name"], component["version"], stated.get(normal(component["name"]), ""))
        packages.append(package)
        del component["description"]  # the line of the requirements
        unknown: dict[str, Any] = {"license": {"name": package.stated or "unknown"}}
        component["licenses"] = [unknown if package.licence == "NOASSERTION" else {"expression": package.licence}]
        component["bom-ref"] = component["purl"]
    document["components"].sort(key=lambda component: component["purl"])
    document["dependencies"] = _dependencies(document)
    return document, sorted(packages, key=lambda package: (normal(package.name), package.version))


def _dependencies(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which package needs which: uv notes in the requirements through what each of them came."""
    references: dict[str, set[str]] = defaultdict(set)
    for component in document["components"]:
        references[normal(component["name"])].add(component["purl"])
    needs: dict[str, set[str]] = {purl: set() for found in references.values() for purl in found}
    root = document["metadata"]["component"]["bom-ref"]
    needs[root] = set()
    package = ""
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        if pinned := re.match(r"([\w.-]+)==", line):
            package = normal(pinned[1])
        elif through := re.match(r" +# (?:via)? *(-r )?([\w.-]+)$", line):
            for needing in {root} if through[1] else references[normal(through[2])]:
                needs[needing] |= references[package]
    return [{"ref": one, "dependsOn": sorted(needed)} for one, needed in sorted(needs.items())]


def table(packages: list[Package]) -> str:
    """The packages and their licences as Markdown."""
    lines = ["| package | version | licence | note |", "|---|---|---|---|"]
    lines += [
        f"| {one.name} | {one.version} | {one.licence} | {one.problem or one.reviewed or ''} |".replace(" |  |", " | |")
        for one in packages
    ]
    return "\n".join(lines) + "\n"


def write(directory: Path) -> tuple[list[Path], list[Package]]:
    """Write `sbom.cdx.json` and `licences.md`; returns their paths, and the packages."""
    document, packages = bill_of_materials()
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"sbom.cdx.json": json.dumps(document, indent=1, sort_keys=True) + "\n", "licences.md": table(packages)}
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in texts], packages


def _run(program: str, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LicenceError(
            f"{program} is not installed: it comes with requirements-test.txt, `./citydata licences` gets it"
        ) from None
    if done.returncode:
        raise LicenceError(f"{program} failed: {(done.stderr.strip().splitlines() or ['without a reason'])[-1]}")
    return done.stdout
