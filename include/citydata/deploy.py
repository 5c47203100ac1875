"""Bring a database to what this version of the code and its contracts need: schemas, roles, tables, grants.

Running it again changes nothing. Needs an administrator of the database (CREATEROLE and CREATE on the database).
"""

import functools
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.rows import TupleRow

from citydata import contract, database, settings, town
from citydata.contract import Contract
from citydata.governance.evidence import Grant

DEPLOYMENT_LOCK = 6380001

# A wider type keeps every value and every view, so it may be altered in place.
SAFE_WIDENING = {("smallint", "integer"), ("smallint", "bigint"), ("integer", "bigint")}

Connection = psycopg.Connection[TupleRow]


class DeploymentError(RuntimeError):
    """The database cannot be brought to what the contracts say without losing something."""


def sectors() -> list[str]:
    """Sectors that have marts: the domains of the contracts."""
    return sorted({entry.sector for entry in contract.load_all().values()})


def login_roles() -> list[str]:
    """Roles that get a generated login when a password for it is in the environment."""
    return [*database.STEP_ROLES, *(f"reporting_{sector}" for sector in sectors())]


READERS = ("bi", "open", "officer", "dpo", "portal")


def deploy() -> list[str]:
    """Migrate, reconcile and grant; returns what was changed, in words."""
    changes: list[str] = []
    with database.connect_admin(autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("SELECT pg_advisory_lock(%s)", (DEPLOYMENT_LOCK,))
        _require_version(connection)
        with connection.transaction():
            admit(connection)
            _schemas(connection)
        _migrate()
        with connection.transaction():
            _functions(connection)
        for entry in contract.load_all().values():
            changes += database.with_lock_retries(connection, functools.partial(_reconcile, connection, entry))
        with connection.transaction():
            _grants(connection)
    return changes


def _require_version(connection: Connection) -> None:
    if connection.info.server_version < 170000:
        raise DeploymentError(
            f"PostgreSQL 17 or newer is needed; this server is {connection.info.server_version // 10000}"
        )


def admit(connection: Connection) -> None:
    """Make the logins and let them into the database: what stands outside a database, and so is in no copy of it."""
    _roles(connection)
    name = connection.info.dbname
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    for role in login_roles():
        connection.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                sql.Identifier(name), sql.Identifier(f"citydata_{role}")
            )
        )


def _roles(connection: Connection) -> None:
    """Group roles without login, and a login for each role whose password is in the environment."""
    existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'citydata\\_%'")}
    for role in login_roles():
        group, login = f"citydata_{role}", database.login(role)
        if group not in existing:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(group)))
            connection.execute(
                sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(sql.Identifier(group))
            )
        secret = os.environ.get(f"CITYDATA_PASSWORD_{role.upper()}")
        if not secret:
            continue
        if login not in existing:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(sql.Identifier(login), sql.Identifier(group))
            )
            # An administrator who is no superuser may only give default privileges for roles that are granted to it.
            connection.execute(
                sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(sql.Identifier(login))
            )
        # The verifier is computed here, so that the password is in no statement that a server may log.
        verifier = connection.pgconn.encrypt_password(secret.encode(), login.encode(), b"scram-sha-256").decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), sql.Literal(verifier)))
        for setting, value in session_settings(role).items():
            connection.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(login), sql.Identifier(setting), sql.Literal(value)
                )
            )


def session_settings(role: str) -> dict[str, str]:
    """Settings with which a login of a role begins.

    Readers see one release in one transaction; what they forget to end must not stand in the way of the next release.
    """
    if role not in READERS and not role.startswith("reporting_"):
        return {"default_transaction_isolation": "read committed", "timezone": "UTC"}
    # What a member makes in the team's schema is the team's.
    team = {"role": f"citydata_{role}"} if role.startswith("reporting_") else {}
    return team | {
        "default_transaction_isolation": "repeatable read",
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": "15min",
        "statement_timeout": "30min",
    }


def schema_owners() -> dict[str, str]:
    """Every schema of the platform and the group role that owns it."""
    owners = dict.fromkeys(("raw", "quarantine", "ops", "quality", "governance", "restricted"), "citydata_owner")
    owners["landing"] = "citydata_loader"
    owners |= dict.fromkeys(("staging", "master_link", "build_master", "build_warehouse"), "citydata_transformer")
    owners |= dict.fromkeys(("master", "warehouse", "mart_open"), "citydata_releaser")
    for sector in sectors():
        owners[f"build_mart_{sector}"] = "citydata_transformer"
        owners[f"mart_{sector}"] = "citydata_releaser"
        owners[f"team_{sector}"] = f"citydata_reporting_{sector}"
    return owners


