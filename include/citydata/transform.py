"""Build the warehouse at a fixed horizon: match links, then one `dbt build` of what is out of date, with its tests.

dbt is called here and nowhere else, as a command. It writes into staging and build_*; `citydata.release` brings
what it built to its readers.
"""

import ctypes
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from citydata import contract, database, lineage, master, ops, quality, settings, town
from citydata.contract import Contract
from citydata.lineage import PROJECT

# One build or release at a time: both work on the same build_* schemas.
WAREHOUSE_LOCK = 6380002
LOCK_WAIT = "30min"
APPLICATION = "citydata dbt"

EVERYTHING = "everything"
DATE_DEPENDENT = "date_dependent"

# The dimension that a kind of dbt test speaks about, when its meta does not say.
DIMENSION_OF_TEST = {
    "unique": "uniqueness",
    "unique_combination": "uniqueness",
    "not_null": "completeness",
    "relationships": "consistency",
    "accepted_values": "correctness",
    "in_range": "correctness",
    "same_total": "coverage",
}

Connection = psycopg.Connection[Any]
Manifest = dict[str, Any]


class TransformError(RuntimeError):
    """A build that broke off. The text says which build, what failed and what to do."""


@dataclass(frozen=True)
class Build:
    """A build. `failures` has, for each group that cannot be released, the reasons without values."""

    build_id: int
    state: str
    full: bool
    selected: tuple[str, ...]
    seconds: float
    failures: dict[str, list[str]] = field(default_factory=dict)
    log: Path | None = None


# -- what dbt is given -----------------------------------------------------------------------------------------------


def project() -> Path:
    """The town's dbt project: the platform's models and the town's seeds, with what the contracts and town.yaml say of them.

    It stands in the installation's state, because two towns may be served from one checkout. A file is replaced only when its
    content changes, so that dbt need not parse it again.
    """
    folder = _directory() / "project"
    folders = {name: PROJECT / name for name in ("models", "macros", "seeds", "tests")} | {"town_seeds": settings.SEEDS}
    for name, target in folders.items():
        _link(folder / name, target)
    document = yaml.load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    document["model-paths"].append("contracts")
    if settings.SEEDS.is_dir():
        document["seed-paths"].append("town_seeds")
    for kind, switches in lineage.switches().items():
        _merge(document.setdefault(kind, {}).setdefault(document["name"], {}), switches)
    _write_yaml(folder / "dbt_project.yml", document, "dbt_project.yml of the checkout and from what the town has")
    _write_yaml(folder / "contracts" / "sources.yml", _sources(), "the contracts")
    return folder


def _sources() -> dict[str, Any]:
    """dbt's sources, and the properties of the staging models, from the contracts."""
    systems: dict[str, list[Contract]] = defaultdict(list)
    for entry in contract.load_all().values():
        systems[entry.system].append(entry)
    return {
        "version": 2,
        "sources": [
            {"name": system, "schema": "raw", "tables": [_source_table(entry) for entry in entries]}
            for system, entries in systems.items()
        ],
        "models": [
            _staging_model(entry)
            for entries in systems.values()
            for entry in entries
            if lineage.has(f"stg_{entry.raw_name}")
        ],
    }


