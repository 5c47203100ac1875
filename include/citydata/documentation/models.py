"""The dbt models that this town builds, as their files describe them. Nothing of dbt has to run."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from citydata import lineage

MODELS = lineage.PROJECT / "models"
_SAID = re.compile(r"\b(fi|sv|en): (.*?)(?= \| (?:fi|sv|en): |$)", re.DOTALL)
_DATASET = "dataset "
"""How lineage marks that a model needs a dataset."""


def in_languages(description: str) -> dict[str, str]:
    """The parts of `fi: … | sv: … | en: …`."""
    return dict(_SAID.findall(description))


@dataclass(frozen=True)
class Model:
    """One table or view that dbt makes."""

    name: str
    path: Path
    described: dict[str, Any]

    @property
    def folder(self) -> tuple[str, ...]:
        """Where it is below `models`: ("marts", "finance"), ("master",)."""
        return self.path.relative_to(MODELS).parts[:-1]

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
def released() -> list[Model]:
    """What people query: marts and master data, in the order of schema and name."""
    described = {entry["name"]: entry for document in _documents() for entry in document.get("models", [])}
    found = [
        Model(name, node.path, described[name])
        for name, node in lineage.warehouse().nodes.items()
        if node.kind == "model" and node.path.is_relative_to(MODELS) and lineage.has(name) and name in described
    ]
    return sorted(
        (model for model in found if model.folder[0] in ("marts", "master")),
        key=lambda model: (model.schema == "master", model.schema, model.table),
    )


def _documents() -> Iterator[dict[str, Any]]:
    for path in sorted(MODELS.rglob("*.yml")):
        yield yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}


def datasets(model: Model) -> list[str]:
    """Every dataset that a model is made of. What matching writes is made of staging models, which it joins."""
    nodes = lineage.warehouse().nodes
    seen, waiting = {model.name}, [model.name]
    while waiting:
        node = nodes.get(waiting.pop())
        new = (
            {name for name in node.needs | node.asks if name not in nodes or lineage.has(name)} - seen
            if node
            else set()
        )
        seen |= new
        waiting += new
    return sorted(name.removeprefix(_DATASET) for name in seen if name.startswith(_DATASET))


def used_by(model: Model) -> list[dict[str, Any]]:
    """What is made of a model outside the platform: dbt's exposures."""
    readers = {name for name, needed in lineage.warehouse().exposures.items() if model.name in needed}
    return [each for document in _documents() for each in document.get("exposures", []) if each["name"] in readers]