def _schemas(connection: Connection) -> None:
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    existing = {row[0] for row in connection.execute("SELECT nspname FROM pg_namespace")}
    for schema, owner in schema_owners().items():
        if schema not in existing:
            connection.execute(
                sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(sql.Identifier(schema), sql.Identifier(owner))
            )


def _migrate() -> None:
    """Run Alembic's migrations as the owner, in one transaction."""
    engine = sqlalchemy.create_engine(
        re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg://", database.admin_url())
    )
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SET ROLE citydata_owner"))
            config = Config()
            config.set_main_option("script_location", str(settings.ROOT / "include" / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


FUNCTIONS = """
CREATE TABLE IF NOT EXISTS ops.key_index (table_name text PRIMARY KEY, definition text NOT NULL);

-- The first load of a table is faster into a table that the transaction has emptied itself (with wal_level minimal its rows
-- need no log) and whose index is built afterwards. The loader does not own the tables, so these two do it, for exactly
-- the tables that deployment registered and only while they are empty.
CREATE OR REPLACE FUNCTION ops.begin_first_load(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE filled boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM ops.key_index WHERE table_name = name) THEN
        RAISE EXCEPTION 'raw.% has no registered key', name;
    END IF;
    EXECUTE format('LOCK TABLE raw.%I', name);
    EXECUTE format('SELECT EXISTS (SELECT FROM raw.%I)', name) INTO filled;
    IF filled THEN RAISE EXCEPTION 'raw.% is not empty', name; END IF;
    EXECUTE format('TRUNCATE raw.%I', name);
    EXECUTE format('DROP INDEX IF EXISTS raw.%I', name || '__current');
END $$;
CREATE OR REPLACE FUNCTION ops.end_first_load(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE statement text;
BEGIN
    SELECT definition INTO STRICT statement FROM ops.key_index WHERE table_name = name;
    EXECUTE statement;
END $$;
REVOKE ALL ON FUNCTION ops.begin_first_load(text), ops.end_first_load(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.begin_first_load(text), ops.end_first_load(text) TO citydata_loader;
"""


def _functions(connection: Connection) -> None:
    connection.execute("SET LOCAL ROLE citydata_owner")
    connection.execute(FUNCTIONS)


SYSTEM_COLUMNS = {"_opened_by": "bigint", "_closed_by": "bigint", "_observed_at": "timestamptz"}


def _reconcile(connection: Connection, entry: Contract) -> list[str]:
    """Make raw and quarantine tables of a contract, or widen them by what is safe; anything else is a new major version."""
    connection.execute("SET LOCAL ROLE citydata_owner")
    changes = []
    wanted = entry.table_columns | platform_columns(entry)
    present = _columns(connection, "raw", entry.raw_name)
    table = sql.Identifier("raw", entry.raw_name)
    if not present:
        not_null = {column.name for column in entry.columns if column.required} | {"_opened_by", "_observed_at"}
        body = sql.SQL(", ").join(
            sql.SQL("{} {}{}").format(
                sql.Identifier(name), sql.SQL(kind), sql.SQL(" NOT NULL" if name in not_null else "")
            )
            for name, kind in wanted.items()
        )
        # Versions are closed in place; room on the page keeps that cheap.
        connection.execute(sql.SQL("CREATE TABLE {} ({}) WITH (fillfactor = 90)").format(table, body))
        changes.append(f"created {entry.raw_table}")
    else:
        changes += _widen(connection, entry, table, present, wanted)
    if entry.key:
        definition = sql.SQL("CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ({}) WHERE _closed_by IS NULL").format(
            sql.Identifier(f"{entry.raw_name}__current"), table, sql.SQL(", ").join(map(sql.Identifier, entry.key))
        )
        connection.execute(definition)
        connection.execute(
            "INSERT INTO ops.key_index VALUES (%s, %s) ON CONFLICT (table_name) DO UPDATE SET definition = excluded.definition",
            (entry.raw_name, definition.as_string(connection)),
        )
    _comment(connection, table, entry)
    quarantine = sql.Identifier("quarantine", entry.system)
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} ("
            "quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dataset text NOT NULL, batch_id bigint NOT NULL,"
            "row_number bigint NOT NULL, key text, reasons text[] NOT NULL CHECK (cardinality(reasons) > 0), row jsonb NOT NULL,"
            "state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'reprocessed', 'waived')),"
            "resolved_by_batch bigint, decided_by text, decided_reason text, decided_at timestamptz,"
            "created_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
            "CHECK (state <> 'waived' OR (decided_by IS NOT NULL AND decided_reason IS NOT NULL)))"
        ).format(quarantine)
    )
    connection.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (dataset, batch_id)").format(
            sql.Identifier(f"{entry.system}_by_batch"), quarantine
        )
    )
    return changes


