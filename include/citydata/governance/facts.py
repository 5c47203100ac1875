"""What the platform itself shows of the datasets that it loads, read from the database and the files of the code.

Every part is one query about all datasets. Nothing is judged here: `criteria` does that.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

import citydata
from citydata import contract as contracts
from citydata import database, deploy, release, settings, town, transform
from citydata.contract import Contract
from citydata.extract import NO_DIFFERENCE, archive
from citydata.governance.criteria import checks
from citydata.governance.evidence import (
    CheckState,
    CriticalFailure,
    Grant,
    Lineage,
    Loaded,
    PersonState,
    SourceSchema,
    SuiteState,
)
from citydata.governance.inventory import Inventory
from citydata.governance.method import Method

Connection = psycopg.Connection[Any]
Table = tuple[str, str]  # schema and name


def gather(
    connection: Connection, inventory: Inventory, method: Method, now: datetime
) -> tuple[dict[str, Loaded], dict[str, PersonState]]:
    """The facts of each usable contract, and of each person of the inventory who has an employee number.

    Canaries run as the loader when a suite, its samples or its code changed, or when their proof is older than the method
    allows; the proof is kept. `connection` belongs to the role measurer.
    """
    entries = contracts.load_each()[0]
    last = _last_release(connection)
    shapes = _shapes(connection, entries)
    rows = _rows(connection)
    grants = _grants(connection, entries, last, now)
    suites, problems = _suites(connection, entries, method, now)
    results = _results(connection, entries, suites, method, now)
    moments = _moments(connection)
    failures = _critical_failures(connection, entries, last)
    schemas = _source_schemas(connection)
    lineages = _lineages(connection, entries, last, now - method.measurement)
    loaded = {}
    for name, entry in entries.items():
        columns, size = shapes.get(name, ({}, None))
        unexpected, seen = grants.get(name, (None, 0))
        audited, taken, batch = moments.get(name, (None, None, None))
        loaded[name] = Loaded(
            contract=entry,
            observed_at=now,
            contract_problems=tuple(contracts.problems(entry)),
            physical_columns=columns,
            source_schema=schemas.get(name),
            unexpected_grants=unexpected,
            grants_seen=seen,
            suite=suites.get(name),
            suite_problem=problems.get(name),
            checks=results.get(name, {}),
            last_audit_at=audited,
            last_load_at=taken,
            last_batch_id=batch,
            critical_failures=tuple(failures.get(name, ())),
            lineage=lineages[name],
            retention=None,  # no job enforces retention yet
            rows=rows.get(name, 0) if columns else None,
            bytes=size,
        )
    return loaded, people(connection, inventory, now)


# -- tables ----------------------------------------------------------------------------------------------------------


def _shapes(connection: Connection, entries: Mapping[str, Contract]) -> dict[str, tuple[dict[str, str], int]]:
    """By dataset the columns of its raw table with their types, without those that deployment adds, and its bytes."""
    found: dict[str, tuple[dict[str, str], int]] = {}
    by_table = {entry.raw_name: entry for entry in entries.values()}
    for table, size, names, types in connection.execute(
        "SELECT c.relname, pg_total_relation_size(c.oid), array_agg(a.attname::text ORDER BY a.attnum),"
        " array_agg(replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')"
        " ORDER BY a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'raw'::regnamespace AND c.relname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped"
        " GROUP BY c.oid, c.relname",
        (list(by_table),),
    ):
        own = deploy.platform_columns(by_table[table]).items()
        columns = {name: kind for name, kind in zip(names, types, strict=True) if (name, kind) not in own}
        found[by_table[table].dataset] = (columns, size)
    return found


def _rows(connection: Connection) -> dict[str, int]:
    """Current rows by dataset, from the ledger: what batches opened less what they closed. Counting would scan the tables."""
    return dict(
        connection.execute(
            "SELECT dataset, sum(inserted - closed)::bigint FROM ops.batch WHERE state = 'published' GROUP BY dataset"
        ).fetchall()
    )


# -- rights ----------------------------------------------------------------------------------------------------------

# Members of these read or write every table without a grant on any.
ALL_DATA = ("pg_read_all_data", "pg_write_all_data")

_RIGHTS = """
WITH tables AS (
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.oid, c.relowner, c.relacl
    FROM unnest(%s::text[], %s::text[]) AS wanted (schema, name)
    JOIN pg_namespace n ON n.nspname = wanted.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
), rights AS (
    SELECT t.schema, t.name, NULL::text AS column, t.relowner, acl.*
    FROM tables t CROSS JOIN LATERAL aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) AS acl
    UNION ALL
    SELECT t.schema, t.name, a.attname::text, t.relowner, acl.*
    FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND NOT a.attisdropped
    CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
)
SELECT r.schema, r.name, r.column, o.rolname::text,
    CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE coalesce(g.rolname::text, r.grantee::text) END,
    r.privilege_type || CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, r.grantee = r.relowner
