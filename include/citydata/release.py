"""Bring what people read up to date from what was built, by difference and in one transaction.

`master`, `warehouse` and `mart_*` hold permanent tables: unchanged rows are not written, tables are never dropped, and
views that people made on them survive. The unit is a dbt group with the shared tables it uses: a group with a failed or
skipped ancestor stays as it was and is marked stale; the others are released. Whatever is killed leaves the old release
or the new one.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from citydata import contract, database, transform
from citydata.transform import Connection, Manifest

# Golden records of persons; the dimension without names serves everybody else.
PERSONS = ("employee", "employee_xref")

# Where the measurement looks for vendors of software whose systems nobody has named.
PURCHASES = ("mart_finance", "purchase")


class ReleaseError(RuntimeError):
    """A build that cannot be released. The text says which build or table, why, and what to do."""


class _Breaking(Exception):
    """A table whose change would break its readers."""


@dataclass(frozen=True)
class Change:
    """Rows that a release wrote in one table."""

    schema: str
    table: str
    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True)
class Release:
    """A release: groups that were released, groups that stay as they were with the reason, and what was written."""

    release_id: int
    build_id: int
    released: tuple[str, ...]
    stale: dict[str, str]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Table:
    """A permanent table and the table that dbt built for it."""

    unique_id: str
    group: str
    schema: str
    name: str
    built_schema: str

    @property
    def title(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"

    @property
    def permanent(self) -> sql.Identifier:
        """The table that people read."""
        return sql.Identifier(self.schema, self.name)

    @property
    def built(self) -> sql.Identifier:
        """The table that dbt built."""
        return sql.Identifier(self.built_schema, self.name)


@dataclass(frozen=True)
class _Plan:
    """What a release is about: the tables, what each group is made of, and why some groups stay as they are."""

    build_id: int
    run_id: str | None
    built: list[Table]
    made_of: dict[str, set[str]]
    reasons: dict[str, str]

    def stay(self, table: Table, reason: str) -> None:
        """Leave the groups that use a table as they are."""
        for group, nodes in self.made_of.items():
            if table.unique_id in nodes:
                self.reasons.setdefault(group, reason)


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    comment: str | None


def tables(document: Manifest) -> list[Table]:
    """Every table that is released: the models outside staging that are tables. Seeds and views are dbt's own."""
    return [
        Table(unique_id, node["config"]["group"], node["schema"].removeprefix("build_"), node["alias"], node["schema"])
        for unique_id, node in document["nodes"].items()
        if node["resource_type"] == "model" and node["config"]["materialized"] in ("table", "incremental")
    ]


def release(build_id: int, run_id: str | None = None) -> Release:
    """Release what can be released of a build; releasing it again changes nothing.

    Raises ReleaseError when the build broke off, when it is not the last one, because build_* then hold something else,
    and when the database does not let it finish; what people read is then what it was.
    """
    try:
        with database.connect("releaser", autocommit=True) as connection:
            transform.lock(connection)
            connection.execute("SET ROLE citydata_releaser")
            return _already(connection, build_id) or _new(connection, build_id, run_id)
    except psycopg.Error as error:
        raise ReleaseError(
            f"build {build_id}: {database.cleaned(error)}; nothing was released, release it again"
        ) from None


def difference(build_id: int) -> tuple[dict[str, list[Change]], dict[str, str]]:
    """What a release of a build that compares would write, by group, and why some groups would stay as they are.

    Everything is done as a release does it and rolled back: readers notice nothing. Raises ReleaseError as `release` does.
    """
    try:
        with database.connect("releaser", autocommit=True) as connection:
            transform.lock(connection)
            connection.execute("SET ROLE citydata_releaser")
            connection.execute(f"SET lock_timeout = '{database.LOCK_TIMEOUT}'")
            document = transform.manifest(_code_of(connection, build_id, compares=True))
            plan = _planned(connection, document, build_id, None)
            group_of = {(table.schema, table.name): table.group for table in plan.built}
            with connection.transaction(force_rollback=True):
                for table in plan.built:
                    try:
                        _widen(connection, table)
                    except _Breaking as error:
                        plan.stay(table, str(error))
                done = _release(connection, document, plan)
    except psycopg.Error as error:
        raise ReleaseError(
            f"build {build_id}: {database.cleaned(error)}; it could not be compared, build again"
        ) from None
    changes: dict[str, list[Change]] = {}
    for change in done.changes:
        if change.inserted or change.updated or change.deleted:
            changes.setdefault(group_of[change.schema, change.table], []).append(change)
    return changes, done.stale


