"""What uses a column of a dataset: models down to marts and reports, team views, checks, matching rules, settings.

The column is followed by its names through the SQL of dbt's models. That names too much rather than too little: where a
table is joined under a name that cannot be told, every column of that name counts.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from citydata import contract as contracts
from citydata import master, release, settings, town
from citydata.contract import Contract
from citydata.ops import Connection
from citydata.transform import Manifest

_COMMENT = re.compile(r"--[^\n]*|\{#.*?#\}", re.DOTALL)
_REF = re.compile(r"""(?:ref|source)\(\s*(?:['"]\w+['"]\s*,\s*)?['"](\w+)['"]\s*\)\s*\}\}\s*(?:as\s+)?(\w+)?""")
_ALIAS = re.compile(r"\bas\s+([a-z_]\w*)\b(?!\s*\()", re.IGNORECASE)
_BEGIN = re.compile(r"\b(select|from|join|with)\b", re.IGNORECASE)
_NAME = re.compile(r"(?:\b(\w+)\.)?\b([a-z_]\w*)\b")
_STAGING = "staging model"


@dataclass(frozen=True)
class Use:
    """Something that uses a column: what kind of thing, its name, and which of its own columns come of it."""

    kind: str
    name: str
    columns: tuple[str, ...] = ()

    @property
    def reads_meaning(self) -> bool:
        """Whether it would miss the values. A staging model hands on what there is."""
        return self.kind != _STAGING


def uses(connection: Connection, contract: Contract, column: str, document: Manifest) -> list[Use]:
    """Everything that uses a column of a dataset. `document` is dbt's manifest of the code, `connection` may be anybody's."""
    reached = _models(document, contract, column)
    found = [*_in_contract(contract, column), *_in_checks(contract, column), *_in_matching(contract, column)]
    tables = {table.unique_id: table for table in release.tables(document)}
    for unique_id, names in reached.items():
        node = document["nodes"][unique_id]
        if unique_id in tables:
            kind = "mart" if tables[unique_id].schema.startswith("mart_") else f"{tables[unique_id].schema} table"
            title = tables[unique_id].title
        else:
            kind = _STAGING if node["schema"] == "staging" else "model"
            title = node["name"]
        found.append(Use(kind, title, tuple(sorted(names))))
    for exposure in document["exposures"].values():
        if set(exposure["depends_on"]["nodes"]) & reached.keys():
            found.append(Use("report", exposure["label"] or exposure["name"]))
    released = {tables[name].title: names for name, names in reached.items() if name in tables}
    return [*found, *_views(connection, released)]


# -- dbt's models ----------------------------------------------------------------------------------------------------


def _models(document: Manifest, contract: Contract, column: str) -> dict[str, set[str]]:
    """Models that read the column, in the order of their making, with the columns that come of it."""
    source = next(
        (
            unique_id
            for unique_id, node in document["sources"].items()
            if (node["source_name"], node["name"]) == (contract.system, contract.name)
        ),
        None,
    )
    if source is None:
        return {}
    names = {column, f"{column}_valid"} if f"{column}_valid" in contract.table_columns else {column}
    known: dict[str, set[str]] = {source: names}
    for unique_id in _in_order(document, source):
        node = document["nodes"][unique_id]
        parents = {
            (document["nodes"].get(name) or document["sources"][name])["name"]: known[name]
            for name in document["parent_map"][unique_id]
            if known.get(name)
        }
        read, made = derived(node["raw_code"], parents)
        declared = set(node["columns"])
        if read:
            known[unique_id] = made & declared if declared else made
    del known[source]
    return known


def _in_order(document: Manifest, source: str) -> list[str]:
    """Models made of a source, each after those it is made of."""
    below, waiting = set(), [source]
    while waiting:
        for child in document["child_map"].get(waiting.pop(), []):
            if child not in below and document["nodes"].get(child, {}).get("resource_type") == "model":
                below.add(child)
                waiting.append(child)
    ordered: list[str] = []
    while below:
        ready = sorted(name for name in below if not below & set(document["parent_map"][name]))
        ordered += ready
        below -= set(ready)
    return ordered


def derived(code: str, parents: Mapping[str, set[str]]) -> tuple[bool, set[str]]:
    """Whether a model's SQL reads any of the columns of its `parents` (by the parent's name), and which columns come of them."""
    text = _COMMENT.sub("", code)
    bound: dict[str, set[str]] = defaultdict(set)
    others = set()
    for model, alias in _REF.findall(text):
        for name in {model, alias} - {""}:
            bound[name] |= parents.get(model, set())
            others.add(name)
    names = set().union(*parents.values())
    made: set[str] = set()

    def mentioned(part: str) -> set[str]:
        return {
            name
            for owner, name in _NAME.findall(part)
            if name in names | made and (not owner or owner not in others or name in bound[owner])
        }

    direct = mentioned(text)
    while True:
        more = {alias for alias, part in _aliased(text) if alias not in made and mentioned(part)}
        if not more:
            break
        made |= more
    return bool(direct), made | direct


def _aliased(text: str) -> Iterator[tuple[str, str]]:
    """Each `… as alias` of a list of columns, with the text that it names."""
    for found in _ALIAS.finditer(text):
        depth, start = 0, found.start()
        while start and depth >= 0:
            start -= 1
            depth += {")": 1, "(": -1}.get(text[start], 0)
            if depth == 0 and text[start] == ",":
                break
        part = text[start + (text[start] in ",(") : found.start()]
        begins = list(_BEGIN.finditer(_without_nested(part)))
        if begins and begins[-1][1].lower() in ("from", "join", "with"):
            continue  # the alias of a table
        yield found[1], part[begins[-1].end() :] if begins else part


def _without_nested(text: str) -> str:
    """The text with blanks where something stands in parentheses."""
    depth, plain = 0, []
    for letter in text:
        depth -= letter == ")" and depth > 0
        plain.append(" " if depth else letter)
        depth += letter == "("
    return "".join(plain)


# -- everything else -------------------------------------------------------------------------------------------------


def _in_contract(contract: Contract, column: str) -> Iterator[Use]:
    platform = contract.platform
    unpivot = getattr(platform.connector, "unpivot", None)
    settings_ = {
        "key": contract.key,
        "scope": platform.scope.columns,
        "watermark": [platform.watermark.column] if platform.watermark else [],
        "unpivot": unpivot.columns if unpivot else [],
        "suppressedBy": [other.settings.suppressedBy for other in contract.columns],
    }
    for name, columns in settings_.items():
        if column in columns:
            yield Use("contract setting", name)
    register = town.load().employment_register
    if register and contract.dataset == register.dataset and column in (register.person, register.start, register.end):
        yield Use("town setting", "employment_register")


def _in_checks(contract: Contract, column: str) -> Iterator[Use]:
    """Checks of the dataset's suite that name the column, and of others' suites that compare with it."""
    word = re.compile(rf"\b{re.escape(column)}\b")
    for dataset in contracts.load_each()[0]:
        path = settings.EXPECTATIONS.joinpath(*dataset.split(".", 1)).with_suffix(".json")
        if not path.exists():
            continue
        suite = json.loads(path.read_text(encoding="utf-8"))
        own = dataset == contract.dataset
        if not own and column not in suite.get("meta", {}).get("references", {}).get(contract.dataset, ()):
            continue
        for check in suite["expectations"]:
            said = json.dumps(check["kwargs"], ensure_ascii=False)
            if word.search(said) and (own or contract.dataset in said or f"current_{contract.raw_name}" in said):
                yield Use("check", check["meta"]["id"])


def _in_matching(contract: Contract, column: str) -> Iterator[Use]:
    """Rules of master data that read the dataset's staging model and name the column."""
    for path in sorted(Path(master.__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(rf"\bstg_{contract.raw_name}\b", text) and re.search(rf"\b{re.escape(column)}\b", text):
            yield Use("matching rule", path.stem)


def _views(connection: Connection, released: Mapping[str, set[str]]) -> list[Use]:
    """Views that people made on released tables, by the columns that PostgreSQL says they use, and views on these."""
    if not released:
        return []
    rows = connection.execute(
        "SELECT DISTINCT rn.nspname || '.' || r.relname, a.attname, vn.nspname || '.' || v.relname"
        " FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid AND d.classid = 'pg_rewrite'::regclass"
        " JOIN pg_class v ON v.oid = w.ev_class AND v.oid <> d.refobjid JOIN pg_namespace vn ON vn.oid = v.relnamespace"
        " JOIN pg_class r ON r.oid = d.refobjid JOIN pg_namespace rn ON rn.oid = r.relnamespace"
        " LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0"
        " WHERE d.refclassid = 'pg_class'::regclass AND vn.nspname LIKE 'team\\_%'"
    ).fetchall()
    used: dict[str, set[str]] = defaultdict(set)
    for table, column, view in rows:
        if column in released.get(table, ()):
            used[view].add(column)
    while more := {view for table, _, view in rows if table in used and view not in used}:
        used |= {view: set() for view in more}
    return [Use("team view", view, tuple(sorted(columns))) for view, columns in sorted(used.items())]