def _widen(
    connection: Connection, entry: Contract, table: sql.Identifier, present: dict[str, str], wanted: dict[str, str]
) -> list[str]:
    changes = []
    for name in present.keys() - wanted.keys():
        raise DeploymentError(
            f"{entry.dataset}: the contract no longer has the column {name} that {entry.raw_table} holds; "
            "a removed column is a new major version of the contract beside the old one"
        )
    required = {column.name for column in entry.columns if column.required}
    for name, kind in wanted.items():
        if name not in present:
            if name in required:
                raise DeploymentError(
                    f"{entry.dataset}: the new column {name} must not be required: older rows have no value for it"
                )
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(table, sql.Identifier(name), sql.SQL(kind))
            )
            changes.append(f"{entry.raw_table}: added column {name}")
        elif present[name] != kind:
            if not _wider(present[name], kind):
                raise DeploymentError(
                    f"{entry.dataset}: column {name} is {present[name]} in {entry.raw_table} and {kind} in the contract; "
                    "only a wider type is changed in place, anything else is a new major version of the contract"
                )
            connection.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(table, sql.Identifier(name), sql.SQL(kind))
            )
            changes.append(f"{entry.raw_table}: widened column {name} from {present[name]} to {kind}")
    return changes


def _wider(old: str, new: str) -> bool:
    if (old, new) in SAFE_WIDENING:
        return True
    numeric = re.compile(r"numeric\((\d+),(\d+)\)")
    before, after = numeric.fullmatch(old), numeric.fullmatch(new)
    return bool(before and after and before[2] == after[2] and int(after[1]) >= int(before[1]))


def _columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Columns of a table and their types as PostgreSQL writes them, with our short name for timestamptz; empty when there is none."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f'"{schema}"."{table}"',),
    )
    return {name: kind.replace("timestamp with time zone", "timestamptz") for name, kind in rows}


def _comment(connection: Connection, table: sql.Identifier, entry: Contract) -> None:
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(entry.description)))
    for column in entry.columns:
        connection.execute(
            sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                table, sql.Identifier(column.name), sql.Literal(column.description)
            )
        )


def readable_columns(entry: Contract, role: str) -> list[str]:
    """Columns of raw that a role may read, from the classification.

    The transformer sees everything but health data, which no mart may hold; the engineer sees nothing secret; the measurer
    sees of the register of employments who is employed when.
    """
    if role == "measurer":
        register = town.load().employment_register
        if register is None or entry.dataset != register.dataset:
            return []
        return [register.person, register.start, register.end]
    names = []
    for column in entry.columns:
        hidden = column.personal_data == "health" if role == "transformer" else column.classification == "secret"
        if not hidden:
            names += [column.name] + ([f"{column.name}_valid"] if column.identity_code else [])
    return names


# Of a row in quarantine everything but its key and its content.
QUARANTINE_COUNTS = (
    *("quarantine_id", "dataset", "batch_id", "row_number", "reasons", "state", "resolved_by_batch", "decided_at"),
    "created_at",
)
BUILT_READER = "citydata_releaser"
"""The only role besides their owner that may read what dbt has built and nobody has released."""


def platform_columns(entry: Contract) -> dict[str, str]:
    """Columns of a raw table that the platform adds to the contract's, and their types."""
    return SYSTEM_COLUMNS | ({"_occurrence": "integer"} if entry.platform.keyless else {})


def allowed(entry: Contract) -> frozenset[Grant]:
    """Every right that the classification of a dataset gives to roles on its tables in raw and quarantine, owners' aside.

    Deployment grants exactly these, and governance compares what the database has given with them. Who may read released
    tables is said by `release.readers`.
    """
    found = {Grant("raw", entry.raw_name, None, "citydata_loader", right) for right in ("SELECT", "INSERT")}
    found.add(Grant("raw", entry.raw_name, "_closed_by", "citydata_loader", "UPDATE"))
    for role in ("transformer", "engineer", "measurer"):
        if names := readable_columns(entry, role):
            seen = ["_closed_by"] if role == "measurer" else platform_columns(entry)
            found |= {Grant("raw", entry.raw_name, name, f"citydata_{role}", "SELECT") for name in (*names, *seen)}
    for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        found.add(Grant("quarantine", entry.system, None, "citydata_loader", right))
    found.add(Grant("quarantine", entry.system, None, "citydata_dpo", "SELECT"))
    personal = any(other.personal for other in contract.load_each()[0].values() if other.system == entry.system)
    found |= {Grant("quarantine", entry.system, name, "citydata_officer", "SELECT") for name in QUARANTINE_COUNTS}
    # The portal shows how many rows wait, and the measurer writes its pages.
    counting = [(role, name) for role in ("portal", "measurer") for name in ("dataset", "state", "created_at")]
    found |= {Grant("quarantine", entry.system, name, f"citydata_{role}", "SELECT") for role, name in counting}
    counts_or_all: tuple[str | None, ...] = QUARANTINE_COUNTS if personal else (None,)
    found |= {Grant("quarantine", entry.system, name, "citydata_engineer", "SELECT") for name in counts_or_all}
    return frozenset(found)