def _planned(connection: Connection, document: Manifest, build_id: int, run_id: str | None) -> _Plan:
    reasons = {group: "; ".join(texts) for group, texts in _failures(connection, document, build_id).items()}
    made_of = {group: transform.closure(document, group) for group in transform.groups(document)}
    return _Plan(build_id, run_id, tables(document), made_of, reasons)


def _new(connection: Connection, build_id: int, run_id: str | None) -> Release:
    document = transform.manifest(_code_of(connection, build_id))
    plan = _planned(connection, document, build_id, run_id)
    # Additive changes come first, each in a short transaction of its own: they are empty columns to readers, and
    # the lock they need must not be held while rows are compared.
    for table in plan.built:
        if any(group not in plan.reasons and table.unique_id in nodes for group, nodes in plan.made_of.items()):
            try:
                database.with_lock_retries(connection, functools.partial(_widen, connection, table))
            except psycopg.errors.LockNotAvailable:
                raise ReleaseError(
                    f"{table.title}: readers have kept a table busy for too long to add a column; release again when they are done"
                ) from None
            except _Breaking as error:
                plan.stay(table, str(error))
    with connection.transaction():
        return _release(connection, document, plan)


def _release(connection: Connection, document: Manifest, plan: _Plan) -> Release:
    build_id, built, made_of, reasons = plan.build_id, plan.built, plan.made_of, plan.reasons
    released = tuple(group for group in made_of if group not in reasons)
    [(release_id,)] = connection.execute(
        "INSERT INTO ops.release (build_id, run_id) VALUES (%s, %s) RETURNING release_id", (build_id, plan.run_id)
    ).fetchall()
    changes = []
    for table in built:
        if not any(table.unique_id in made_of[group] for group in released):
            continue
        _create(connection, table)
        # Rows that a stale group may still point to stay until that group is released as well.
        in_use = any(table.unique_id in made_of[group] for group in reasons)
        changes.append(_bring_up_to_date(connection, table, delete=not in_use))
        _describe(connection, table)
    for group in made_of:
        connection.execute(
            "INSERT INTO ops.release_group (release_id, group_name, state, reason) VALUES (%s, %s, %s, %s)",
            (release_id, group, "stale" if group in reasons else "released", reasons.get(group)),
        )
    for group in released:
        connection.execute(
            "INSERT INTO ops.release_horizon (release_id, group_name, dataset, batch_id)"
            " SELECT %s, %s, dataset, batch_id FROM ops.build_horizon WHERE build_id = %s AND dataset = ANY(%s)",
            (release_id, group, build_id, sorted(transform.datasets(document, made_of[group]))),
        )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.release_change (release_id, schema_name, table_name, inserted, updated, deleted)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (release_id, change.schema, change.table, change.inserted, change.updated, change.deleted)
                for change in changes
            ],
        )
    _freshness(connection, document, built)
    return Release(release_id, build_id, released, reasons, tuple(changes))


def _already(connection: Connection, build_id: int) -> Release | None:
    row = connection.execute("SELECT release_id FROM ops.release WHERE build_id = %s", (build_id,)).fetchone()
    if row is None:
        return None
    states = connection.execute(
        "SELECT group_name, state, reason FROM ops.release_group WHERE release_id = %s ORDER BY group_name", (row[0],)
    ).fetchall()
    changes = connection.execute(
        "SELECT schema_name, table_name, inserted, updated, deleted FROM ops.release_change WHERE release_id = %s",
        (row[0],),
    ).fetchall()
    return Release(
        int(row[0]),
        build_id,
        tuple(group for group, state, _ in states if state == "released"),
        {group: reason or "" for group, state, reason in states if state == "stale"},
        tuple(Change(*change) for change in changes),
    )


def _code_of(connection: Connection, build_id: int, *, compares: bool = False) -> str:
    """Hash of the code that made the build, once it is sure that build_* still hold it."""
    row = connection.execute(
        "SELECT state, code_hash, compares_backfill FROM ops.build WHERE build_id = %s", (build_id,)
    ).fetchone()
    if row is None:
        raise ReleaseError(f"there is no build {build_id}; `./citydata status` shows the last one")
    if (row[2] is not None) is not compares:
        raise ReleaseError(f"build {build_id} only compares what backfill {row[2]} would change; it is not released")
    if row[0] != "built":
        raise ReleaseError(f"build {build_id} broke off ({row[0]}) and cannot be released; build again")
    later = connection.execute(
        "SELECT max(build_id) FROM ops.build WHERE build_id > %s AND selection IS NOT NULL", (build_id,)
    ).fetchone()
    if later and later[0] is not None:
        raise ReleaseError(
            f"build {build_id} is not the last: build_* hold what build {later[0]} made; build again and release that"
        )
    return str(row[1])


