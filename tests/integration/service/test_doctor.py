"""The rights that a foreign PostgreSQL must give are checked one by one."""

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from citydata.service.doctor import examine
from citydata.service.installation import Installation
from citydata.service.postgres import Cluster


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        ("createrole createdb", set()),
        ("createdb", {"right to create roles"}),
        ("createrole", {"right to create Airflow's database"}),
    ],
)
def test_missing_rights_are_problems(
    platform: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, rights: str, missing: set[str]
) -> None:
    database = urlsplit(cluster.url())
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"create role visitor login password 'visitor' {rights}")
        connection.execute("grant create on database postgres to visitor")
    monkeypatch.setenv("CITYDATA_DATABASE_URL", f"postgresql://visitor:visitor@127.0.0.1:{database.port}/postgres")
    try:
        problems = {check.subject for check in examine(Installation()) if check.outcome == "problem"}
    finally:
        with psycopg.connect(cluster.url(), autocommit=True) as connection:
            connection.execute("drop owned by visitor")
            connection.execute("drop role visitor")
    assert problems == missing


def test_an_unreachable_database_is_a_problem_and_its_password_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYDATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CITYDATA_DATABASE_URL", "postgresql://someone:hush@127.0.0.1:1/nothing")
    (problem,) = (check for check in examine(Installation()) if check.outcome == "problem")
    assert problem.subject == "database"
    assert "hush" not in problem.text
