"""A page for each contract: what the dataset is, who answers for it, how it is read and checked, and what it feeds."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from citydata import contract, deploy, settings, town
from citydata.contract import Column, Contract
from citydata.documentation import models
from citydata.documentation.markdown import code, in_three_languages, page, spoken, table, text


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of each page."""
    contracts = contract.load_all()
    yield "reference/datasets/index.md", _index(contracts)
    for name, entry in contracts.items():
        yield f"reference/datasets/{name}.md", _page(entry)


def _index(contracts: dict[str, Contract]) -> str:
    rows = [
        (
            f"[{name}]({name}.md)",
            spoken("fi", entry.title),
            text(entry.platform.description_en),
            code(entry.platform.connector.type),
            "yes" if entry.personal else "no",
        )
        for name, entry in contracts.items()
    ]
    return page(
        "Datasets",
        "What the platform reads: a page for each [contract](../contract.md).",
        table(("dataset", "name", "what it is", "connector", "personal data"), rows),
        "```{toctree}\n:hidden:\n:glob:\n\n*\n```",
    )


def _page(entry: Contract) -> str:
    return page(
        entry.dataset,
        f"**{spoken('fi', entry.title)}** · contract {entry.version}, {entry.status}",
        f"{text(entry.platform.description_en)}\n\n{spoken('fi', entry.description_fi)}\n\n"
        f"{spoken('sv', entry.platform.description_sv or '–')}",
        table(("", ""), _facts(entry)),
        "## Columns",
        table(
            ("column", "type and class", "meaning"),
            [
                (
                    code(column.name) + ("<br>key" if column.key else ""),
                    f"{code(column.pg_type)}{'' if column.required else ', may be empty'}<br>{column.classification}"
                    + (f", {column.personal_data}" if column.personal_data else ""),
                    in_three_languages(column.description_en, column.description_fi, column.description_sv or "–"),
                )
                for column in entry.columns
            ],
        ),
        "Of a column with the class `identity_code` or `pseudonym` only a keyed pseudonym is kept.",
        "## How the source writes it",
        table(
            ("column", "name in the source", "as the source writes it"),
            [(code(column.name), code(column.source_name), _written(column)) for column in entry.columns],
        ),
        "## How it is read",
        table(("setting", "value"), list(_settings(entry))),
        "What each setting means: [what a contract may say](../contract.md).",
        "## Checks",
        "A failed `critical` check holds the batch, `quarantine` refuses the rows, `warning` is recorded.",
        table(("check", "dimension and severity", "rule"), list(_checks(entry))),
        "## Who may read it",
        "From the classes of the columns; what dbt makes of it has [rights of its own](../roles.md).",
        table(("role", "right", "table", "columns"), list(_rights(entry))),
        "## What it feeds",
        _feeds(entry),
    )


def _facts(entry: Contract) -> Iterator[tuple[str, str]]:
    yield "sector", text(entry.sector)
    yield "owner, steward", f"{text(entry.owner)}, {text(entry.steward)}"
    yield "schedule", f"{code(entry.schedule)} ({town.load().time_zone})"
    yield "promised", f"at most {entry.sla_hours:g} hours old"
    yield "versions", code(entry.raw_table)
    yield "key", ", ".join(map(code, entry.key)) or "none: content and number within the scope"
    yield (
        "contract",
        f"[{entry.path.name}](/{entry.path.relative_to(settings.ROOT)})" if _ours(entry) else entry.path.name,
    )
    for name, value in entry.platform.fi.items():
        yield f"fi.{name}", spoken("fi", value) if value else "–"


def _ours(entry: Contract) -> bool:
    return entry.path.is_relative_to(settings.ROOT)


def _written(column: Column) -> str:
    """How a value is written in the source, as the contract says it."""
    own, options = column.settings, column.options
    parts = [f"{name} {code(value)}" for name, value in sorted(options.items())]
    if column.type == "number":
        parts.append(f"decimal sign {code(own.number.decimal)}, at most {own.scale} decimals")
    if column.type in ("number", "integer") and own.number.thousands:
        parts.append(f"thousands {', '.join(code(repr(sign)) for sign in own.number.thousands)}")
    if column.type == "boolean":
        parts.append(f"true {', '.join(map(code, own.true))}; false {', '.join(map(code, own.false))}")
    if own.nulls:
        parts.append(f"empty: {', '.join(code(each) for each in own.nulls if each)}".rstrip(": "))
    if own.geometry:
        parts.append(f"{', '.join(own.geometry.types)} within the {own.geometry.within}")
    if own.suppressedBy:
        parts.append(f"left out where {code(own.suppressedBy)} marks non-disclosure")
    return "; ".join(parts) or "as it is"


def _settings(entry: Contract) -> Iterator[tuple[str, str]]:
    shown = entry.platform.model_dump(
        exclude={"fi", "description_sv", "description_en", "schedule"}, exclude_defaults=True
    )
    shown["connector"]["type"] = entry.platform.connector.type
    for name, value in shown.items():
        yield code(name), code(json.dumps(_plain(value), ensure_ascii=False, default=str))


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def _checks(entry: Contract) -> Iterator[tuple[str, ...]]:
    # The file, not `citydata.suite`: importing Great Expectations takes seconds, and `./citydata check` has read it.
    path = settings.EXPECTATIONS.joinpath(entry.system, entry.name).with_suffix(".json")
    for check in json.loads(path.read_text(encoding="utf-8"))["expectations"]:
        meta = check["meta"]
        yield (
            code(meta["id"].removeprefix(f"{entry.dataset}.")),
            f"{meta['dimension']}<br>{meta['severity']}",
            in_three_languages(meta["description"], meta["description_fi"], meta["description_sv"]),
        )


def _rights(entry: Contract) -> Iterator[tuple[str, ...]]:
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for grant in deploy.allowed(entry):
        columns = found[grant.grantee, grant.privilege, f"{grant.schema}.{grant.table}"]
        columns += [grant.column] if grant.column else []
    hidden = {column.name for column in entry.columns}
    for (role, right, name), columns in sorted(found.items()):
        missing = sorted(hidden - set(columns))
        if not columns:
            said = "all"
        elif name == entry.raw_table and right == "SELECT" and len(missing) < len(hidden) / 2:
            said = f"all but {', '.join(map(code, missing))}" if missing else "all"
        else:
            said = ", ".join(map(code, sorted(columns)))
        yield code(role), right, code(name), said


def _feeds(entry: Contract) -> str:
    fed = [model for model in models.released() if entry.dataset in models.datasets(model)]
    return "\n".join(f"- [{m.schema}.{m.table}](../tables/{m.schema}.{m.table}.md)" for m in fed) or "No mart yet."