def _grants(connection: Connection) -> None:
    """Give each role what its work needs and no more; what an earlier version gave is taken back first."""

    def run(statement: str, *names: sql.Composable) -> None:
        connection.execute(sql.SQL(statement).format(*names))

    for schema in ("raw", "quarantine", "ops", "quality", "governance"):
        for role in database.STEP_ROLES[1:]:
            run(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM citydata_{role}")
    usage: dict[str, Iterable[str]] = {
        "raw": ("loader", "transformer", "measurer", "engineer"),
        "landing": ("owner",),
        "quarantine": ("loader", "measurer", "engineer", "officer", "dpo", "portal"),
        "ops": ("loader", "transformer", "releaser", "measurer", "engineer", "officer", "portal"),
        "governance": ("measurer", "engineer", "officer", "dpo", "portal"),
        "restricted": ("loader",),
        "quality": ("loader", "transformer", "measurer", "engineer", "officer", "portal"),
        "build_master": ("releaser",),
        "build_warehouse": ("releaser",),
        "warehouse": ("engineer",),
    }
    for schema, roles in usage.items():
        for role in roles:
            run(f"GRANT USAGE ON SCHEMA {schema} TO citydata_{role}")
    wanted: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for right in sorted({right for entry in contract.load_all().values() for right in allowed(entry)}, key=str):
        columns = wanted[right.schema, right.table, right.grantee, right.privilege]
        columns += [right.column] if right.column else []
    for (schema, table_name, role, privilege), columns in wanted.items():
        listed = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
        run(f"GRANT {privilege} {{}} ON {{}} TO {role}", listed, sql.Identifier(schema, table_name))
    for role in ("transformer", "releaser", "measurer", "engineer", "officer", "portal", "loader"):
        run(f"GRANT SELECT ON ALL TABLES IN SCHEMA ops TO citydata_{role}")
    run(
        "GRANT INSERT, UPDATE, DELETE ON ops.batch, ops.arrival, ops.watermark, ops.coverage, ops.source_pace TO citydata_loader"
    )
    run(
        "GRANT INSERT, UPDATE, DELETE ON ops.build, ops.build_horizon, ops.horizon, ops.dbt_result TO citydata_transformer"
    )
    run(
        "GRANT INSERT, UPDATE, DELETE ON ops.release, ops.release_group, ops.release_horizon, ops.release_change TO citydata_releaser"
    )
    run(
        "GRANT INSERT, UPDATE, DELETE ON ops.backfill, ops.backfill_window, ops.backfill_run, ops.backfill_difference TO citydata_loader"
    )
    run("GRANT INSERT ON ops.contract_change TO citydata_loader")
    run("GRANT SELECT, INSERT ON restricted.pseudonym_key TO citydata_loader")
    _governance_grants(run)
    run("GRANT INSERT ON quality.check_result TO citydata_loader, citydata_transformer")
    for role in ("loader", "transformer", "measurer", "engineer", "officer", "portal"):
        run(f"GRANT SELECT ON quality.check_result TO citydata_{role}")
    for sector in sectors():
        run(f"GRANT USAGE ON SCHEMA build_mart_{sector} TO citydata_releaser")
        for reader in (f"citydata_reporting_{sector}", "citydata_bi", "citydata_measurer"):
            run(f"GRANT USAGE ON SCHEMA mart_{sector} TO {reader}")
        run(f"GRANT USAGE ON SCHEMA master TO citydata_reporting_{sector}")
        run(f"GRANT USAGE ON SCHEMA team_{sector} TO citydata_bi")
    run("GRANT USAGE ON SCHEMA mart_open TO citydata_open, citydata_bi")
    for schema in (s for s in schema_owners() if s.startswith("build_")):
        run(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE citydata_transformer_login IN SCHEMA {schema} GRANT SELECT ON TABLES TO {BUILT_READER}"
        )


def _governance_grants(run: Callable[..., None]) -> None:
    """The measurer seals and registers, the officer attests, and those who answer for the data read."""
    for role in ("measurer", "engineer", "officer", "dpo", "portal"):
        run(f"GRANT SELECT ON ALL TABLES IN SCHEMA governance TO citydata_{role}")
    run("GRANT INSERT ON ALL TABLES IN SCHEMA governance TO citydata_measurer")
    run("REVOKE INSERT ON governance.attestation FROM citydata_measurer")
    run("GRANT UPDATE (superseded_at) ON governance.register TO citydata_measurer")
    run("GRANT INSERT ON governance.attestation TO citydata_officer")
