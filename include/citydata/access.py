"""Logins of people and programs: given with a reason and until a day, known to the measurement, taken away without a trace of rights.

A login has one role. What a team's member makes in the team's schema belongs to the team, also when the person has gone. The
platform's own logins are made by `citydata.deploy`.
"""

import re
import secrets
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from citydata import database, deploy, town

NAME = re.compile(r"(?!citydata_|pg_)[a-z][a-z0-9_.-]{1,61}[a-z0-9]")
CONNECTIONS = 20
"""How many connections a login may have at once: a BI gateway refreshes several tables in parallel."""

Connection = psycopg.Connection[Any]


class AccessError(RuntimeError):
    """Access that cannot be given, changed or taken; the text says why and what to do."""


def roles() -> list[str]:
    """Roles that people and programs may be given; the others are those of the platform's steps."""
    return [*(f"reporting_{sector}" for sector in deploy.sectors()), "bi", "open", "engineer", "officer", "dpo"]


def grant(
    login: str, role: str, *, by: str, reason: str, until: date | None = None, external: bool = False
) -> str | None:
    """Make a login of a role and return its generated password, which is kept nowhere.

    An `external` login has no password: `pg_hba.conf` says who vouches for it (Kerberos, LDAP, OAuth). `until` is the last day
    on which it counts. Raises AccessError when there is such a login, or no such role.
    """
    if not NAME.fullmatch(login):
        raise AccessError(
            f"“{login}” is no name for a login: 3 to 63 small letters, digits, '.', '-' and '_', beginning with a letter; names "
            "that begin with citydata_ or pg_ are taken"
        )
    if role not in roles():
        raise AccessError(f"there is no role “{role}” to be given; there are {', '.join(roles())}")
    group, name = sql.Identifier(f"citydata_{role}"), sql.Identifier(login)
    with database.connect_admin() as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,)).fetchone():
            raise AccessError(
                f"there is a login {login} already: `./citydata access list`; revoke it to give it another role"
            )
        password = None if external else secrets.token_urlsafe(18)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT {}").format(name, sql.Literal(CONNECTIONS)))
        # An administrator who is no superuser needs these to end what the login owns.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(name))
        connection.execute(sql.SQL("GRANT {} TO {}").format(group, name))
        for setting, value in deploy.session_settings(role).items():
            connection.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
            )
        if until:
            connection.execute(
                sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(name, sql.Literal(_end_of(until).isoformat()))
            )
        if password:
            _set_password(connection, login, password)
        connection.execute(
            "INSERT INTO ops.access (login, role, external, until, reason, granted_by) VALUES (%s, %s, %s, %s, %s, %s)",
            (login, role, external, until, reason, by),
        )
    return password


def rotate(login: str) -> str:
    """Give a login a new password and return it; connections that are open go on. Raises AccessError when it has none to change."""
    with database.connect_admin() as connection:
        if _current(connection, login)["external"]:
            raise AccessError(f"{login} has no password here: whoever vouches for it (pg_hba.conf) changes it")
        password = secrets.token_urlsafe(18)
        _set_password(connection, login, password)
    return password


def revoke(login: str, *, by: str, reason: str) -> int:
    """End a login's connections, give what it owns to its role, remove it; returns how many connections were ended.

    Raises AccessError when there is no such login, or it owns something in another database: then it opens no connection any
    more, and revoking it again finishes.
    """
    with database.connect_admin() as connection:
        role = _current(connection, login)["role"]
        name, group = sql.Identifier(login), sql.Identifier(f"citydata_{role}")
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(name))
        connection.commit()  # from now on it opens no new connection
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", (login,)
        ).rowcount
        connection.execute(
            "UPDATE ops.access SET revoked_reason = %s, revoked_by = %s, revoked_at = clock_timestamp()"
            " WHERE login = %s AND revoked_at IS NULL",
            (reason, by, login),
        )
        try:
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(name, group))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))
        except psycopg.errors.DependentObjectsStillExist as error:
            what = "; ".join((error.diag.message_detail or str(error)).splitlines())
            raise AccessError(
                f"{login} can no longer log in, and {ended} connections were ended, but it is not removed:"
                f" {what}. Where that is, give it to others (REASSIGN OWNED BY"
                f' "{login}" TO …; DROP OWNED BY "{login}"), then `./citydata access revoke {login}` again'
            ) from None
    return ended


