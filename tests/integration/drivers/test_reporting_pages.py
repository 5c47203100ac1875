"""What the how-tos tell the reporting team and the BI administrator to type does what they say."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from citydata import database
from citydata.cli import app
from citydata.settings import ROOT
from tests.documentation import typed

PAGES = ROOT / "docs" / "how-to"
READER = "maija.malli"
LOGINS = (READER, "matti.malli", "powerbi")


def _page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def _statements(name: str) -> list[str]:
    found = re.findall(r"^```sql\n(.*?)\n```$", _page(name), re.MULTILINE | re.DOTALL)
    assert found, name
    return found


def _commands() -> list[list[str]]:
    """Those of the page; starting and stopping an installation is for the end-to-end tests."""
    commands = [each for each in typed.blocks(PAGES / "administer-bi-access.md") if typed.kind(each) == "page"]
    assert [each.line for each in commands if not each.arguments] == [], (
        "only commands of the platform can be typed here"
    )
    return [each.arguments for each in commands]


def test_the_pages_work_as_they_are_written(warehouse: Path) -> None:
    passwords = {}
    commands = _commands()
    assert {command[1] for command in commands if command[0] == "access"} == {
        "list",
        "show",
        "grant",
        "rotate",
        "revoke",
    }
    last = [command for command in commands if command[:2] == ["access", "revoke"]]
    try:
        for command in [*(command for command in commands if command not in last), *last]:
            if command in last:
                _read(passwords[READER])
                _administer()
            done = CliRunner().invoke(app, command)
            assert done.exit_code == 0, done.output
            passwords[command[2] if len(command) > 2 else ""] = done.stdout.strip()
    finally:
        with database.connect_admin(autocommit=True) as connection:
            for login in LOGINS:
                if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,)).fetchone():
                    connection.execute(f'DROP OWNED BY "{login}"')
                    connection.execute(f'DROP ROLE "{login}"')
    assert passwords["matti.malli"] == "", "Kerberos vouches for him"
    with database.connect("bi") as dashboard:
        shared = "SELECT count(*) FROM team_finance.purchase_by_month"
        assert dashboard.execute(shared).fetchone() > (0,), "the view outlives who made it"


def _read(password: str) -> None:
    """The reporting team's pages, as a member of the finance team and, for other sectors' marts, as a dashboard."""
    finance = make_conninfo(database.admin_url(), user=READER, password=password)
    with psycopg.connect(finance, autocommit=True) as team:
        for statement in _statements("read-the-marts"):
            cursor = team.execute(statement)
            if statement.startswith("SELECT"):
                assert cursor.fetchall(), statement
    with database.connect("bi") as dashboard:
        for page in ("read-the-marts-with-excel", "read-the-marts-with-qgis"):
            for statement in _statements(page):
                assert dashboard.execute(statement).fetchall(), statement


def _administer() -> None:
    with database.connect_admin() as administrator:
        for statement in _statements("administer-bi-access"):
            if "PID" in statement:
                _end_one(administrator, statement)
            else:
                administrator.execute(statement)


def _end_one(administrator: psycopg.Connection, statement: str) -> None:
    with database.connect("bi") as dashboard:
        ended = administrator.execute(statement.replace("PID", str(dashboard.info.backend_pid))).fetchone()
        assert ended == (True,)
        with pytest.raises(psycopg.OperationalError):
            dashboard.execute("SELECT 1")