def _failures(connection: Connection, document: Manifest, build_id: int) -> dict[str, list[str]]:
    results = connection.execute(
        "SELECT unique_id, status, message FROM ops.dbt_result WHERE build_id = %s", (build_id,)
    )
    return transform.failures(document, {unique_id: (status, message) for unique_id, status, message in results})


# -- shape -----------------------------------------------------------------------------------------------------------


def _columns(connection: Connection, schema: str, name: str) -> list[_Column]:
    return [
        _Column(*row)
        for row in connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (f'"{schema}"."{name}"',),
        )
    ]


def _key(connection: Connection, table: Table) -> list[str]:
    rows = connection.execute(
        "SELECT a.attname FROM pg_constraint c CROSS JOIN unnest(c.conkey) WITH ORDINALITY AS k (number, place)"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number"
        " WHERE c.conrelid = to_regclass(%s) AND c.contype = 'p' ORDER BY k.place",
        (f'"{table.built_schema}"."{table.name}"',),
    ).fetchall()
    if not rows:
        raise ReleaseError(f"{table.title}: the model has no primary key; a released table needs one in its contract")
    return [name for (name,) in rows]


def _widen(connection: Connection, table: Table) -> None:
    """Add new columns, empty; anything else that changes the table's shape would break readers and is refused."""
    present = {column.name: column.type for column in _columns(connection, table.schema, table.name)}
    if not present:
        return
    wanted = {column.name: column.type for column in _columns(connection, table.built_schema, table.name)}
    for name, kind in present.items():
        if name not in wanted:
            raise _Breaking(
                f"{table.title}: column {name} is gone; that breaks readers and needs {table.name}_v2 beside it"
            )
        if wanted[name] != kind:
            raise _Breaking(
                f"{table.title}: column {name} was {kind} and is now {wanted[name]}; that breaks readers and needs "
                f"{table.name}_v2 beside it"
            )
    for name in wanted.keys() - present.keys():
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                table.permanent, sql.Identifier(name), sql.SQL(wanted[name])
            )
        )


def _create(connection: Connection, table: Table) -> None:
    """Make the permanent table where it is missing, with its key and its grants."""
    if _columns(connection, table.schema, table.name):
        return
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
        for column in _columns(connection, table.built_schema, table.name)
    ]
    key = sql.SQL("PRIMARY KEY ({})").format(sql.SQL(", ").join(map(sql.Identifier, _key(connection, table))))
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table.permanent, sql.SQL(", ").join([*columns, key])))
    _grant(connection, table.permanent, readers(table.schema, table.name))


def readers(schema: str, name: str) -> list[str]:
    """Group roles that may read a released table."""
    if schema == "warehouse":
        return ["citydata_engineer"]
    if schema == "master":
        sectors = sorted({entry.sector for entry in contract.load_all().values()})
        return [] if name in PERSONS else [f"citydata_reporting_{sector}" for sector in sectors]
    measurer = ["citydata_measurer"] if (schema, name) == PURCHASES else []
    return [f"citydata_reporting_{schema.removeprefix('mart_')}", "citydata_bi", *measurer]


def _grant(connection: Connection, table: sql.Identifier, roles: Iterable[str]) -> None:
    for role in roles:
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(table, sql.Identifier(role)))


def _describe(connection: Connection, table: Table) -> None:
    """Copy the descriptions that differ."""
    pair = (f'"{table.schema}"."{table.name}"', f'"{table.built_schema}"."{table.name}"')
    [(old, new)] = connection.execute(
        "SELECT obj_description(to_regclass(%s), 'pg_class'), obj_description(to_regclass(%s), 'pg_class')", pair
    ).fetchall()
    if old != new:
        connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table.permanent, sql.Literal(new)))
    here = {column.name: column.comment for column in _columns(connection, table.schema, table.name)}
    for column in _columns(connection, table.built_schema, table.name):
        if here[column.name] != column.comment:
            connection.execute(
                sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                    table.permanent, sql.Identifier(column.name), sql.Literal(column.comment)
                )
            )


