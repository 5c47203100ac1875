"""A page for each table that people query, and the index for somebody who asks what there is."""

from collections.abc import Iterator

from citydata import contract, release, settings, town
from citydata.documentation import models
from citydata.documentation.markdown import code, in_three_languages, page, spoken, table, text
from citydata.documentation.models import Model

SHOWN_COLUMNS = 6


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of each page."""
    yield "reference/tables/index.md", _index()
    for model in models.released():
        yield f"reference/tables/{model.schema}.{model.table}.md", _page(model)


def example(model: Model) -> str:
    """A query that shows what is in the table."""
    named = [column["name"] for column in model.columns]
    columns = [*model.key, *(name for name in named if name not in model.key)][: max(SHOWN_COLUMNS, len(model.key))]
    return (
        f"select {', '.join(columns)}\nfrom {model.schema}.{model.table}\n"
        f"order by {', '.join(model.key or columns[:1])}\nlimit 20;"
    )


def _index() -> str:
    parts = [
        "Tables that reporting teams and BI tools read. They change only by a release, in one transaction: a report that reads "
        "several of them in one transaction sees one state of the town. Columns of a mart do not change their meaning; a new "
        "meaning is a table `…_v2` beside the old one."
    ]
    for schema in dict.fromkeys(model.schema for model in models.released()):
        tables = [model for model in models.released() if model.schema == schema]
        parts += [
            f"## {schema}",
            f"Read by {_readers(tables[0])}.",
            table(
                ("table", "what is in it"),
                [
                    (
                        f"[{model.table}]({model.schema}.{model.table}.md)",
                        _in_three(model.described.get("description", "")),
                    )
                    for model in tables
                ],
            ),
        ]
    return page(
        "What can I query?",
        *parts,
        "## How fresh is it?",
        "Every schema `mart_…` has a table `freshness` with a row for each of its tables. Look at it before you print a figure.",
        table(
            ("column", "meaning"),
            [(code(name), _in_three(said)) for name, said in release.FRESHNESS_DESCRIPTIONS.items() if name],
        ),
        "```{toctree}\n:hidden:\n:glob:\n\n*\n```",
    )


def _in_three(description: str) -> str:
    said = models.in_languages(description)
    return in_three_languages(said.get("en", ""), said.get("fi", ""), said.get("sv", ""))


def _readers(model: Model) -> str:
    return ", ".join(map(code, release.readers(model.schema, model.table))) or "nobody: it holds persons"


def _page(model: Model) -> str:
    said = models.in_languages(model.described.get("description", ""))
    return page(
        f"{model.schema}.{model.table}",
        f"{text(said.get('en', ''))}\n\n{spoken('fi', said.get('fi', ''))}\n\n{spoken('sv', said.get('sv', ''))}",
        f"One row for each {', '.join(map(code, model.key))}. Read by {_readers(model)}.",
        "## Columns",
        table(
            ("column", "type", "meaning"),
            [
                (
                    code(column["name"]) + ("<br>key" if column["name"] in model.key else ""),
                    code(column.get("data_type", "")) + ("" if _never_empty(column) else ", may be empty"),
                    _in_three(column.get("description", "")),
                )
                for column in model.columns
            ],
        ),
        "## Example",
        f"```sql\n{example(model)}\n```",
        "## How fresh it is",
        _freshness(model),
        "## Who uses it",
        "\n".join(
            f"- {text(each['label'])} ({each['type']}, {text(each['owner']['name'])}): {text(each['description'])}"
            for each in models.used_by(model)
        )
        or "No report is registered for it.",
        "## How it is made",
        f"By the model [{model.path.name}](/{model.path.relative_to(settings.ROOT)}).",
    )


def _never_empty(column: dict[str, list[dict[str, str]]]) -> bool:
    return any(each.get("type") == "not_null" for each in column.get("constraints", []))


def _freshness(model: Model) -> str:
    contracts = contract.load_all()
    rows = [
        (
            f"[{name}](../datasets/{name}.md)",
            code(contracts[name].schedule),
            f"at most {contracts[name].sla_hours:g} hours old",
        )
        for name in models.datasets(model)
    ]
    said = f"It is as old as the oldest of these (times of {town.load().time_zone})"
    if model.schema != "master":
        said += f"; what it is now says `select * from {model.schema}.freshness where table_name = '{model.table}'`"
    return f"{said}.\n\n{table(('dataset', 'read', 'promised'), rows)}"
