"""The dbt models as their files describe them. What a model reads is found in its SQL, so that no dbt has to run."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from citydata import settings

PROJECT = settings.ROOT / "dbt_project"
_REF = re.compile(r"""\bref\(\s*['"](\w+)['"]""")
_SOURCE = re.compile(r"""\bsource\(\s*['"](\w+)['"]\s*,\s*['"](\w+)['"]""")
_SAID = re.compile(r"\b(fi|sv|en): (.*?)(?= \| (?:fi|sv|en): |$)", re.DOTALL)


def in_languages(description: str) -> dict[str, str]:
    """The parts of `fi: … | sv: … | en: …`."""
    return dict(_SAID.findall(description))


@dataclass(frozen=True)
class Model:
    """One table or view that dbt makes."""

    name: str
    path: Path
    described: dict[str, Any]
    reads_models: frozenset[str]
    reads_datasets: frozenset[str]

    @property
    def folder(self) -> tuple[str, ...]:
        """Where it is below `models`: ("marts", "finance"), ("master",)."""
        return self.path.relative_to(PROJECT / "models").parts[:-1]

    @property
    def schema(self) -> str:
        """Where it is read when it is released: mart_<sector>, master or warehouse."""
        return f"mart_{self.folder[1]}" if self.folder[0] == "marts" else self.folder[0]

    @property
    def table(self) -> str:
        """Its name in that schema."""
        return str(self.described.get("config", {}).get("alias", self.name))

    @property
    def key(self) -> list[str]:
        """Columns of the primary key."""
        for constraint in self.described.get("constraints", []):
            if constraint["type"] == "primary_key":
                return list(constraint["columns"])
        return []

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Its columns as the model's file describes them."""
        return list(self.described.get("columns", []))


@functools.cache
def load() -> dict[str, Model]:
    """Every model by name."""
    described: dict[str, dict[str, Any]] = {}
    for path in sorted((PROJECT / "models").rglob("*.yml")):
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
        described |= {entry["name"]: entry for entry in document.get("models", [])}
    found = {}
    for path in sorted((PROJECT / "models").rglob("*.sql")):
        sql = path.read_text(encoding="utf-8")
        datasets = frozenset(f"{system}.{name}" for system, name in _SOURCE.findall(sql) if system != "master_link")
        found[path.stem] = Model(path.stem, path, described.get(path.stem, {}), frozenset(_REF.findall(sql)), datasets)
    return found


def released() -> list[Model]:
    """What people query: marts and master data, in the order of schema and name."""
    return sorted(
        (model for model in load().values() if model.folder[0] in ("marts", "master")),
        key=lambda model: (model.schema == "master", model.schema, model.table),
    )


def datasets(model: Model) -> list[str]:
    """Every dataset that a model is made of. What matching writes (`master_link`) is made of staging models, which it joins."""
    return sorted({dataset for each in _upstream(model) for dataset in each.reads_datasets})


def _upstream(model: Model) -> Iterator[Model]:
    seen, waiting = {model.name}, [model]
    while waiting:
        current = waiting.pop()
        yield current
        for name in current.reads_models - seen:
            seen.add(name)
            if name in load():  # else it is a seed
                waiting.append(load()[name])


@functools.cache
def exposures() -> list[dict[str, Any]]:
    """What is made of the marts outside the platform."""
    document = yaml.load((PROJECT / "models" / "_exposures.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return list(document["exposures"])


def used_by(model: Model) -> list[dict[str, Any]]:
    """Exposures that read a model."""
    return [each for each in exposures() if any(model.name in _REF.findall(read) for read in each["depends_on"])]