def _merge(into: dict[str, Any], entries: Mapping[str, Any]) -> None:
    for key, value in entries.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink() or path.readlink() != target:
        if path.is_dir() and not path.is_symlink():  # a copy or a restored backup followed the link
            shutil.rmtree(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.symlink_to(target)
        temporary.replace(path)


def _write_yaml(path: Path, document: Mapping[str, Any], origin: str) -> None:
    text = f"# Written by citydata.transform from {origin}.\n" + yaml.dump(
        document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120
    )
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        _replace(path, text)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _columns(entry: Contract) -> list[dict[str, Any]]:
    """Columns that the transformer may read; health data is not among them."""
    columns = []
    for column in entry.columns:
        if column.personal_data == "health":
            continue
        columns.append({"name": column.name, "description": column.description})
        if column.identity_code:
            text = "fi: Henkilötunnus oli oikea | sv: Personbeteckningen var giltig | en: The identity code was valid"
            columns.append({"name": f"{column.name}_valid", "description": text})
    return columns


def _source_table(entry: Contract) -> dict[str, Any]:
    # An unchanged dataset is fresh: what counts is when a batch was last published, or its source last said the same again,
    # not when a row last changed.
    taken = (
        "select greatest((select max(published_at) from ops.batch"
        f" where dataset = '{entry.dataset}' and kind = 'load' and state = 'published'),"
        f" (select max(seen_at) from ops.arrival where dataset = '{entry.dataset}' and outcome = 'repeated'),"
        " timestamptz '1970-01-01 00:00:00+00')"
    )
    hours = max(1, round(entry.sla_hours))
    return {
        "name": entry.name,
        "identifier": entry.raw_name,
        "description": entry.description,
        "config": {
            "loaded_at_query": taken,
            "freshness": {
                "warn_after": {"count": hours, "period": "hour"},
                "error_after": {"count": 2 * hours, "period": "hour"},
            },
            "meta": {"owner": entry.owner},
        },
        "columns": _columns(entry),
    }


def _staging_model(entry: Contract) -> dict[str, Any]:
    columns = _columns(entry)
    model: dict[str, Any] = {"name": f"stg_{entry.raw_name}", "description": entry.description, "columns": columns}
    if len(entry.key) == 1:
        next(column for column in columns if column["name"] == entry.key[0])["data_tests"] = ["unique", "not_null"]
    elif entry.key:
        model["data_tests"] = [{"unique_combination": {"arguments": {"columns": entry.key}}}]
    return model


def variables() -> dict[str, Any]:
    """dbt's variables: what `town.yaml` says, and which models the town leaves out."""
    here = town.load()
    return {
        "suppression_threshold": here.suppression_threshold,
        "time_zone": here.time_zone,
        "municipality_code": here.municipality_code,
        "peer_municipalities": list(here.peer_municipalities),
        "left_out": lineage.absent(),
        "sectors": [
            {
                "code": s.code,
                "name_fi": s.name_fi,
                "name_sv": s.name_sv,
                "until": s.until.isoformat() if s.until else None,
            }
            for s in here.sectors
        ],
    }


def code_hash() -> str:
    """Digest of everything that decides what a build makes of the same rows: models, contracts, settings, matching."""
    digest = hashlib.sha256(json.dumps(variables(), sort_keys=True).encode())
    digest.update(_matching_hash().encode())
    generated = project()
    for folder in ("models", "macros", "seeds", "tests", "town_seeds", "contracts"):
        for path in sorted((generated / folder).rglob("*")):
            if path.suffix in (".sql", ".yml", ".csv"):
                digest.update(f"{path.relative_to(generated)}\0".encode() + path.read_bytes() + b"\0")
    digest.update((generated / "dbt_project.yml").read_bytes())
    return digest.hexdigest()


@functools.cache
def _matching_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(master.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# -- dbt as a command ------------------------------------------------------------------------------------------------


def _directory() -> Path:
    path = settings.home() / "dbt"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _environment() -> dict[str, str]:
    parts = conninfo_to_dict(database.url("transformer"))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CITYDATA_", "DBT_", "AIRFLOW_"))
    }
    return environment | {
        "CITYDATA_DBT_HOST": str(parts["host"]),
        "CITYDATA_DBT_PORT": str(parts.get("port", 5432)),
        "CITYDATA_DBT_DATABASE": str(parts["dbname"]),
        "CITYDATA_DBT_USER": str(parts["user"]),
        "DBT_ENV_SECRET_CITYDATA_PASSWORD": str(parts["password"]),
        "CITYDATA_DBT_SSLMODE": str(parts.get("sslmode", "prefer")),
    }


# Opened here, because a forked child may only call what is there already.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_SET_PARENT_DEATH_SIGNAL = 1


def _die_with_parent() -> None:
    """A dbt whose parent was killed must not go on writing while the next build has begun (Linux)."""
    if _LIBC:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _dbt(command: list[str], log: Path) -> int:
    """Run dbt, its output cleaned of values in `log`; returns its exit code: 0, 1 (a node failed) or 2 (broke off)."""
    arguments = [
        str(Path(sys.executable).with_name("dbt")),
        *("--no-use-colors", "--log-level", "info", "--log-level-file", "none", "--no-version-check"),
        *command,
        *("--project-dir", str(project()), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(_directory() / "target"), "--log-path", str(_directory() / "log")),
        *("--vars", json.dumps(variables(), ensure_ascii=False)),
    ]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(
            arguments,
            cwd=_directory(),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # one system call, no lock can be held by it
        ) as process,
    ):
        for line in process.stdout or ():
            if cleaned := _clean(line.rstrip()):
                file.write(cleaned + "\n")
                file.flush()
    return process.returncode