# -- rows ------------------------------------------------------------------------------------------------------------


def _bring_up_to_date(connection: Connection, table: Table, *, delete: bool) -> Change:
    """Write the rows that differ, NULL being equal to NULL, and no others."""
    key = _key(connection, table)
    names = [column.name for column in _columns(connection, table.built_schema, table.name)]
    values = [name for name in names if name not in key]
    tables_and_key = {
        "permanent": table.permanent,
        "built": table.built,
        "same_key": sql.SQL(" AND ").join(sql.SQL("p.{0} = b.{0}").format(sql.Identifier(name)) for name in key),
    }

    def run(statement: str, **parts: sql.Composable) -> int:
        return connection.execute(sql.SQL(statement).format(**tables_and_key, **parts)).rowcount

    deleted = 0
    if delete:
        deleted = run("DELETE FROM {permanent} AS p WHERE NOT EXISTS (SELECT FROM {built} AS b WHERE {same_key})")
    updated = 0
    if values:
        updated = run(
            "UPDATE {permanent} AS p SET {assignments} FROM {built} AS b"
            " WHERE {same_key} AND ROW({old}) IS DISTINCT FROM ROW({new})",
            assignments=sql.SQL(", ").join(sql.SQL("{0} = b.{0}").format(sql.Identifier(name)) for name in values),
            old=sql.SQL(", ").join(sql.Identifier("p", name) for name in values),
            new=sql.SQL(", ").join(sql.Identifier("b", name) for name in values),
        )
    inserted = run(
        "INSERT INTO {permanent} ({names}) SELECT {selected} FROM {built} AS b"
        " WHERE NOT EXISTS (SELECT FROM {permanent} AS p WHERE {same_key})",
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        selected=sql.SQL(", ").join(sql.Identifier("b", name) for name in names),
    )
    return Change(table.schema, table.name, inserted, updated, deleted)


# -- freshness -------------------------------------------------------------------------------------------------------

FRESHNESS = """
CREATE TABLE IF NOT EXISTS {table} (
    table_name text PRIMARY KEY,
    as_of timestamptz,
    released_at timestamptz,
    stale_since timestamptz,
    reason_fi text,
    reason_sv text,
    reason_en text,
    expected_at timestamptz
)
"""
FRESHNESS_DESCRIPTIONS = {
    "": (
        "fi: Kuinka tuoreita tämän osaston taulut ovat | sv: Hur aktuella tabellerna är | "
        "en: How fresh the tables of this mart are"
    ),
    "table_name": "fi: Taulu | sv: Tabell | en: Table",
    "as_of": (
        "fi: Hetki, jolta vanhin lähdeaineisto on | sv: Tidpunkten för den äldsta källdatamängden | "
        "en: Moment of the oldest source dataset"
    ),
    "released_at": "fi: Viimeisin julkaisu | sv: Senaste publicering | en: Last release",
    "stale_since": (
        "fi: Mistä lähtien taulu on vanhentunut; tyhjä on ajan tasalla | "
        "sv: Sedan när tabellen är föråldrad; tomt är aktuell | en: Since when the table has been stale; empty is up to date"
    ),
    "reason_fi": "fi: Syy suomeksi | sv: Orsak på finska | en: Reason in Finnish",
    "reason_sv": "fi: Syy ruotsiksi | sv: Orsak på svenska | en: Reason in Swedish",
    "reason_en": "fi: Syy englanniksi | sv: Orsak på engelska | en: Reason in English",
    "expected_at": (
        "fi: Milloin seuraavat tiedot odotetaan palvelulupauksen mukaan | "
        "sv: När nästa uppgifter väntas enligt servicelöftet | en: When the next data is expected by the service level"
    ),
}


def _freshness(connection: Connection, document: Manifest, built: list[Table]) -> None:
    """Say for each mart table how fresh it is, since when it has been stale, why, and when new data is expected."""
    promised = {dataset: entry.sla_hours for dataset, entry in contract.load_all().items()}
    for schema in sorted({table.schema for table in built if table.schema.startswith("mart_")}):
        freshness = sql.Identifier(schema, "freshness")
        if not _columns(connection, schema, "freshness"):
            connection.execute(sql.SQL(FRESHNESS).format(table=freshness))
            for name, text in FRESHNESS_DESCRIPTIONS.items():
                what = sql.SQL("COLUMN {}.{}" if name else "TABLE {}").format(freshness, sql.Identifier(name))
                connection.execute(sql.SQL("COMMENT ON {} IS {}").format(what, sql.Literal(text)))
            _grant(connection, freshness, readers(schema, "freshness"))
        for table in built:
            if table.schema == schema:
                _freshness_of(connection, document, freshness, table, promised)


