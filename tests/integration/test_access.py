"""Logins of people and programs: what they read, what the measurement says of them, and what is left when they go."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from citydata import access, database
from citydata.cli import app


def connect(login: str, password: str) -> psycopg.Connection[Any]:
    return psycopg.connect(make_conninfo(database.admin_url(), user=login, password=password))


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["access", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_a_login_reads_for_its_role_until_it_is_revoked_and_what_it_made_stays(warehouse: Path) -> None:
    first = run("grant", "maija.malli", "reporting_finance", "--reason", "KAU 2026/17", "--by", "dba").strip()
    try:
        with connect("maija.malli", first) as team:
            team.execute("CREATE VIEW team_finance.spend AS SELECT account, amount_net FROM mart_finance.purchase")
            settings = "SELECT session_user, current_user, current_setting('transaction_isolation')"
            assert team.execute(settings).fetchone() == ("maija.malli", "citydata_reporting_finance", "repeatable read")
            assert team.execute("SELECT sum(amount_net) FROM team_finance.spend").fetchone() > (0,)
        with connect("maija.malli", first) as team, pytest.raises(psycopg.errors.InsufficientPrivilege):
            team.execute("SELECT * FROM mart_hr.sick_leave")
        readable = {
            (row["schema"], row["table"]): row["columns"] for row in json.loads(run("show", "maija.malli", "--json"))
        }
        assert readable["mart_finance", "purchase"] == "all"
        assert {schema for schema, _ in readable} == {"mart_finance", "master", "team_finance"}
        second = run("rotate", "maija.malli").strip()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect("maija.malli", first)
        with connect("maija.malli", second) as open_window:
            assert run("revoke", "maija.malli", "--reason", "left", "--by", "dba").endswith("connections ended: 1\n")
            with pytest.raises(psycopg.OperationalError):
                open_window.execute("SELECT 1")
    finally:
        _remove("maija.malli")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect("maija.malli", second)
    with database.connect("reporting_finance") as team:  # the view is the team's
        assert team.execute("SELECT count(*) > 0 FROM team_finance.spend").fetchone() == (True,)
        team.execute("DROP VIEW team_finance.spend")
    with database.connect_admin() as connection:
        kept = "SELECT role, reason, granted_by, revoked_reason, revoked_by FROM ops.access WHERE login = 'maija.malli'"
        assert connection.execute(kept).fetchall() == [("reporting_finance", "KAU 2026/17", "dba", "left", "dba")]


def test_who_was_not_given_access_or_no_longer_has_it_is_listed_as_such(platform: Path) -> None:
    try:
        password = access.grant("powerbi", "bi", by="dba", reason="dashboards", until=date(2099, 12, 31))
        with database.connect_admin() as connection:
            connection.execute("UPDATE ops.access SET until = '2020-01-31' WHERE login = 'powerbi'")
            connection.execute("CREATE ROLE stranger LOGIN IN ROLE citydata_bi")
        states = {row["login"]: row["state"] for row in access.logins()}
        assert (states["powerbi"], states["stranger"], states["citydata_bi_login"]) == (
            "expired",
            "unknown",
            "platform",
        )
        listed = run("list", code=3)
        assert "stranger" in listed
        assert str(password) not in listed
    finally:
        _remove("powerbi")
        _remove("stranger")


def test_a_last_day_has_its_evening_and_no_next_morning(platform: Path) -> None:
    try:
        access.grant("auditor", "dpo", by="dba", reason="audit", until=date(2026, 6, 30), external=True)
        with database.connect_admin() as connection:
            statement = "SELECT rolvaliduntil AT TIME ZONE 'Europe/Helsinki', rolpassword IS NULL FROM pg_authid WHERE rolname = 'auditor'"
            assert str(connection.execute(statement).fetchone()) == "(datetime.datetime(2026, 7, 1, 0, 0), True)"
        with pytest.raises(access.AccessError, match="has no password here"):
            access.rotate("auditor")
    finally:
        _remove("auditor")


def test_a_login_that_owns_something_elsewhere_is_blocked_until_revoking_it_again(platform: Path) -> None:
    elsewhere = make_conninfo(database.admin_url(), dbname="postgres")
    try:
        access.grant("auditor", "dpo", by="dba", reason="audit")
        with psycopg.connect(elsewhere) as other:
            other.execute("CREATE TABLE public.theirs ()")
            other.execute("ALTER TABLE public.theirs OWNER TO auditor")
        with pytest.raises(access.AccessError, match=r"no longer log in.*1 object in database postgres.*again"):
            access.revoke("auditor", by="dba", reason="left")
        assert {row["login"]: row["state"] for row in access.logins()}["auditor"] == "blocked"
    finally:
        with psycopg.connect(elsewhere) as other:
            other.execute("DROP TABLE public.theirs")
    access.revoke("auditor", by="dba", reason="left")
    with database.connect_admin() as connection:
        assert connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'auditor'").fetchone() is None
        kept = "SELECT revoked_at IS NOT NULL FROM ops.access WHERE login = 'auditor' AND reason = 'audit'"
        assert (True,) in connection.execute(kept).fetchall()


def test_what_cannot_be_given_or_changed_is_said(platform: Path) -> None:
    for login, role, why in (
        ("Maija", "bi", "is no name for a login"),
        ("citydata_me", "bi", "names that begin with citydata_ or pg_ are taken"),
        ("loader2", "loader", "there is no role “loader” to be given"),
        ("postgres", "bi", "there is a login postgres already"),
    ):
        with pytest.raises(access.AccessError, match=re.escape(why)):
            access.grant(login, role, by="dba", reason="x")
    for change in (access.rotate, lambda login: access.revoke(login, by="x", reason="x")):
        with pytest.raises(access.AccessError, match=r"the platform's own: change CITYDATA_PASSWORD_"):
            change("citydata_bi_login")
    with pytest.raises(access.AccessError, match="nobody was given the login nobody"):
        access.rotate("nobody")


def _remove(login: str) -> None:
    """Logins are the cluster's, not the database's: the next test must not find them."""
    with database.connect_admin(autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,)).fetchone():
            connection.execute(f'DROP OWNED BY "{login}"')
            connection.execute(f'DROP ROLE "{login}"')