# PostgreSQL puts values of rows into these parts of its messages.
_WITH_VALUES = re.compile(r"^\s*(DETAIL|CONTEXT|HINT|LINE \d+):|^\s*\^")


def _clean(text: str) -> str:
    """Lines of dbt's output or messages without values of the data."""
    lines = [line for line in text.splitlines() if line.strip() and not _WITH_VALUES.match(line)]
    return "\n".join(database.cleaned(ValueError(line)) for line in lines)


def _message(result: Mapping[str, Any]) -> str | None:
    """What a node said, without values: what went wrong and where, not the rows that a unit test compares."""
    lines = _clean(result["message"] or "").splitlines()
    return " ".join(line.strip() for line in lines[: 1 if result["status"] == "fail" else 4]) or None


def manifest(code: str) -> Manifest:
    """dbt's manifest of the code with this hash, with our fingerprint of each node.

    Raises TransformError when the project cannot be parsed, or when another version's manifest is not kept here.
    """
    if not _kept(code).exists():
        if code != code_hash():
            raise TransformError(f"the manifest of code {code[:12]} is not in {_kept(code).parent}; run a full build")
        log = settings.home() / "logs" / "dbt" / "parse.log"
        if _dbt(["parse"], log):
            raise TransformError(f"dbt cannot parse {PROJECT}; read {log}")
        _keep_manifest(code)
    loaded: Manifest = json.loads(_kept(code).read_text(encoding="utf-8"))
    return loaded


def kept_manifest(code: str) -> Manifest | None:
    """The manifest of the code with this hash where it is kept here; dbt is not asked."""
    return manifest(code) if _kept(code).exists() else None


def _kept(code: str) -> Path:
    return _directory() / "manifests" / f"{code}.json"


def _keep_manifest(code: str) -> None:
    """Keep the manifest that dbt has just written, because the next version of the code is compared with it."""
    document = json.loads((_directory() / "target" / "manifest.json").read_text(encoding="utf-8"))
    # dbt keeps tests of what is disabled among its nodes.
    document["nodes"] = {name: node for name, node in document["nodes"].items() if node["config"]["enabled"]}
    document["fingerprints"] = _fingerprints(document)
    _replace(_kept(code), json.dumps(document))


