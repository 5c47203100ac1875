"""What a person has still to do in drafts: each with file and line, for `./citydata check`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from citydata import contract as contracts
from citydata import settings
from citydata.drafting import draft
from citydata.drafting.assessment_draft import OPEN
from citydata.drafting.places import assessments, shown
from citydata.drafting.suite_draft import DIMENSIONS

_EMPTY = re.compile(r"^(?P<out>#?)(?P<indent>[ -]*)(?P<key>\w+):\s*#\s*(?P<who>.+)$")


def everywhere() -> Iterator[str]:
    """What is left to do in every draft, and the open points of every assessment, of drafts and of what is loaded."""
    for one in contracts.drafts().values():
        yield from one.gaps
        yield from _suite(one.dataset)
        yield from _claim(one.dataset)
        for path in draft.entry_files(one.dataset):
            yield from entries(path)
    for path in sorted(assessments().glob("*/*.md")):
        yield from _open_points(path)


def entries(path: Path) -> Iterator[str]:
    """What is empty in a drafted entry of the inventory, or that nothing is and the entry is still commented out."""
    found = []
    commented = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := _EMPTY.match(line):
            found.append(f"{shown(path)}:{number}: `{match['key']}` is empty; {match['who']}")
        if line.startswith("#- "):
            commented = number
    if commented and not found:
        found.append(
            f"{shown(path)}:{commented}: nothing is empty any more: take away the first # of each line of the entry"
        )
    yield from found


def _claim(dataset: str) -> Iterator[str]:
    """A draft is claimed by an entry of the inventory, which may still be commented out: then its own file says so."""
    name = re.compile(rf"(?<![\w.]){re.escape(dataset)}(?![\w.])")
    files = [settings.INVENTORY / "datasets.yaml", *(settings.INVENTORY / "datasets").glob("*.yaml")]
    if not any(path.exists() and name.search(path.read_text(encoding="utf-8")) for path in files):
        yield f"{dataset}: no dataset of the inventory names it; add it to `contracts` of one in include/inventory/datasets"


def _suite(dataset: str) -> Iterator[str]:
    path = draft.places(dataset).suite
    if not path.exists():
        yield f"{shown(path)}: there is no suite; a dataset without checks is never published"
        return
    try:
        checks = json.loads(path.read_text(encoding="utf-8")).get("expectations") or []
    except json.JSONDecodeError as error:
        yield f"{shown(path)}:{error.lineno}: not JSON: {error.msg}"
        return
    there = {check.get("meta", {}).get("dimension") for check in checks}
    for dimension in DIMENSIONS:
        if dimension not in there:
            yield f"{shown(path)}:1: no check for the dimension {dimension}; the steward: a rule that no sample shows"


def _open_points(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if OPEN in line:
            yield f"{shown(path)}:{number}: {line.partition(OPEN)[2].strip()}"
