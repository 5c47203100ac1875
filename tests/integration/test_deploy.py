"""Deployment makes what contracts say, twice the same, and refuses what would lose something."""

from pathlib import Path

import psycopg
import pytest

from citydata import contract, database, deploy
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
    ],
)
def test_a_role_is_refused_what_it_does_not_need(platform: Path, role: str, statement: str) -> None:
    with database.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


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