def _fingerprints(document: Manifest) -> dict[str, str]:
    """For each model and seed a digest of what decides its content, its description and its tests."""
    tests: dict[str, list[Any]] = defaultdict(list)
    for node in document["nodes"].values():
        if node["resource_type"] == "test":
            config = node["config"]
            tests[attached_node(node)].append([node["unique_id"], node["raw_code"], config["severity"], config["meta"]])

    @functools.cache
    def macro(unique_id: str) -> str:
        entry = document["macros"][unique_id]
        # dbt's own macros change with dbt's version, which is the same for all.
        if entry["package_name"] != "citydata":
            return ""
        return str(entry["macro_sql"]) + "".join(macro(other) for other in entry["depends_on"]["macros"])

    prints = {}
    for unique_id, node in document["nodes"].items():
        if node["resource_type"] not in ("model", "seed"):
            continue
        macros = [macro(name) for name in node["depends_on"].get("macros", [])]
        sources = [name for name in node["depends_on"].get("nodes", []) if name.startswith("source.")]
        parts = [
            node["checksum"]["checksum"],
            {name: node["config"].get(name) for name in ("materialized", "tags", "contract", "pre-hook", "post-hook")},
            node.get("group"),
            node["description"],
            node["columns"],
            node.get("constraints"),
            macros,
            sorted(tests[unique_id], key=str),
            [document["sources"][name]["relation_name"] for name in sources],
        ]
        if "var(" in node.get("raw_code", "") + "".join(macros):
            parts.append(variables())
        if any(name.startswith("source.citydata.master_link.") for name in sources):
            parts.append(_matching_hash())
        prints[unique_id] = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
    return prints


# -- the graph -------------------------------------------------------------------------------------------------------


def attached_node(test: Mapping[str, Any]) -> str:
    """The node that a test speaks about: the one it stands under, else the first that it reads."""
    depends = test["depends_on"]["nodes"]
    return str(test.get("attached_node") or (depends[0] if depends else ""))


def _about(unique_id: str, node: Mapping[str, Any]) -> str:
    """The model, seed or source that a node's result is about."""
    if node["resource_type"] == "test":
        return attached_node(node)
    if node["resource_type"] == "unit_test":
        return str(node["depends_on"]["nodes"][0])
    return unique_id


def groups(document: Manifest) -> list[str]:
    """Names of dbt's groups that have tables: a town without a sector's datasets has none of it to release."""
    used = {document["nodes"][name]["config"].get("group") for name in _buildable(document)}
    return sorted(group["name"] for group in document["groups"].values() if group["name"] in used)


def closure(document: Manifest, group: str) -> set[str]:
    """Models, seeds and sources that a group's tables are made of, its own included."""
    members = (
        unique_id
        for unique_id, node in document["nodes"].items()
        if node["resource_type"] in ("model", "seed") and node["config"].get("group") == group
    )
    return ancestors(document, *members)