def _freshness_of(
    connection: Connection,
    document: Manifest,
    freshness: sql.Identifier,
    table: Table,
    promised: dict[str, float],
) -> None:
    names = sorted(transform.datasets(document, transform.ancestors(document, table.unique_id)))
    connection.execute(
        sql.SQL(
            """
            WITH last AS (  -- the release whose rows the table holds
                SELECT r.release_id, r.released_at FROM ops.release r JOIN ops.release_group g USING (release_id)
                WHERE g.group_name = %(group)s AND g.state = 'released' ORDER BY r.release_id DESC LIMIT 1
            ), stale AS (   -- the first release after it in which the group stayed behind, and the newest reason
                SELECT min(r.released_at) AS since, (array_agg(g.reason ORDER BY r.release_id DESC))[1] AS reason
                FROM ops.release r JOIN ops.release_group g USING (release_id)
                WHERE g.group_name = %(group)s AND g.state = 'stale'
                AND r.release_id > coalesce((SELECT release_id FROM last), 0)
            ), held AS (    -- the backfills whose end the table waits for
                SELECT min(requested_at) AS since, string_agg(backfill_id || ' (' || dataset || ')', ', ' ORDER BY dataset) AS backfills
                FROM ops.open_backfill WHERE dataset = ANY(%(datasets)s)
            ), horizon AS (
                SELECT h.dataset, h.batch_id FROM ops.release_horizon h JOIN last USING (release_id)
                WHERE h.group_name = %(group)s AND h.dataset = ANY(%(datasets)s)
            ), seen AS (
                SELECT min(b.observed_at) AS as_of FROM horizon JOIN ops.batch b USING (batch_id)
            ), expected AS (
                SELECT min(published.at + make_interval(secs => 3600 * d.hours)) AS at
                FROM unnest(%(datasets)s::text[], %(hours)s::float8[]) AS d (dataset, hours)
                CROSS JOIN LATERAL (
                    SELECT max(b.published_at) AS at FROM ops.batch b
                    WHERE b.dataset = d.dataset AND b.state = 'published'
                ) AS published
            )
            INSERT INTO {freshness} AS f
                (table_name, as_of, released_at, stale_since, reason_fi, reason_sv, reason_en, expected_at)
            SELECT %(table)s, seen.as_of, (SELECT released_at FROM last), coalesce(stale.since, held.since),
                CASE WHEN stale.since IS NOT NULL THEN %(fi)s || coalesce(': ' || stale.reason, '') ELSE %(held_fi)s || held.backfills END,
                CASE WHEN stale.since IS NOT NULL THEN %(sv)s || coalesce(': ' || stale.reason, '') ELSE %(held_sv)s || held.backfills END,
                CASE WHEN stale.since IS NOT NULL THEN %(en)s || coalesce(': ' || stale.reason, '') ELSE %(held_en)s || held.backfills END,
                expected.at
            FROM seen, stale, held, expected
            ON CONFLICT (table_name) DO UPDATE SET as_of = excluded.as_of, released_at = excluded.released_at,
                stale_since = excluded.stale_since, reason_fi = excluded.reason_fi, reason_sv = excluded.reason_sv,
                reason_en = excluded.reason_en, expected_at = excluded.expected_at
            """
        ).format(freshness=freshness),
        {
            "group": table.group,
            "table": table.name,
            "datasets": names,
            "hours": [promised[name] for name in names],
            "fi": "Viimeisin päivitys ei läpäissyt tarkistuksia, joten taulussa ovat edelliset tiedot",
            "sv": "Den senaste uppdateringen klarade inte kontrollerna, så tabellen har de föregående uppgifterna",
            "en": "The last update did not pass its checks, so the table holds the data before it",
            "held_fi": "Taulussa ovat takautuvaa latausta edeltävät tiedot; kesken oleva lataus: ",
            "held_sv": "Tabellen har uppgifterna före en retroaktiv laddning som pågår: ",
            "held_en": "The table holds the data before a backfill that has not ended: held back by backfill ",
        },
    )
