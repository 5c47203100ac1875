"""Deployment makes what contracts say, twice the same, and refuses what would lose something."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from citydata import access, contract, database, deploy
from citydata.service.postgres import temporary_cluster


def test_a_second_deployment_changes_nothing(platform: Path) -> None:
    assert deploy.deploy() == []


def test_raw_has_the_columns_of_the_contract(platform: Path) -> None:
    entry = contract.load("hr.people")
    with database.connect_admin() as connection:
        columns = dict(
            connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'raw' AND table_name = 'hr__people'"
            ).fetchall()
        )
    assert entry.table_columns.keys() <= columns.keys()
    assert columns["identity_code"] == "text"
    assert columns["identity_code_valid"] == "boolean"


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("bi", "SELECT * FROM raw.finance__accounts"),
        ("engineer", "SELECT family_name FROM raw.hr__people"),
        ("transformer", "SELECT cause_code FROM raw.hr__absences"),
        ("engineer", "SELECT row FROM quarantine.hr"),
        ("loader", "DELETE FROM raw.finance__accounts"),
        ("loader", "UPDATE raw.finance__accounts SET name = 'x'"),
        ("reporting_hr", "SELECT * FROM ops.batch"),
        ("officer", "SELECT row FROM quarantine.hr"),
        ("measurer", "SELECT job_title_fi FROM raw.hr__employments"),
        ("measurer", "SELECT count(*) FROM raw.finance__accounts"),
        ("measurer", "SELECT row FROM quarantine.finance"),
        ("portal", "SELECT row FROM quarantine.finance"),
        ("open", "SELECT * FROM mart_finance.freshness"),
        ("transformer", "SELECT ops.begin_first_load('finance__accounts')"),
    ],
)
def test_a_role_is_refused_what_it_does_not_need(platform: Path, role: str, statement: str) -> None:
    with database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_a_login_of_another_system_does_not_get_in(platform: Path) -> None:
    with database.connect_admin(autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'known'")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(database.admin_url(), user="stranger", password="known")
        finally:
            connection.execute("DROP ROLE stranger")


def test_what_an_earlier_version_granted_is_taken_back(platform: Path) -> None:
    with database.connect_admin(autocommit=True) as connection:
        connection.execute("GRANT SELECT ON raw.hr__people, quarantine.hr TO citydata_bi, citydata_engineer")
        deploy.deploy()
        for role in ("citydata_bi", "citydata_engineer"):
            for table in ("raw.hr__people", "quarantine.hr"):
                [(may,)] = connection.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", (role, table)).fetchall()
                assert not may, (role, table)


ACCOUNT = "INSERT INTO raw.finance__accounts (account, name, _opened_by, _observed_at) VALUES ('4340', 'x', 1, now())"


def test_raw_keeps_one_current_version_of_a_key_and_nothing_without_what_is_required(platform: Path) -> None:
    with database.connect("loader", autocommit=True) as connection:
        connection.execute(ACCOUNT)
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(ACCOUNT)
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute(
                "INSERT INTO raw.finance__accounts (account, _opened_by, _observed_at) VALUES ('1', 1, now())"
            )


def test_only_an_empty_table_with_a_key_is_emptied_for_its_first_load(platform: Path) -> None:
    with database.connect("loader", autocommit=True) as connection:
        connection.execute(ACCOUNT)
        with pytest.raises(psycopg.errors.RaiseException, match="finance__accounts is not empty"):
            connection.execute("SELECT ops.begin_first_load('finance__accounts')")
        with pytest.raises(psycopg.errors.RaiseException, match="has no registered key"):
            connection.execute("SELECT ops.begin_first_load('finance__purchase_invoices')")
        assert connection.execute("SELECT count(*) FROM raw.finance__accounts").fetchone() == (1,)


def test_a_row_is_waived_by_somebody_for_a_reason(platform: Path) -> None:
    with database.connect("loader") as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO quarantine.finance (dataset, batch_id, row_number, reasons, row, state, decided_by)"
            " VALUES ('finance.accounts', 1, 1, '{x}', '{}', 'waived', 'omistaja')"
        )


def test_an_older_server_is_refused() -> None:
    with pytest.raises(deploy.DeploymentError, match="PostgreSQL 17 or newer is needed; this server is 16"):
        deploy._require_version(SimpleNamespace(info=SimpleNamespace(server_version=160009)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "older", "change"),
    [
        ("fiscal_year", "integer", None),
        ("amount_net", "numeric(14,3)", None),
        ("amount_net", "numeric(16,2)", None),
        ("amount_net", "numeric(12,2)", "widened column amount_net from numeric(12,2) to numeric(14,2)"),
        ("board", "integer", None),
    ],
)
def test_a_column_is_widened_in_place_and_never_made_narrower(
    platform: Path, column: str, older: str, change: str | None
) -> None:
    with database.connect_admin() as connection:
        connection.execute(f"ALTER TABLE raw.finance__purchase_invoices DROP COLUMN {column}")
        connection.execute(f"ALTER TABLE raw.finance__purchase_invoices ADD COLUMN {column} {older}")
    if change:
        assert deploy.deploy() == [f"raw.finance__purchase_invoices: {change}"]
        assert deploy.deploy() == []
    else:
        with pytest.raises(
            deploy.DeploymentError, match=rf"column {column} is .*only a wider type is changed in place"
        ):
            deploy.deploy()


def test_a_new_column_must_not_be_required(platform: Path) -> None:
    with database.connect_admin() as connection:
        connection.execute("ALTER TABLE raw.finance__accounts DROP COLUMN name")
    with pytest.raises(deploy.DeploymentError, match="the new column name must not be required"):
        deploy.deploy()


def test_readers_see_one_release_in_a_transaction(platform: Path) -> None:
    with database.connect("bi") as connection:
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)


def test_a_removed_column_is_refused(platform: Path) -> None:
    with database.connect_admin() as connection:
        connection.execute("ALTER TABLE raw.finance__accounts ADD COLUMN gone text")
    with pytest.raises(deploy.DeploymentError, match=r"finance\.accounts.*gone.*new major version"):
        deploy.deploy()


def test_the_ledger_equation_is_a_constraint(platform: Path) -> None:
    with database.connect_admin() as connection, pytest.raises(psycopg.errors.CheckViolation, match="ledger_adds_up"):
        connection.execute(
            "INSERT INTO ops.batch (dataset, mode, contract_version, contract_hash, state, extracted, inserted)"
            " VALUES ('finance.accounts', 'snapshot', '1', '', 'published', 3, 2)"
        )


def test_an_administrator_need_not_be_a_superuser(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_cluster() as cluster, psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE administrator LOGIN CREATEROLE PASSWORD 'known'")
        connection.execute("CREATE DATABASE towns_own OWNER administrator")
        monkeypatch.setenv(
            "CITYDATA_DATABASE_URL", f"postgresql://administrator:known@127.0.0.1:{cluster.port}/towns_own"
        )
        for role in deploy.login_roles():
            monkeypatch.setenv(f"CITYDATA_PASSWORD_{role.upper()}", "known")
        assert deploy.deploy() != []
        assert deploy.deploy() == []
        # Nor to give people access and to take it again, with what they made.
        password = access.grant("maija.malli", "reporting_finance", by="dba", reason="x", until=date(2099, 12, 31))
        with psycopg.connect(database.admin_url(), user="maija.malli", password=password) as team:
            team.execute("CREATE VIEW team_finance.one AS SELECT 1 AS a")
            team.execute("SET ROLE NONE")
            team.execute("CREATE VIEW team_finance.two AS SELECT 1 AS a")
        assert access.rotate("maija.malli") != password
        assert access.revoke("maija.malli", by="dba", reason="x") == 0
        with database.connect("reporting_finance") as team:
            assert team.execute("SELECT one.a + two.a FROM team_finance.one, team_finance.two").fetchone() == (2,)