def ancestors(document: Manifest, *nodes: str) -> set[str]:
    """Models, seeds and sources that `nodes` are made of, they themselves included."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        unique_id = waiting.pop()
        if unique_id not in found:
            found.add(unique_id)
            waiting += document["parent_map"].get(unique_id, [])
    return found


def _source(dataset: str) -> str:
    """dbt's name of a dataset's versioned table."""
    return f"source.citydata.{dataset}"


def datasets(document: Manifest, nodes: Iterable[str]) -> set[str]:
    """Ids of the datasets among the sources in `nodes`."""
    sources = (document["sources"][name] for name in nodes if name in document["sources"])
    return {f"{source['source_name']}.{source['name']}" for source in sources if source["schema"] == "raw"}


def _descendants(document: Manifest, roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        unique_id = waiting.pop()
        if unique_id not in found:
            found.add(unique_id)
            waiting += document["child_map"].get(unique_id, [])
    return found & _buildable(document)


def _buildable(document: Manifest) -> set[str]:
    return {name for name, node in document["nodes"].items() if node["resource_type"] in ("model", "seed")}


def failures(document: Manifest, results: Mapping[str, tuple[str, str | None]]) -> dict[str, list[str]]:
    """For each group that must not be released the reasons: what failed or was skipped among what it is made of.

    `results` maps unique ids of a build's nodes to status and message. A test that only warns is no reason.
    """
    reasons: dict[str, list[str]] = {}
    made_of = {group: closure(document, group) for group in groups(document)}
    for unique_id, (status, message) in sorted(results.items()):
        if status not in ("error", "fail", "skipped", "runtime error", "partial success"):
            continue
        node = next(
            (document[kind][unique_id] for kind in ("nodes", "unit_tests", "sources") if unique_id in document[kind]),
            None,
        )
        if node is None:
            continue
        kind = node["resource_type"]
        if status == "skipped" and kind != "model":
            continue  # the model it belongs to was skipped or failed, and is named itself
        about = _about(unique_id, node)
        text = f"{kind.replace('_', ' ')} {node['name']}: {status}"
        if message and status != "skipped":
            text += f" ({message})"
        for group, nodes in made_of.items():
            if about in nodes:
                reasons.setdefault(group, []).append(text)
    return reasons


# -- what is out of date ---------------------------------------------------------------------------------------------


def _out_of_date(connection: Connection, document: Manifest, code: str, build_id: int) -> tuple[set[str], bool]:
    """Nodes to build, and whether tables that grow by increments must be made anew.

    Everything is compared with the last successful release of each group, so that a build that failed, was killed or
    was never released loses nothing.
    """
    horizon = dict(connection.execute("SELECT dataset, batch_id FROM ops.horizon").fetchall())
    roots = _missing(connection, document)
    anew = bool(roots)
    for group in groups(document):
        made_of = closure(document, group)
        row = connection.execute(
            "SELECT r.release_id, b.build_id, b.code_hash,"
            " (b.started_at AT TIME ZONE %(zone)s)::date <> (now() AT TIME ZONE %(zone)s)::date"
            " FROM ops.release_group g JOIN ops.release r USING (release_id) JOIN ops.build b USING (build_id)"
            " WHERE g.group_name = %(group)s AND g.state = 'released' ORDER BY r.release_id DESC LIMIT 1",
            {"group": group, "zone": town.load().time_zone},
        ).fetchone()
        released_code = _released_manifest(row[2]) if row else None
        if row is None or released_code is None:
            roots |= made_of
            anew = True
            continue
        release_id, released_build, released_hash, another_day = row
        if released_hash != code:
            old, new = released_code["fingerprints"], document["fingerprints"]
            changed = {name for name in made_of if name in new and new[name] != old.get(name)}
            roots |= changed
            anew = anew or bool(changed)
        unvouched = _unreleased_selections(connection, document, released_build, build_id) & made_of
        roots |= unvouched
        anew = anew or bool(unvouched)
        released = dict(
            connection.execute(
                "SELECT dataset, batch_id FROM ops.release_horizon WHERE release_id = %s AND group_name = %s",
                (release_id, group),
            ).fetchall()
        )
        for dataset in datasets(document, made_of):
            if horizon.get(dataset) != released.get(dataset):
                roots.add(_source(dataset))
        if another_day:
            roots |= {name for name in made_of if DATE_DEPENDENT in document["nodes"].get(name, {}).get("tags", [])}
    return _descendants(document, roots), anew


def _released_manifest(code: str | None) -> Manifest | None:
    try:
        return manifest(code) if code else None
    except TransformError:
        return None


def _missing(connection: Connection, document: Manifest) -> set[str]:
    """Models and seeds whose relation is not in the database."""
    wanted = {
        unique_id: f'"{node["schema"]}"."{node["alias"]}"'
        for unique_id, node in document["nodes"].items()
        if node["resource_type"] in ("model", "seed")
    }
    present = dict(
        connection.execute(
            "SELECT id, to_regclass(name) IS NOT NULL FROM unnest(%s::text[], %s::text[]) AS t (id, name)",
            (list(wanted), list(wanted.values())),
        ).fetchall()
    )
    return {unique_id for unique_id in wanted if not present[unique_id]}


def _unreleased_selections(connection: Connection, document: Manifest, released_build: int, build_id: int) -> set[str]:
    """Nodes that a later build wrote and nobody released: their tables hold what nobody vouches for."""
    names: set[str] = set()
    for (selection,) in connection.execute(
        "SELECT selection FROM ops.build WHERE build_id > %s AND build_id <> %s AND selection IS NOT NULL",
        (released_build, build_id),
    ):
        names |= set(selection.split())
    return {name for name in _buildable(document) if EVERYTHING in names or document["nodes"][name]["name"] in names}


# -- a build ---------------------------------------------------------------------------------------------------------


def build(full: bool = False, run_id: str | None = None, compares: int | None = None) -> Build:
    """Fix the horizon and build what is out of date; `full` builds everything anew.

    A dataset with an open backfill is seen as of the batch before it. Only the build that `compares` what the backfill would
    change sees its batches, and of other datasets what the last build that compares none saw; it is never released.
    What is made of a dataset that a rebuild left without batches which were published counts as failed.
    A failed test or model does not raise: it is in the returned `failures`, by group. Raises TransformError when the
    build broke off, and it then counts as never having happened.
    """
    started = time.monotonic()
    code = code_hash()
    with database.connect("transformer", autocommit=True) as connection:
        lock(connection)
        _end_orphans(connection)
        lacking = ops.not_whole(
            connection
        )  # before the horizon: rebuilds wait for the warehouse, so there is no more later
        build_id = _begin(connection, full, code, run_id, compares)
        log = settings.home() / "logs" / "dbt" / f"build-{build_id}.log"
        try:
            document = _prepare_staging(connection, code, log)
            master.match(connection)
            selected, anew = _out_of_date(connection, document, code, build_id)
            names = tuple(sorted(document["nodes"][unique_id]["name"] for unique_id in selected))
            if full or selected == _buildable(document):
                names = (EVERYTHING,)
            connection.execute("UPDATE ops.build SET selection = %s WHERE build_id = %s", (" ".join(names), build_id))
            results = _run(names, full or anew, log) if names else {}
            reasons = _record(connection, document, build_id, results, lacking)
            if full:
                quality.record(connection, _punctuality(build_id))
        except BaseException as error:
            # The connection may be what broke; the next build then marks this one.
            if not connection.closed:
                connection.execute(
                    "UPDATE ops.build SET state = 'failed', finished_at = clock_timestamp() WHERE build_id = %s",
                    (build_id,),
                )
            if isinstance(error, psycopg.Error):
                raise TransformError(
                    f"build {build_id}: {database.cleaned(error)}; run the build again, and read {log}"
                ) from None
            raise
    return Build(build_id, "built", full, names, time.monotonic() - started, reasons, log)


def lock(connection: Connection) -> None:
    """Wait for the warehouse; held until the session ends. Raises TransformError when another build does not finish."""
    connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (WAREHOUSE_LOCK,))
    except psycopg.errors.LockNotAvailable:
        raise TransformError(
            f"another build or release has held the warehouse for {LOCK_WAIT}; `./citydata status` shows what runs"
        ) from None
    connection.execute("SET lock_timeout = 0")


def _end_orphans(connection: Connection) -> None:
    """End what a killed build left running: whoever holds the lock is the only one who may have a dbt."""
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = current_user AND application_name = %s",
        (APPLICATION,),
    )


_HORIZON = (
    "SELECT %(build)s, dataset, max(batch_id) FROM ops.batch b LEFT JOIN ops.open_backfill f USING (dataset)"
    " WHERE b.state = 'published' AND (f.horizon IS NULL OR b.batch_id <= f.horizon) GROUP BY dataset"
)
_COMPARED_HORIZON = (
    "SELECT %(build)s, dataset, max(batch_id) FROM ops.batch JOIN ops.backfill f USING (dataset)"
    " WHERE f.backfill_id = %(compares)s AND batch.state = 'published' GROUP BY dataset"
    " UNION ALL SELECT %(build)s, dataset, batch_id FROM ops.build_horizon WHERE build_id ="
    " (SELECT max(build_id) FROM ops.build WHERE state = 'built' AND compares_backfill IS NULL)"
    " AND dataset <> (SELECT dataset FROM ops.backfill WHERE backfill_id = %(compares)s)"
)


def _begin(connection: Connection, full: bool, code: str, run_id: str | None, compares: int | None) -> int:
    with connection.transaction():
        # Whoever holds the lock knows that no other build is at work.
        connection.execute(
            "UPDATE ops.build SET state = 'failed', finished_at = clock_timestamp() WHERE state = 'building'"
        )
        [(build_id,)] = connection.execute(
            'INSERT INTO ops.build ("full", code_hash, run_id, compares_backfill) VALUES (%s, %s, %s, %s) RETURNING build_id',
            (full, code, run_id, compares),
        ).fetchall()
        # One statement, one snapshot: the horizons of all datasets are of the same moment.
        connection.execute(
            "INSERT INTO ops.build_horizon (build_id, dataset, batch_id) "
            + (_COMPARED_HORIZON if compares else _HORIZON),
            {"build": build_id, "compares": compares},
        )
        connection.execute("DELETE FROM ops.horizon")
        connection.execute(
            "INSERT INTO ops.horizon (dataset, batch_id, build_id)"
            " SELECT dataset, batch_id, build_id FROM ops.build_horizon WHERE build_id = %s",
            (build_id,),
        )
    return int(build_id)


def _prepare_staging(connection: Connection, code: str, log: Path) -> Manifest:
    """Matching reads staging before dbt builds it, so its views must be there and be those of this code."""
    master.prepare(connection)
    if _kept(code).exists():
        document = manifest(code)
        staging = {name for name in _buildable(document) if document["nodes"][name]["schema"] == "staging"}
        row = connection.execute(
            "SELECT code_hash FROM ops.build WHERE state = 'built' ORDER BY build_id DESC LIMIT 1"
        ).fetchone()
        if row and row[0] == code and not staging & _missing(connection, document):
            return document
    if _dbt(["run", "--select", "path:models/staging"], log):
        raise TransformError(f"dbt cannot make the staging views; read {log}")
    _keep_manifest(code)
    return manifest(code)


def _run(names: tuple[str, ...], anew: bool, log: Path) -> dict[str, dict[str, Any]]:
    """Run the one `dbt build` and return its results by unique id."""
    target = _directory() / "target" / "run_results.json"
    target.unlink(missing_ok=True)
    command = ["build", *(["--full-refresh"] if anew else [])]
    if names != (EVERYTHING,):
        command += ["--select", *names]
    if not anew:
        # Unit tests judge the code, which is the one that was released.
        command += ["--exclude-resource-type", "unit_test"]
    code = _dbt(command, log)
    if code not in (0, 1) or not target.exists():
        raise TransformError(f"dbt broke off with exit code {code}; read {log}, then build again")
    results = json.loads(target.read_text(encoding="utf-8"))["results"]
    target.unlink()  # its messages may hold values
    return {result["unique_id"]: result for result in results}


def _record(
    connection: Connection,
    document: Manifest,
    build_id: int,
    results: dict[str, dict[str, Any]],
    lacking: dict[str, list[int]],
) -> dict[str, list[str]]:
    """Keep the results, the checks among them also as results of quality, and mark the build as built.

    `lacking` are batches by dataset of which the table has no rows now: what is made of them must not be released.
    """
    outcome = {name: (str(result["status"]), _message(result)) for name, result in results.items()}
    rows: list[tuple[Any, ...]] = []
    for dataset, batch_ids in lacking.items():
        numbers = ", ".join(map(str, batch_ids))
        why = f"batches {numbers} were published and are not again; `./citydata batch rebuild {dataset}`"
        outcome[_source(dataset)] = ("error", why)
        rows.append((build_id, _source(dataset), "source", dataset, None, "error", None, None, why))
    reasons = failures(document, outcome)
    for unique_id, result in results.items():
        node = document["nodes"].get(unique_id) or document["unit_tests"].get(unique_id) or {}
        about = document["nodes"].get(_about(unique_id, node), {}) if node else {}
        rows.append(
            (
                build_id,
                unique_id,
                unique_id.split(".")[0],
                node.get("name", unique_id),
                about.get("config", {}).get("group"),
                outcome[unique_id][0],
                result["execution_time"],
                result["failures"],
                outcome[unique_id][1],
            )
        )
    checks = _checks(connection, document, build_id, results)
    with connection.transaction():
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ops.dbt_result (build_id, unique_id, resource_type, name, group_name, status, seconds, failures, message)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                rows,
            )
        quality.record(connection, checks)
        connection.execute(
            "UPDATE ops.build SET state = 'built', finished_at = clock_timestamp() WHERE build_id = %s", (build_id,)
        )
    return reasons


def _checks(
    connection: Connection, document: Manifest, build_id: int, results: dict[str, dict[str, Any]]
) -> list[quality.CheckResult]:
    """dbt's data tests as results of quality. A test over no rows has shown nothing and is an error, not a pass."""

    @functools.cache
    def rows_of(unique_id: str) -> int:
        node = document["nodes"].get(unique_id) or document["sources"][unique_id]
        schema, table = node["schema"], node.get("alias") or node["identifier"]
        [(count,)] = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        ).fetchall()
        return int(count)

    checks = []
    for unique_id, result in results.items():
        test = document["nodes"].get(unique_id)
        if test is None or test["resource_type"] != "test" or result["status"] == "skipped":
            continue
        about = attached_node(test)
        node = document["nodes"].get(about) or document["sources"][about]
        evaluated = 0 if result["status"] == "error" else rows_of(about)
        group = document["groups"].get(f"group.citydata.{node['config'].get('group')}")
        failed = result["status"] in ("fail", "warn")
        kind = test.get("test_metadata", {}).get("name", "") if test.get("test_metadata") else ""
        meta = test["config"]["meta"]
        staged = node["name"].removeprefix("stg_").replace("__", ".") if node["schema"] == "staging" else None
        checks.append(
            quality.CheckResult(
                source="dbt",
                check_id=f"dbt.{test['name']}",
                dimension=meta.get("dimension") or DIMENSION_OF_TEST[kind],
                severity=meta.get("severity")
                or ("critical" if test["config"]["severity"].lower() == "error" else "warning"),
                description=test["description"] or f"{node['schema']}.{node['name']}: {test['name'].replace('_', ' ')}",
                outcome="fail" if failed else "pass" if evaluated else "error",
                dataset=staged,
                build_id=build_id,
                evaluated=evaluated,
                unexpected=result["failures"] if result["status"] != "error" else None,
                owner=group["owner"]["email"] if group else None,
            )
        )
    return checks


