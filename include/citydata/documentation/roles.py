"""The roles of the database and what each may read, from the contracts and from the release."""

from collections import defaultdict
from collections.abc import Iterator

from citydata import contract, database, deploy, release
from citydata.documentation import models
from citydata.documentation.markdown import code, page, table

PURPOSES = {
    "owner": "owns the tables of contracts and of the platform; migrates them at deployment",
    "loader": "the steps extract, land, audit and publish",
    "transformer": "dbt: reads versions, writes what it builds",
    "releaser": "the release: writes what people read",
    "measurer": "the measurement: reads what it judges, writes only its own tables",
    "engineer": "the data engineer: ledger, versions and quarantine, without what is secret",
    "bi": "a BI tool: marts",
    "open": "anybody: what is published as open data",
    "officer": "the data-governance officer: evidence, results and counts; attests",
    "dpo": "the data protection officer: governance, and what stands in quarantine",
    "portal": "the governance pages: figures and counts",
}


def pages() -> Iterator[tuple[str, str]]:
    """Path below the site's root and Markdown of the page."""
    reading: dict[str, list[str]] = defaultdict(list)
    for model in models.released():
        for role in release.readers(model.schema, model.table):
            reading[role].append(f"[{model.schema}.{model.table}](tables/{model.schema}.{model.table}.md)")
    raw: dict[str, set[str]] = defaultdict(set)
    for entry in contract.load_all().values():
        for grant in deploy.allowed(entry):
            if grant.privilege == "SELECT":
                raw[grant.grantee].add(f"{grant.schema}.{grant.table}")
    yield (
        "reference/roles.md",
        page(
            "Roles and rights",
            "Group roles without a login; people and tools are members. `public` has nothing. Deployment grants exactly what the"
            " contracts give, and every measurement of governance compares the database with it.",
            table(
                ("role", "who or what"), [(code(f"citydata_{role}"), PURPOSES[role]) for role in database.STEP_ROLES]
            ),
            "A role `citydata_reporting_<sector>` is a sector's reporting team: it reads its mart and the master data without"
            " persons, and makes views of its own in `team_<sector>`. There are "
            + ", ".join(map(code, deploy.sectors()))
            + ".",
            f"A login has its role's name and `_login`. Readers ({', '.join(map(code, deploy.READERS))} and reporting teams) read"
            " in REPEATABLE READ: a transaction sees one release.",
            "## Schemas and their owners",
            table(
                ("schema", "owner"),
                [(code(schema), code(owner)) for schema, owner in sorted(deploy.schema_owners().items())],
            ),
            "## Who reads which table",
            table(("role", "tables"), [(code(role), ", ".join(names)) for role, names in sorted(reading.items())]),
            "## Who reads versions and quarantine",
            "Which of their columns: the page of each [dataset](datasets/index.md).",
            table(
                ("role", "tables"),
                [(code(role), ", ".join(map(code, sorted(names)))) for role, names in sorted(raw.items())],
            ),
        ),
    )