def logins() -> list[dict[str, Any]]:
    """Every login that reads or works here: name, role, state, connections that it has now, until when, given by whom and why.

    States: `current`; `expired`, its last day has passed; `blocked`, it was revoked and still owns something; `unknown`,
    somebody made it without `access grant`; `platform`, one of the platform's own.
    """
    with database.connect_admin() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT r.rolname::text AS login, substr(g.rolname, 10)::text AS role,
                CASE WHEN r.rolname = g.rolname || '_login' THEN 'platform' WHEN a.login IS NULL THEN 'unknown'
                    WHEN NOT r.rolcanlogin THEN 'blocked' WHEN a.until < %s THEN 'expired' ELSE 'current' END AS state,
                (SELECT count(*) FROM pg_stat_activity s WHERE s.usename = r.rolname AND s.datname = current_database()) AS connections,
                a.until, a.granted_by AS "by", a.granted_at AS since, a.reason, a.external
            FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
            LEFT JOIN ops.access a ON a.login = r.rolname AND a.revoked_at IS NULL AND 'citydata_' || a.role = g.rolname
            WHERE g.rolname = ANY(%s) AND (r.rolcanlogin OR a.login IS NOT NULL) AND r.rolname <> current_user
            ORDER BY r.rolname = g.rolname || '_login', g.rolname, r.rolname
            """,
            (_today(), [f"citydata_{role}" for role in deploy.login_roles()]),
        ).fetchall()


def readable(name: str) -> list[dict[str, Any]]:
    """Tables and views that a role or login may read in the platform's schemas, with the columns where it is not all of them.

    Raises AccessError when there is no such role or login.
    """
    with database.connect_admin() as connection, connection.cursor(row_factory=dict_row) as cursor:
        known = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname IN (%s, %s) ORDER BY rolname = %s",
            (name, f"citydata_{name}", name),
        ).fetchone()
        if known is None:
            raise AccessError(
                f"there is no role or login {name}: `./citydata access list`; roles are {', '.join(roles())}"
            )
        return cursor.execute(
            """
            SELECT n.nspname::text AS "schema", c.relname::text AS "table",
                CASE WHEN has_table_privilege(%(role)s, c.oid, 'SELECT') THEN 'all' ELSE (
                    SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND has_column_privilege(%(role)s, c.oid, a.attnum, 'SELECT')) END AS columns,
                (SELECT string_agg(p.polname, ', ' ORDER BY p.polname) FROM pg_policy p
                    WHERE c.relrowsecurity AND p.polrelid = c.oid) AS row_rules
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND has_schema_privilege(%(role)s, n.oid, 'USAGE') AND has_any_column_privilege(%(role)s, c.oid, 'SELECT')
            ORDER BY 1, 2
            """,
            {"role": known[0], "schemas": list(deploy.schema_owners())},
        ).fetchall()


def _current(connection: Connection, login: str) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM ops.access WHERE login = %s AND revoked_at IS NULL", (login,)).fetchone()
    if row is None:
        own = login in {database.login(role) for role in deploy.login_roles()}
        raise AccessError(
            f"{login} is the platform's own: change CITYDATA_PASSWORD_… where it comes from and run `./citydata deploy`"
            if own
            else f"nobody was given the login {login}: `./citydata access list` shows those that were"
        )
    return row


def _set_password(connection: Connection, login: str, password: str) -> None:
    # The verifier is computed here, so that the password is in no statement that a server may log.
    verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), sql.Literal(verifier)))


def _today() -> date:
    return datetime.now(ZoneInfo(town.load().time_zone)).date()


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(town.load().time_zone))