FROM rights r JOIN pg_roles o ON o.oid = r.relowner LEFT JOIN pg_roles g ON g.oid = r.grantee
ORDER BY 1, 2, 3, 5, 6
"""

_MEMBERS = """
WITH RECURSIVE members AS (
    SELECT m.roleid AS of, m.member FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
    WHERE g.rolname = ANY(%s) AND (m.inherit_option OR m.set_option)
    UNION
    SELECT members.of, m.member FROM members JOIN pg_auth_members m ON m.roleid = members.member
    WHERE m.inherit_option OR m.set_option
)
SELECT g.rolname::text, r.rolname::text FROM members JOIN pg_roles g ON g.oid = members.of
JOIN pg_roles r ON r.oid = members.member WHERE NOT r.rolsuper AND r.rolname <> %s AND NOT EXISTS (
    SELECT FROM ops.access a WHERE a.login = r.rolname AND 'citydata_' || a.role = g.rolname AND a.revoked_at IS NULL
    AND (a.until IS NULL OR a.until >= %s)
) ORDER BY 1, 2
"""


def _grants(
    connection: Connection, entries: Mapping[str, Contract], last: "_Release | None", now: datetime
) -> dict[str, tuple[tuple[Grant, ...] | None, int]]:
    """By dataset the rights on its tables that its classification does not give, and how many were compared.

    None where they cannot be compared: the raw table is missing, or what was released of it is not known here.
    """
    tables: dict[str, dict[Table, frozenset[Grant]]] = {}
    for name, entry in entries.items():
        own = deploy.allowed(entry)
        tables[name] = {(right.schema, right.table): own for right in own}
        if last and last.document:
            tables[name] |= _tables_below(last.document, name)
    everything = sorted({table for below in tables.values() for table in below})
    given: dict[Table, list[Grant]] = defaultdict(list)
    owners: dict[Table, str] = {}
    for schema, table, column, owner, grantee, privilege, own_right in connection.execute(
        _RIGHTS, ([schema for schema, _ in everything], [table for _, table in everything])
    ):
        owners[schema, table] = owner
        if not own_right:
            given[schema, table].append(Grant(schema, table, column, grantee, privilege))
    groups = {name: _groups(below, owners) for name, below in tables.items()}
    members: dict[str, list[str]] = defaultdict(list)
    administrator = unquote(urlsplit(database.admin_url()).username or "")
    parameters = (
        sorted(set().union(*groups.values())),
        administrator,
        now.astimezone(ZoneInfo(town.load().time_zone)).date(),
    )
    for group, member in connection.execute(_MEMBERS, parameters):
        members[group].append(member)
    return {
        name: _compared(entries[name], below, given, owners, {group: members[group] for group in groups[name]})
        if last is None or last.document
        else (None, 0)
        for name, below in tables.items()
    }


def _tables_below(document: transform.Manifest, dataset: str) -> dict[Table, frozenset[Grant]]:
    """The tables and views that hold data of a dataset, built and released, and the rights that they may give."""
    below = _below(document, f"source.citydata.{dataset}")
    found: dict[Table, frozenset[Grant]] = {}
    for unique_id in below & document["nodes"].keys():
        node = document["nodes"][unique_id]
        if node["resource_type"] == "model":
            schema, name = node["schema"], node["alias"]
            built = Grant(schema, name, None, deploy.BUILT_READER, "SELECT")
            found[schema, name] = frozenset({built} if schema.startswith("build_") else ())
    for table in release.tables(document):
        if table.unique_id in below:
            found[table.schema, table.name] = frozenset(
                Grant(table.schema, table.name, None, reader, "SELECT")
                for reader in release.readers(table.schema, table.name)
            )
    return found


def _groups(below: Mapping[Table, frozenset[Grant]], owners: Mapping[Table, str]) -> set[str]:
    """Roles whose members read or write the tables of a dataset."""
    granted = {right.grantee for rights in below.values() for right in rights}
    return granted | {owners[table] for table in below if table in owners} | set(ALL_DATA)


def _compared(
    entry: Contract,
    below: Mapping[Table, frozenset[Grant]],
    given: Mapping[Table, list[Grant]],
    owners: Mapping[Table, str],
    members: Mapping[str, list[str]],
) -> tuple[tuple[Grant, ...] | None, int]:
    if ("raw", entry.raw_name) not in owners:
        return None, 0
    seen, unexpected = 0, []
    for table, rights in below.items():
        for right in given.get(table, ()):
            seen += 1
            # Who may read the table may read its columns.
            whole = Grant(right.schema, right.table, None, right.grantee, right.privilege)
            if right not in rights and whole not in rights:
                unexpected.append(right)
    for group, names in members.items():
        seen += len(names)
        # Each group has one login of its own; whoever else is in it was given access by somebody, for a reason.
        unexpected += [
            Grant("pg_catalog", "pg_auth_members", None, name, f"MEMBER OF {group}")
            for name in names
            if name != f"{group}_login"
        ]
    return tuple(unexpected), seen


# -- suites and checks -----------------------------------------------------------------------------------------------


def _suites(
    connection: Connection, entries: Mapping[str, Contract], method: Method, now: datetime
) -> tuple[dict[str, SuiteState], dict[str, str]]:
    """By dataset its suite with the proof of its checks, and what is wrong with the suite where there is none."""
    documents: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    for name in entries:
        try:
            documents[name] = json.loads(_suite_path(name).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            problems[name] = f"{name}: the suite cannot be read ({type(error).__name__})"
    code = _digest_of_code()
    digests = {name: _digest(name, document, code) for name, document in documents.items()}
    proofs = _proofs(connection, digests)
    suites = {}
    for name, digest in digests.items():
        proof = proofs.get(name)
        if proof is None or proof[1] <= now - method.canaries:
            try:
                proof = _prove(connection, name, digest, now)
            except _Unusable as error:
                problems[name] = str(error)
                continue
        dimensions = {entry["meta"]["id"]: entry["meta"]["dimension"] for entry in documents[name]["expectations"]}
        suites[name] = SuiteState(digest, dimensions, proof[0], proof[1])
    return suites, problems


def _suite_path(dataset: str) -> Path:
    return settings.EXPECTATIONS.joinpath(*dataset.split(".", 1)).with_suffix(".json")


def _digest_of_code() -> bytes:
    """Of everything that decides what a check does, whatever its suite says."""
    package = Path(citydata.__file__).parent
    digest = hashlib.sha256()
    for path in (*sorted(settings.EXPECTATIONS.glob("*.py")), package / "suite.py", package / "canary.py"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def _digest(dataset: str, document: Any, code: bytes) -> str:
    """Of a suite and all that its canaries meet: its own sample and those of the datasets it compares with."""
    digest = hashlib.sha256(code)
    references = document.get("meta", {}).get("references", {}) if isinstance(document, dict) else {}
    paths = [
        _suite_path(dataset),
        *(_suite_path(name).with_suffix(".sample.csv") for name in sorted({dataset, *references})),
    ]
    for path in paths:
        digest.update(path.name.encode() + b"\0" + (path.read_bytes() if path.exists() else b"") + b"\0")
    return digest.hexdigest()


_Proof = tuple[dict[str, bool], datetime]


class _Unusable(ValueError):
    """A suite whose canaries cannot be tried; the text names the dataset and what is wrong."""


def _proofs(connection: Connection, digests: Mapping[str, str]) -> dict[str, _Proof]:
    """The last trial of the canaries of each suite as it is today: check: proven, and when."""
    found: dict[str, _Proof] = {}
    for dataset, tried_at, ids, proven in connection.execute(
        "SELECT DISTINCT ON (dataset) dataset, tried_at, array_agg(check_id), array_agg(proven)"
        " FROM governance.canary_result WHERE (dataset, suite_sha256) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
        " GROUP BY dataset, tried_at ORDER BY dataset, tried_at DESC",
        (list(digests), list(digests.values())),
    ):
        found[dataset] = (dict(zip(ids, proven, strict=True)), tried_at)
    return found


def _prove(connection: Connection, dataset: str, digest: str, now: datetime) -> _Proof:
    """Try the canaries of a suite and keep what they proved."""
    from citydata import canary, suite  # noqa: PLC0415 - imports Great Expectations, which costs seconds

    try:
        results = canary.run(dataset)
    except suite.SuiteError as error:
        raise _Unusable(str(error)) from None
    except Exception as error:  # whatever is wrong with one suite or sample, the others are measured
        reason = database.cleaned(error) if isinstance(error, psycopg.Error) else type(error).__name__
        raise _Unusable(f"{dataset}: the sample of the suite cannot be used ({reason})") from None
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO governance.canary_result (suite_sha256, dataset, check_id, proven, unexpected, tried_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [(digest, dataset, result.check_id, result.proven, result.unexpected, now) for result in results],
        )
    return {result.check_id: result.proven for result in results}, now


def _results(
    connection: Connection,
    entries: Mapping[str, Contract],
    suites: Mapping[str, SuiteState],
    method: Method,
    now: datetime,
) -> dict[str, dict[str, CheckState]]:
    """The newest result of each check that a suite has today, within its window."""
    wanted = [
        (name, check, now - checks.window(entry, method))
        for name, entry in entries.items()
        for check in (suites[name].dimensions if name in suites else ())
    ]
    found: dict[str, dict[str, CheckState]] = defaultdict(dict)
    for dataset, check, outcome, evaluated, checked_at, batch, build in connection.execute(
        "SELECT w.dataset, w.check_id, r.outcome, coalesce(r.evaluated, 0), r.checked_at, r.batch_id, r.build_id"
        " FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS w (dataset, check_id, since) CROSS JOIN LATERAL ("
        "SELECT * FROM quality.check_result r WHERE r.check_id = w.check_id AND r.dataset = w.dataset"
        " AND r.checked_at >= w.since ORDER BY r.checked_at DESC, r.result_id DESC LIMIT 1) AS r",
        tuple(map(list, zip(*wanted, strict=True))) if wanted else ([], [], []),
    ):
        found[dataset][check] = CheckState(outcome, evaluated, checked_at, batch, build)
    return found


# -- batches ---------------------------------------------------------------------------------------------------------


def _moments(connection: Connection) -> dict[str, tuple[datetime | None, datetime | None, int | None]]:
    """By dataset when a batch was last audited, when its source was last taken in, and its last published batch.

    A source that said the same again is as fresh as one that changed, and its content has been audited already.
    """
    return {
        dataset: (_latest(audited, repeated), _latest(published, repeated), batch)
        for dataset, audited, published, batch, repeated in connection.execute(
            "SELECT b.dataset, max(b.audited_at), max(b.published_at) FILTER (WHERE b.state = 'published'),"
            " max(b.batch_id) FILTER (WHERE b.state = 'published'), (SELECT max(a.seen_at) FROM ops.arrival a"
            " WHERE a.dataset = b.dataset AND a.outcome = 'repeated')"
            " FROM ops.batch b WHERE b.kind = 'load' GROUP BY b.dataset"
        )
    }


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment), default=None)


def _source_schemas(connection: Connection) -> dict[str, SourceSchema]:
    """How the source's columns differed from the contract's in the newest batch that could tell."""
    return {
        dataset: SourceSchema(batch, observed, tuple(columns["missing"]), tuple(columns["added"]))
        for dataset, batch, observed, columns in connection.execute(
            "SELECT DISTINCT ON (dataset) dataset, batch_id, coalesce(observed_at, started_at), source->'columns'"
            " FROM ops.batch WHERE kind = 'load' AND source ? 'columns' ORDER BY dataset,"
            # One that is held for it says so until somebody decides, whatever other parts of the dataset came since.
            " (state = 'held' AND source->'columns' <> %s) DESC, batch_id DESC",
            (Jsonb(NO_DIFFERENCE),),
        )
    }


def _critical_failures(
    connection: Connection, entries: Mapping[str, Contract], last: "_Release | None"
) -> dict[str, list[CriticalFailure]]:
    """By dataset what failed critically and waits: held batches, and tests that keep a mart from being released."""
    found: dict[str, list[CriticalFailure]] = defaultdict(list)
    for dataset, batch, since, failed in connection.execute(
        "SELECT b.dataset, b.batch_id, coalesce(b.audited_at, b.landed_at, b.sealed_at, b.started_at),"
        " array(SELECT DISTINCT r.check_id FROM quality.check_result r WHERE r.batch_id = b.batch_id"
        " AND r.severity = 'critical' AND r.outcome <> 'pass' ORDER BY 1)"
        " FROM ops.batch b WHERE b.state = 'held' ORDER BY b.batch_id"
    ):
        # One that is held for another reason, such as too many rows in quarantine, waits for a person all the same.
        for check in failed or [f"{dataset}.batch"]:
            found[dataset].append(CriticalFailure(check, since, f"batch {batch}"))
    if last is None or not last.stale:
        return found
    broken = connection.execute(
        "SELECT unique_id, name FROM ops.dbt_result WHERE build_id = %s"
        " AND status IN ('error', 'fail', 'runtime error', 'partial success') ORDER BY unique_id",
        (last.build_id,),
    ).fetchall()
    for dataset in entries:
        below = _below(last.document, f"source.citydata.{dataset}") if last.document else None
        for unique_id, name in broken:
            about = _about(last.document, unique_id) if last.document else ""
            since = [
                moment
                for group, moment in last.stale.items()
                if last.document is None or about in transform.closure(last.document, group)
            ]
            # Where it cannot be told whose models failed, every dataset waits.
            if since and (below is None or about in below):
                found[dataset].append(CriticalFailure(f"dbt.{name}", min(since), f"build {last.build_id}"))
    return found


# -- lineage ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Release:
    """The last release: the graph of the code that built it, and since when each of its stale groups is stale."""

    release_id: int
    build_id: int
    code: str
    document: transform.Manifest | None
    stale: Mapping[str, datetime]


def _last_release(connection: Connection) -> _Release | None:
    row = connection.execute(
        "SELECT r.release_id, r.build_id, b.code_hash FROM ops.release r JOIN ops.build b USING (build_id)"
        " ORDER BY r.release_id DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    stale = connection.execute(
        "SELECT g.group_name, min(r.released_at) FROM ops.release_group g JOIN ops.release r USING (release_id)"
        " JOIN ops.release_group now ON now.group_name = g.group_name AND now.release_id = %s AND now.state = 'stale'"
        " WHERE g.state = 'stale' AND g.release_id > coalesce((SELECT max(s.release_id) FROM ops.release_group s"
        " WHERE s.group_name = g.group_name AND s.state = 'released'), 0) GROUP BY g.group_name",
        (row[0],),
    ).fetchall()
    code = row[2] or ""
    return _Release(row[0], row[1], code, transform.kept_manifest(code) if code else None, dict(stale))


def _below(document: transform.Manifest, unique_id: str) -> set[str]:
    """Everything that is made of a node, tests and exposures included, and itself."""
    found: set[str] = set()
    waiting = [unique_id]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += document["child_map"].get(name, [])
    return found


def _about(document: transform.Manifest, unique_id: str) -> str:
    """The model or source that a result of dbt is about."""
    node = document["nodes"].get(unique_id) or document["unit_tests"].get(unique_id)
    if node is None or node["resource_type"] == "model":
        return unique_id
    return transform.attached_node(node)


@dataclass(frozen=True)
class _Way:
    """How far the data of a dataset has come: its released batch and the batch whose rows those are."""

    release_id: int
    released_build: int
    run_id: str | None
    horizon: int
    batch_id: int | None
    archive_path: str | None
    archive_sha256: str | None
    waiting: int | None  # a changed batch that should have been released by now


def _lineages(
    connection: Connection, entries: Mapping[str, Contract], last: _Release | None, released_by: datetime
) -> dict[str, Lineage]:
    """The way of each dataset. A batch that changed something and was published before `released_by` must be released."""
    ways: dict[str, _Way] = {}
    for dataset, *row in connection.execute(
        """
        WITH released AS (
            SELECT DISTINCT ON (h.dataset) h.dataset, h.batch_id, r.release_id, r.build_id, coalesce(r.run_id, b.run_id) AS run_id
            FROM ops.release_horizon h JOIN ops.release r USING (release_id) JOIN ops.build b USING (build_id)
            ORDER BY h.dataset, h.release_id DESC, h.batch_id
        )
        SELECT h.dataset, h.release_id, h.build_id, h.run_id, h.batch_id, b.batch_id, b.archive_path, b.archive_sha256, w.batch_id
        FROM released h
        LEFT JOIN LATERAL (  -- the last batch that opened or confirmed versions: an empty increment shows nothing
            SELECT * FROM ops.batch b WHERE b.dataset = h.dataset AND b.state = 'published' AND b.batch_id <= h.batch_id
            AND b.inserted + b.changed + b.unchanged + b.repeated + b.closed > 0 ORDER BY b.batch_id DESC LIMIT 1
        ) AS b ON true
        LEFT JOIN LATERAL (
            SELECT batch_id FROM ops.batch w WHERE w.dataset = h.dataset AND w.state = 'published' AND w.batch_id > h.batch_id
            AND w.inserted + w.changed + w.closed > 0 AND w.published_at < %s ORDER BY w.batch_id LIMIT 1
        ) AS w ON true
        """,
        (released_by,),
    ):
        ways[dataset] = _Way(*row)
    document = last.document if last else None
    present = _present(connection, document) if document else set()
    return {dataset: _lineage(entry, ways.get(dataset), last, present) for dataset, entry in entries.items()}


def _present(connection: Connection, document: transform.Manifest) -> set[Table]:
    """The tables and views that models stand for and that are there."""
    wanted = {
        (node["schema"], node["alias"]) for node in document["nodes"].values() if node["resource_type"] == "model"
    }
    wanted |= {(table.schema, table.name) for table in release.tables(document)}
    pairs = sorted(wanted)
    return {
        (schema, name)
        for schema, name in connection.execute(
            "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE (n.nspname::text, c.relname::text) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            ([schema for schema, _ in pairs], [name for _, name in pairs]),
        )
    }


def _lineage(entry: Contract, way: _Way | None, last: _Release | None, present: set[Table]) -> Lineage:
    steps: list[str] = []
    marts: list[str] = []
    broken = _walk(entry, way, last, present, steps, marts)
    return Lineage(
        steps=tuple(steps),
        marts=tuple(marts),
        batch_id=way.batch_id if way else None,
        build_id=way.released_build if way else None,
        release_id=way.release_id if way else None,
        run_id=way.run_id if way else None,
        broken=broken,
    )


def _walk(
    entry: Contract, way: _Way | None, last: _Release | None, present: set[Table], steps: list[str], marts: list[str]
) -> str | None:
    """Add each step that is there; returns the first that is not, None when all are."""
    if last is None or way is None:
        return "release"
    if way.batch_id is None:
        return entry.raw_table
    if not way.archive_path or not way.archive_sha256 or not archive.exists(way.archive_path):
        return f"archive, batch {way.batch_id}"
    steps += [f"archive {way.archive_path}", entry.raw_table]
    if last.document is None:
        return f"manifest, build {last.build_id}"
    source = f"source.citydata.{entry.dataset}"
    if source not in last.document["sources"]:
        return f"source {entry.dataset}"
    steps.append(f"source {entry.dataset}")
    missing = _models(last.document, source, present, steps, marts)
    if missing:
        return missing
    if way.waiting is not None:
        return f"release, batch {way.waiting}"
    steps.append(f"release {way.release_id}")
    return None


def _models(
    document: transform.Manifest, source: str, present: set[Table], steps: list[str], marts: list[str]
) -> str | None:
    below = _below(document, source)
    models = {name: document["nodes"][name] for name in below & document["nodes"].keys()}
    models = {name: node for name, node in models.items() if node["resource_type"] == "model"}
    staging = [
        name for name in document["child_map"].get(source, []) if name in models and models[name]["schema"] == "staging"
    ]
    if not staging:
        return f"staging.stg_{source.removeprefix('source.citydata.').replace('.', '__')}"
    released = {table.unique_id: (table.schema, table.name) for table in release.tables(document)}
    ends = {
        name
        for name in below
        if name in document["exposures"] or (name in released and released[name][0].startswith("mart_"))
    }
    if not ends:
        return "mart"
    on_the_way = transform.ancestors(document, *ends) & models.keys()
    for name in _in_order(document, staging, on_the_way):
        table = released.get(name, (models[name]["schema"], models[name]["alias"]))
        if table not in present:
            return ".".join(table)
        steps.append(".".join(table))
    marts += sorted(".".join(released[name]) for name in ends & released.keys())
    steps += sorted(f"exposure {document['exposures'][name]['name']}" for name in ends & document["exposures"].keys())
    return None


def _in_order(document: transform.Manifest, roots: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Nodes from the source on, each after those it is made of."""
    left, done = set(wanted) | set(roots), list[str]()
    while left:
        ready = sorted(name for name in left if not left & set(document["parent_map"].get(name, [])))
        done += ready
        left -= set(ready)
    return done


