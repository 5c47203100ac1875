"""What the warehouse's models are made of, read from dbt's files, and which of them a town cannot build.

The models are made for more datasets than a town may have. A model whose dataset has no contract is left out, with everything
that cannot be built without it; what can live without an input asks `has_model('…')` in its SQL before it refers to it.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from citydata import contract, settings

PROJECT = settings.ROOT / "dbt_project"

_REF = re.compile(r"""\bref\(\s*['"](\w+)['"]""")
_SOURCE = re.compile(r"""\bsource\(\s*['"](\w+)['"]\s*,\s*['"](\w+)['"]""")
_ASKED = re.compile(r"""\bhas_model\(\s*['"](\w+)['"]""")
_MACRO = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\(.*?\{%-?\s*endmacro", re.DOTALL)
_COMMENT = re.compile(r"--(?! depends_on:)[^\n]*|\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True)
class Node:
    """A model or a seed. `needs` are the models, seeds, `dataset …`, `sector …` and `list …` without which it cannot be built."""

    kind: Literal["model", "seed"]
    path: Path
    needs: frozenset[str] = frozenset()
    asks: frozenset[str] = frozenset()
    """What it takes where it is there."""


@dataclass(frozen=True)
class Warehouse:
    """Models, seeds and what speaks about them, as dbt's files have them."""

    nodes: Mapping[str, Node]
    declared_seeds: frozenset[str]
    """Seeds that have a description; those without a file are lists that this town does not have."""
    exposures: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unit_tests: Mapping[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    """Folders of its file, model and name of a unit test: what it is given."""


def read(project: Path, seeds: Path) -> Warehouse:
    """Read the project's models, macros and properties, and its seeds with those of the town in `seeds`."""
    properties = {
        path: yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
        for folder in ("models", "seeds")
        for path in sorted((project / folder).rglob("*.yml"))
    }
    documents = properties.values()
    own_sources = {source["name"] for document in documents for source in document.get("sources") or ()}
    macros = {
        match[1]: _COMMENT.sub("", match[0])
        for path in sorted((project / "macros").rglob("*.sql"))
        for match in _MACRO.finditer(path.read_text(encoding="utf-8"))
    }
    lists = frozenset(seed["name"] for document in documents for seed in document.get("seeds") or ())
    nodes = {
        path.stem: Node("seed", path)
        for folder in (project / "seeds", seeds)
        if folder.is_dir()
        for path in sorted(folder.rglob("*.csv"))
    }
    for path in sorted((project / "models").rglob("*.sql")):
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        called = [body for name, body in macros.items() if re.search(rf"\b{name}\(", text)]
        text = "\n".join([text, *called])
        asks = frozenset(_ASKED.findall(text))
        refs = set(_REF.findall(text)) - asks
        needs = {f"list {name}" if name in lists - nodes.keys() else name for name in refs}
        needs |= {f"dataset {system}.{name}" for system, name in _SOURCE.findall(text) if system not in own_sources}
        folder = path.relative_to(project / "models").parts
        if folder[0] == "marts":
            needs.add(f"sector {folder[1]}")  # the schema of its marts is made for a sector that has datasets
        nodes[path.stem] = Node("model", path, frozenset(needs), asks)
    return Warehouse(
        nodes,
        declared_seeds=lists,
        exposures={
            exposure["name"]: frozenset(_REF.findall(" ".join(exposure["depends_on"])))
            for document in documents
            for exposure in document.get("exposures") or ()
        },
        unit_tests={
            (*path.relative_to(project / "models").parts[:-1], test["model"], test["name"]): frozenset(
                name for given in test.get("given") or () for name in _REF.findall(given["input"])
            )
            for path, document in properties.items()
            for test in document.get("unit_tests") or ()
        },
    )


def unbuildable(needs: Mapping[str, Collection[str]], there: Collection[str]) -> dict[str, frozenset[str]]:
    """Each node that cannot be built, with what is missing at the root of it.

    `needs` has for each node what it is made of; what is neither a node nor in `there` is missing. A node that needs one that
    cannot be built cannot be built either.
    """
    users: dict[str, set[str]] = defaultdict(set)
    for node, needed in needs.items():
        for name in needed:
            users[name].add(node)
    found: dict[str, set[str]] = defaultdict(set)
    for missing in users.keys() - needs.keys() - set(there):
        waiting = [missing]
        while waiting:
            for user in users.get(waiting.pop(), ()):
                if missing not in found[user]:
                    found[user].add(missing)
                    waiting.append(user)
    return {node: frozenset(missing) for node, missing in found.items()}


def missing(warehouse: Warehouse, datasets: Collection[str], sectors: Collection[str]) -> dict[str, frozenset[str]]:
    """Models and seeds that a town with these datasets and sectors leaves out, with what is missing; an unused seed has none."""
    there = {f"dataset {name}" for name in datasets} | {f"sector {code}" for code in sectors}
    needs = {name: node.needs for name, node in warehouse.nodes.items()}
    out = unbuildable(needs, there)
    readers: dict[str, set[str]] = defaultdict(set)
    for name, node in warehouse.nodes.items():
        for read_one in node.needs | node.asks:
            readers[read_one].add(name)
    for name, node in warehouse.nodes.items():
        if node.kind == "seed" and readers[name] and readers[name] <= out.keys():
            out[name] = frozenset()
    return out


@functools.cache
def warehouse() -> Warehouse:
    """The platform's warehouse with this town's seeds, read once a process."""
    return read(PROJECT, settings.SEEDS)


@functools.cache
def left_out() -> dict[str, frozenset[str]]:
    """What this town leaves out: `missing` for its contracts, once a process."""
    entries = contract.load_each()[0].values()
    return missing(warehouse(), [entry.dataset for entry in entries], {entry.sector for entry in entries})


def has(model: str) -> bool:
    """Whether this town builds a model or seed."""
    return model in warehouse().nodes and model not in left_out()


def absent() -> list[str]:
    """What dbt's `has_model` says no to: models left out, and seeds that are described but that this town does not have."""
    return sorted({*left_out(), *(warehouse().declared_seeds - warehouse().nodes.keys())})


def switches() -> dict[str, Any]:
    """The entries of dbt_project.yml that disable what this town leaves out, with the exposures and unit tests on it."""
    here, out = warehouse(), set(absent())
    tree: dict[str, Any] = {"models": {}, "seeds": {}, "exposures": {}, "unit_tests": {}}
    for name in sorted(out & here.nodes.keys()):
        node = here.nodes[name]
        if node.kind == "seed":
            tree["seeds"][name] = {"+enabled": False}
        else:
            _put(tree["models"], [*node.path.relative_to(PROJECT / "models").parts[:-1], name])
    for name, needed in here.exposures.items():
        if needed & out:
            tree["exposures"][name] = {"+enabled": False}
    for place, given in here.unit_tests.items():
        if place[-2] in out or given & out:
            _put(tree["unit_tests"], [*place])
    return tree


def _put(tree: dict[str, Any], place: list[str]) -> None:
    for part in place:
        tree = tree.setdefault(part, {})
    tree["+enabled"] = False


def summary() -> str | None:
    """What this town leaves out and for want of what, in a sentence; None when it leaves nothing out."""
    out = left_out()
    nodes = warehouse().nodes
    models = [name for name in out if nodes[name].kind == "model"]
    if not models:
        return None
    marts = sorted(name for name in models if "marts" in nodes[name].path.parts)
    lacking: dict[str, list[str]] = defaultdict(list)
    for thing in sorted({thing for things in out.values() for thing in things}):
        kind, _, name = thing.rpartition(" ")
        lacking[kind].append(name)
    of_all = sum(node.kind == "model" for node in nodes.values())
    named = f", the marts {', '.join(marts)} among them" if marts else ""
    why = "; ".join(f"no {kind} {', '.join(names)}" for kind, names in lacking.items())
    return f"{len(models)} of {of_all} models are left out{named}, because this town has {why}"
