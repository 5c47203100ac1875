"""What can be checked without a database or a source: contracts, suites, lineage. CI's gate, and a help before a commit."""

import re
from collections.abc import Iterator
from pathlib import Path

from citydata import contract as contracts
from citydata import formats, lineage, settings

MODELS = settings.ROOT / "dbt_project" / "models"


def problems() -> list[str]:
    """Everything that is wrong, each with file and what to do; empty when all is well."""
    return [*_contracts(), *_drafts(), *_inventory(), *_suites(), *_lineage(), *_drift(), *_town()]


def left_out() -> list[str]:
    """What the checkout has and this town does not use, and for want of what: no mistake, but it should be known."""
    named, _ = contracts.load_each()
    suites = {f"{path.parent.name}.{path.stem}" for path in settings.EXPECTATIONS.glob("*/*.json")} - named.keys()
    models = lineage.summary()
    return [
        *([models] if models else []),
        *([f"suites of no dataset of this town: {', '.join(sorted(suites))}"] if suites else []),
    ]


def _contracts() -> Iterator[str]:
    loaded, errors = contracts.load_each()
    yield from map(str, errors)
    for entry in loaded.values():
        yield from contracts.problems(entry)
        for column in entry.columns:
            if column.type in ("date", "timestamp"):
                try:
                    formats.pattern(column.options["format"])
                except ValueError as error:
                    yield f"{entry.path}: column {column.name}: {error}"


def _drafts() -> Iterator[str]:
    """What a person has still to do in drafts, and in what was drafted with contracts that are drafts no more."""
    from citydata.drafting import gaps  # noqa: PLC0415 - it reads the inventory

    yield from gaps.everywhere()


def _inventory() -> Iterator[str]:
    """What cannot be used in the inventory, and files in it that nobody reads: a misspelt name would hide datasets."""
    from citydata.governance import inventory  # noqa: PLC0415 - not every check of a contract needs it

    try:
        inventory.read(settings.INVENTORY, contracts.load_each()[0])
    except inventory.InventoryError as error:
        yield from str(error).splitlines()
    files = {f"{kind}.yaml" for kind in (*inventory.KINDS, "reconciliation")}
    for path in sorted(settings.INVENTORY.rglob("*")):
        place = path.relative_to(settings.INVENTORY)
        read = place.name in files if len(place.parts) == 1 else place.parts[0] in inventory.KINDS
        if path.is_file() and not (read and path.suffix == ".yaml" and len(place.parts) <= 2):
            yield f"{path}: nobody reads this file; the inventory is <kind>.yaml or <kind>/<sector>.yaml"


def _suites() -> Iterator[str]:
    from citydata import suite  # noqa: PLC0415 - importing it costs seconds

    loaded, _ = contracts.load_each()
    for dataset in loaded:
        try:
            suite.load(dataset)
        except suite.SuiteError as error:
            yield str(error)


def _lineage() -> Iterator[str]:
    """Every dataset has its staging model, every `ref` its model or a seed that a town may have."""
    loaded, _ = contracts.load_each()
    models = {path.stem: path for path in (settings.ROOT / "dbt_project").rglob("*.sql") if "target" not in path.parts}
    here = lineage.read(settings.ROOT / "dbt_project", settings.SEEDS)
    seeds = here.nodes.keys() | here.declared_seeds
    for dataset in loaded:
        if f"stg_{dataset.replace('.', '__')}" not in models:
            yield f"{dataset}: no staging model dbt_project/models/staging/…/stg_{dataset.replace('.', '__')}.sql"
    for path in models.values():
        if not path.is_relative_to(MODELS):
            continue
        for reference in re.findall(r"""\bref\(\s*['"](\w+)['"]""", path.read_text(encoding="utf-8")):
            if reference not in models and reference not in seeds:
                yield f"{path}: ref('{reference}') names no model or seed"


def _drift() -> Iterator[str]:
    """Staging models read the columns of the contract, all of them but health data, and no others."""
    for dataset, entry in contracts.load_each()[0].items():
        path = MODELS / "staging" / entry.system / f"stg_{entry.raw_name}.sql"
        if not path.exists():
            continue  # lineage says so
        text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        known = {*entry.table_columns, "_opened_by", "_closed_by", "_observed_at", "_occurrence"}
        for name in re.findall(r"^[ \t]+(\w+),?[ \t]*$", text, re.MULTILINE) + re.findall(r"trimmed\('(\w+)'\)", text):
            if name not in known:
                yield f"{path}: reads the column {name}, which the contract of {dataset} does not have"
        for column in entry.columns:
            if column.personal_data != "health" and not re.search(rf"\b{column.name}\b", text):
                yield f"{path}: leaves out the column {column.name} of the contract of {dataset}"


def _town() -> Iterator[str]:
    """The town's name and number stand in `town.yaml`, not in code: another town changes one file."""
    from citydata import town  # noqa: PLC0415

    here = town.load()
    words = re.compile(
        rf"\b(?:{re.escape(here.name_fi)}|{re.escape(here.name_sv)}|{re.escape(here.municipality_code)})\b"
    )
    for path in _code():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if words.search(line):
                yield f"{path.relative_to(settings.ROOT)}:{number}: names the town; take it from include/town.yaml"


def _code() -> Iterator[Path]:
    roots = ("dags", "plugins", "expectations", "include/citydata", "include/migrations", "dbt_project")
    for root in roots:
        for path in sorted((settings.ROOT / root).rglob("*")):
            if path.suffix in (".py", ".sql", ".json", ".yml", ".yaml") and not {
                "target",
                "seeds",
                "__pycache__",
            } & set(path.parts):
                yield path