# -- people ----------------------------------------------------------------------------------------------------------


def people(connection: Connection, inventory: Inventory, now: datetime) -> dict[str, PersonState]:
    """By employee number whether the person is employed today; empty when there is no register or it was never loaded."""
    register = town.load().employment_register
    if register is None:
        return {}
    numbers = sorted({person.employee for person in inventory.people.values() if person.employee})
    batch = connection.execute(
        "SELECT batch_id, observed_at FROM ops.batch WHERE dataset = %s AND state = 'published' ORDER BY batch_id DESC LIMIT 1",
        (register.dataset,),
    ).fetchone()
    if batch is None or not numbers:
        return {}
    entry = contracts.load(register.dataset)
    today = now.astimezone(ZoneInfo(town.load().time_zone)).date()
    employed = dict(
        connection.execute(
            sql.SQL(
                "SELECT {person}, bool_or({start} <= %(today)s AND ({end} IS NULL OR {end} >= %(today)s)) FROM {table}"
                " WHERE _closed_by IS NULL AND {person} = ANY(%(numbers)s) GROUP BY 1"
            ).format(
                person=sql.Identifier(register.person),
                start=sql.Identifier(register.start),
                end=sql.Identifier(register.end),
                table=sql.Identifier("raw", entry.raw_name),
            ),
            {"today": today, "numbers": numbers},
        ).fetchall()
    )
    return {number: PersonState(employed.get(number), batch[1], batch[0]) for number in numbers}