@dataclass(frozen=True)
class Freshness:
    """Whether a dataset's last published batch is within its service level: pass, warn, error or runtime error."""

    dataset: str
    status: str


def _punctuality(build_id: int) -> list[quality.CheckResult]:
    """The freshness of every source as results of quality, once a day with the full build."""
    loaded = contract.load_all()
    return [
        quality.CheckResult(
            source="dbt",
            check_id=f"dbt.source_freshness.{entry.dataset}",
            dimension="punctuality",
            severity="warning",
            description=f"A batch of {entry.dataset} was published within {loaded[entry.dataset].sla_hours:g} hours.",
            outcome={"pass": "pass", "runtime error": "error"}.get(entry.status, "fail"),
            dataset=entry.dataset,
            build_id=build_id,
            evaluated=1,
            unexpected=int(entry.status != "pass"),
            owner=loaded[entry.dataset].owner,
        )
        for entry in source_freshness()
    ]


def source_freshness() -> list[Freshness]:
    """Ask dbt for the freshness of every source. Raises TransformError when dbt cannot tell."""
    log = settings.home() / "logs" / "dbt" / "freshness.log"
    target = _directory() / "target" / "sources.json"
    target.unlink(missing_ok=True)
    if _dbt(["source", "freshness"], log) not in (0, 1) or not target.exists():
        raise TransformError(f"dbt cannot tell how fresh the sources are; read {log}")
    results = json.loads(target.read_text(encoding="utf-8"))["results"]
    return [Freshness(".".join(result["unique_id"].split(".")[2:]), str(result["status"])) for result in results]
