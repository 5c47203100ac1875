"""What the platform shows of its datasets is what the database, the files and the code really are."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from citydata import access, canary, contract, database, deploy, release, settings, transform
from citydata.governance import facts
from citydata.governance.evidence import Grant, Loaded, PersonState
from citydata.governance.inventory import Inventory, Person
from citydata.governance.method import CURRENT
from citydata.service.postgres import Cluster
from tests.integration.steps import Steps
from tests.integration.transform import raw_rows

ACCOUNTS, EMPLOYMENTS = "finance.accounts", "hr.employments"


def gathered(inventory: Inventory | None = None, now: datetime | None = None) -> dict[str, Loaded]:
    """The facts as a measurement reads them: as the measurer."""
    with database.connect("measurer", autocommit=True) as connection:
        return facts.gather(connection, inventory or Inventory(), CURRENT, now or datetime.now(UTC))[0]


def employed(*numbers: str) -> dict[str, PersonState]:
    """What is known of employee numbers."""
    people = {name: Person(id=name, title_fi=name, title_sv=name, employee=name) for name in numbers}
    with database.connect("measurer", autocommit=True) as connection:
        return facts.people(connection, Inventory(people=people), datetime.now(UTC))


def execute(statement: str, *parameters: Any) -> None:
    with database.connect_admin(autocommit=True) as connection:
        connection.execute(statement, parameters or None)


@pytest.fixture(scope="module", autouse=True)
def _proven(cluster: Cluster, released: tuple[str, Path]) -> None:
    """Trying all canaries takes a quarter of a minute: the copies of the warehouse find their proof in the template."""
    name, home = released
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYDATA_HOME", str(home))
        patch.setenv("CITYDATA_DATABASE_URL", cluster.url(name))
        contract.load_each.cache_clear()
        loaded = gathered()
    assert len(loaded) == len(contract.load_all())
    for state in loaded.values():
        assert state.suite_problem is None
        assert state.suite
        assert state.suite.proven == dict.fromkeys(state.suite.dimensions, True)


@pytest.fixture
def archived(warehouse: Path) -> Iterator[Path]:
    """The warehouse with what real batches have besides: an archive and a fate of each row. Returns the archive of accounts."""
    archive = warehouse / "archive" / "all.zst"
    archive.parent.mkdir(exist_ok=True)
    archive.write_bytes(b"archived")
    execute(
        "UPDATE ops.batch SET archive_path = 'all.zst', archive_sha256 = 'x', extracted = 1, inserted = 1, audited_at = published_at"
    )
    yield archive
    archive.unlink(missing_ok=True)


# -- rights ----------------------------------------------------------------------------------------------------------


def test_deployment_and_release_give_what_the_classification_says_and_nothing_else(warehouse: Path) -> None:
    with database.connect_admin() as connection:
        given = connection.execute(
            "SELECT n.nspname, c.relname, own.column, acl.grantee::regrole::text, acl.privilege_type"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL ("
            "SELECT NULL::name AS column, c.relacl AS acl UNION ALL"
            " SELECT a.attname, a.attacl FROM pg_attribute a WHERE a.attrelid = c.oid) AS own"
            " CROSS JOIN LATERAL aclexplode(own.acl) AS acl"
            " WHERE n.nspname IN ('raw', 'quarantine') AND c.relkind = 'r' AND acl.grantee <> c.relowner"
        ).fetchall()
    allowed = {right for entry in contract.load_all().values() for right in deploy.allowed(entry)}
    assert {Grant(*right) for right in given} == allowed
    for state in gathered().values():
        assert state.unexpected_grants == (), state.contract.dataset
        # Loader, transformer and engineer at least, and the readers of quarantine.
        assert state.grants_seen > 20, state.contract.dataset


def unexpected(dataset: str) -> list[str]:
    found = gathered()[dataset].unexpected_grants
    assert found is not None
    return [f"{one.privilege} {one.schema}.{one.table}.{one.column} {one.grantee}" for one in found]


@pytest.mark.parametrize(
    ("statement", "dataset", "found"),
    [
        ("SELECT ON raw.hr__people {} citydata_bi", "hr.people", "SELECT raw.hr__people.None citydata_bi"),
        (
            "SELECT (family_name) ON raw.hr__people {} citydata_engineer",
            "hr.people",
            "SELECT raw.hr__people.family_name citydata_engineer",
        ),
        (
            "SELECT (account) ON raw.finance__accounts {} PUBLIC",
            ACCOUNTS,
            "SELECT raw.finance__accounts.account PUBLIC",
        ),
        (
            "DELETE ON raw.finance__accounts {} citydata_loader",
            ACCOUNTS,
            "DELETE raw.finance__accounts.None citydata_loader",
        ),
        ("SELECT ON quarantine.hr {} citydata_engineer", EMPLOYMENTS, "SELECT quarantine.hr.None citydata_engineer"),
        ("SELECT ON mart_hr.headcount {} citydata_open", EMPLOYMENTS, "SELECT mart_hr.headcount.None citydata_open"),
        (
            "SELECT (amount_net) ON mart_finance.purchase {} PUBLIC",
            "finance.purchase_invoices",
            "SELECT mart_finance.purchase.amount_net PUBLIC",
        ),
        (
            "SELECT ON staging.stg_hr__people {} citydata_bi",
            "hr.people",
            "SELECT staging.stg_hr__people.None citydata_bi",
        ),
        (
            "SELECT ON raw.finance__accounts {} citydata_bi_login",
            ACCOUNTS,
            "SELECT raw.finance__accounts.None citydata_bi_login",
        ),
    ],
)
def test_a_right_that_somebody_gave_is_found_until_it_is_revoked(
    warehouse: Path, statement: str, dataset: str, found: str
) -> None:
    execute(f"GRANT {statement.format('TO')}")
    assert unexpected(dataset) == [found]
    execute(f"REVOKE {statement.format('FROM')}")
    assert unexpected(dataset) == []


def test_a_right_that_may_be_handed_on_is_another_right(warehouse: Path) -> None:
    execute("GRANT SELECT ON mart_finance.purchase TO citydata_bi WITH GRANT OPTION")
    assert unexpected("finance.purchase_invoices") == [
        "SELECT WITH GRANT OPTION mart_finance.purchase.None citydata_bi"
    ]


@pytest.mark.parametrize(
    ("group", "through"),
    [("citydata_engineer", None), ("citydata_engineer", "citydata_engineer_login"), ("pg_read_all_data", None)],
)
def test_a_member_of_a_group_that_may_read_is_found(warehouse: Path, group: str, through: str | None) -> None:
    execute("CREATE ROLE stranger NOLOGIN")
    try:
        execute(f"GRANT {through or group} TO stranger")
        assert f"MEMBER OF {group} pg_catalog.pg_auth_members.None stranger" in unexpected(ACCOUNTS)
        execute(f"REVOKE {through or group} FROM stranger")
        assert unexpected(ACCOUNTS) == []
    finally:
        execute("DROP ROLE stranger")


def test_a_login_of_ours_in_another_group_is_found(warehouse: Path) -> None:
    execute("GRANT citydata_engineer TO citydata_bi_login")
    try:
        assert unexpected(ACCOUNTS) == ["MEMBER OF citydata_engineer pg_catalog.pg_auth_members.None citydata_bi_login"]
    finally:
        execute("REVOKE citydata_engineer FROM citydata_bi_login")


def test_who_was_given_access_is_expected_until_the_last_day(warehouse: Path) -> None:
    logins = ("elsewhere", "former", "returned", "powerbi")
    try:
        for login in logins:
            access.grant(login, "bi", by="dba", reason="dashboards", until=date(2099, 12, 31))
        execute("UPDATE ops.access SET until = '2020-01-31' WHERE login = 'former'")
        execute("UPDATE ops.access SET role = 'reporting_hr' WHERE login = 'elsewhere'")
        access.revoke("returned", by="dba", reason="another gateway")
        execute("CREATE ROLE returned LOGIN IN ROLE citydata_bi")  # by somebody who asked nobody
        found = [f"MEMBER OF citydata_bi pg_catalog.pg_auth_members.None {login}" for login in logins[:3]]
        assert unexpected(ACCOUNTS) == found
    finally:
        for login in logins:
            execute(f"DROP ROLE IF EXISTS {login}")


def test_rights_on_what_is_not_known_to_be_released_are_not_compared(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform, "kept_manifest", lambda code: None)
    state = gathered()[ACCOUNTS]
    assert (state.unexpected_grants, state.grants_seen) == (None, 0)


# -- shape -----------------------------------------------------------------------------------------------------------


def test_the_table_is_shown_without_what_the_platform_adds(warehouse: Path) -> None:
    for name, state in gathered().items():
        assert state.physical_columns == state.contract.table_columns, name
        assert state.bytes
        assert state.contract_problems == ()
    execute("ALTER TABLE raw.finance__accounts DROP COLUMN name CASCADE")
    execute("ALTER TABLE raw.finance__accounts ADD COLUMN _odd text")
    execute("ALTER TABLE raw.finance__suppliers ALTER COLUMN _observed_at TYPE timestamp")
    after = gathered()
    assert after[ACCOUNTS].physical_columns == {"account": "text", "_odd": "text"}
    assert after["finance.suppliers"].physical_columns["_observed_at"] == "timestamp without time zone"


def test_a_table_that_is_gone_shows_nothing(warehouse: Path) -> None:
    execute("DROP TABLE raw.finance__accounts CASCADE")
    state = gathered()[ACCOUNTS]
    assert (dict(state.physical_columns), state.unexpected_grants, state.rows, state.bytes) == ({}, None, None, None)


# -- suites ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the suites that a test may change."""
    copy = tmp_path / "expectations"
    shutil.copytree(settings.EXPECTATIONS, copy)
    monkeypatch.setattr(settings, "EXPECTATIONS", copy)
    return copy


def change(suites: Path, check: str, **kwargs: Any) -> None:
    path = suites / "finance" / "accounts.json"
    document = json.loads(path.read_text())
    [entry] = [one for one in document["expectations"] if one["meta"]["id"] == check]
    entry["kwargs"] |= kwargs
    path.write_text(json.dumps(document))


def test_a_second_look_tries_no_canaries_and_a_month_later_all(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def run(dataset: str) -> list[canary.CanaryResult]:
        tried.append(dataset)
        return [canary.CanaryResult(dataset, "one", "pass", "pass", 0)]

    monkeypatch.setattr(canary, "run", run)
    first = gathered()[ACCOUNTS].suite
    assert tried == []
    assert first
    assert first.proven_at
    assert gathered(now=first.proven_at + CURRENT.canaries - timedelta(seconds=1))[ACCOUNTS].suite == first
    assert tried == []
    later = gathered(now=first.proven_at + CURRENT.canaries + timedelta(minutes=1))
    assert sorted(tried) == sorted(contract.load_all())
    suite = later[ACCOUNTS].suite
    assert suite
    assert suite.proven == {"one": False}
    tried.clear()
    gathered(now=first.proven_at + CURRENT.canaries + timedelta(days=1))
    assert tried == [], "the newest proof counts"


def test_a_check_that_cannot_fail_any_more_is_found_and_only_its_suite_is_tried_again(
    warehouse: Path, suites: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    run = canary.run
    monkeypatch.setattr(canary, "run", lambda dataset: tried.append(dataset) or run(dataset))
    change(suites, "finance.accounts.name_is_a_name", rule="name is not null or true")
    for _ in range(2):
        suite = gathered()[ACCOUNTS].suite
        assert suite
        assert [name for name, proven in suite.proven.items() if not proven] == ["finance.accounts.name_is_a_name"]
    assert tried == [ACCOUNTS]


def test_a_suite_that_must_not_run_is_a_problem_of_its_dataset(warehouse: Path, suites: Path) -> None:
    change(suites, "finance.accounts.name_agrees_with_invoices", mostly=0)
    (suites / "finance" / "suppliers.json").unlink()
    (suites / "hr" / "people.json").write_text("[]")
    loaded = gathered()
    assert loaded[ACCOUNTS].suite is None
    assert "`mostly` must be" in (loaded[ACCOUNTS].suite_problem or "")
    assert "cannot be read" in (loaded["finance.suppliers"].suite_problem or "")
    assert loaded["hr.people"].suite is None
    assert loaded["hr.people"].suite_problem
    assert loaded[EMPLOYMENTS].suite_problem is None


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("row_rule.py", True),
        ("finance/accounts.json", True),
        ("finance/accounts.sample.csv", True),
        ("finance/purchase_invoices.sample.csv", True),  # accounts are compared with invoices
        ("finance/suppliers.sample.csv", False),
    ],
)
def test_the_proof_is_of_suite_samples_and_code(suites: Path, file: str, again: bool) -> None:
    def digest() -> str:
        return facts._digest(
            ACCOUNTS, json.loads((suites / "finance/accounts.json").read_text()), facts._digest_of_code()
        )

    before = digest()
    with (suites / file).open("a") as opened:
        opened.write("\n")
    assert (digest() != before) == again


def test_looking_costs_no_import_of_great_expectations() -> None:
    program = "import sys; import citydata.governance.facts; sys.exit('great_expectations' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


RESULT = (
    "INSERT INTO quality.check_result (source, dataset, check_id, dimension, severity, description, outcome, evaluated, checked_at)"
    " VALUES ('suite', %s, %s, 'precision', 'warning', '', %s, %s, %s)"
)


def test_the_newest_result_of_each_check_within_its_window_is_shown(warehouse: Path) -> None:
    now = datetime.now(UTC)
    check, other = "finance.accounts.rows_plausible", "finance.accounts.one_account_per_name"
    yearly = "gis.postal_codes"
    [yearly_check, *_] = json.loads((settings.EXPECTATIONS / "gis/postal_codes.json").read_text())["expectations"]
    for dataset, name, outcome, evaluated, days in (
        (ACCOUNTS, check, "error", None, 1),
        (ACCOUNTS, check, "pass", 5, 2),
        (ACCOUNTS, other, "pass", 5, 36),
        (ACCOUNTS, "finance.accounts.long_gone", "pass", 5, 1),
        (yearly, yearly_check["meta"]["id"], "pass", 5, 300),
    ):
        execute(RESULT, dataset, name, outcome, evaluated, now - timedelta(days=days))
    loaded = gathered(now=now)
    assert {name: (one.outcome, one.evaluated) for name, one in loaded[ACCOUNTS].checks.items()} == {
        check: ("error", 0)
    }
    assert yearly_check["meta"]["id"] in loaded[yearly].checks


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test about batches does not look at is not tried: a fresh installation has no proofs."""
    monkeypatch.setattr(canary, "run", lambda dataset: [])


HEADER = "Tili;Tilin nimi\n"


@pytest.mark.usefixtures("_no_canaries")
def test_rows_and_moments_come_from_the_ledger(steps: Steps) -> None:
    assert (gathered()[ACCOUNTS].rows, gathered()[ACCOUNTS].last_load_at) == (0, None)
    start = datetime.now(UTC)
    lines = [f"{4340 + number};Tilin {number} nimi\n" for number in range(40)]
    steps.drop("tilit1.csv", HEADER + "".join(lines), directory="finance", at=start - timedelta(hours=2))
    [first] = steps.load(ACCOUNTS)
    steps.drop(
        "tilit2.csv",
        HEADER + "".join([*lines[:38], "4378;Toinen nimi\n"]),
        directory="finance",
        at=start - timedelta(hours=1),
    )
    [second] = steps.load(ACCOUNTS)
    state = gathered()[ACCOUNTS]
    assert [(state.rows,)] == steps.query("SELECT count(*) FROM raw.finance__accounts WHERE _closed_by IS NULL")
    assert state.rows == 39
    assert state.last_batch_id == second.batch_id != first.batch_id
    batch = steps.batch(ACCOUNTS)
    assert (state.last_audit_at, state.last_load_at) == (batch["audited_at"], batch["published_at"])
    # The same again is as fresh as something new.
    steps.drop("tilit3.csv", HEADER + "".join([*lines[:38], "4378;Toinen nimi\n"]), directory="finance", at=start)
    assert steps.load(ACCOUNTS) == []
    state = gathered()[ACCOUNTS]
    assert state.last_audit_at == state.last_load_at > batch["published_at"]


@pytest.mark.usefixtures("_no_canaries")
def test_a_held_batch_is_a_critical_failure_until_somebody_decides(steps: Steps) -> None:
    assert gathered()[ACCOUNTS].critical_failures == ()
    steps.drop("tilit1.csv", HEADER + "0340;-----\n", directory="finance")
    assert steps.load(ACCOUNTS) == []
    batch = steps.batch(ACCOUNTS)
    [failure] = gathered()[ACCOUNTS].critical_failures
    assert (failure.check_id, failure.since, failure.run) == (
        "finance.accounts.account_in_a_class",
        batch["audited_at"],
        f"batch {batch['batch_id']}",
    )
    assert gathered()["finance.suppliers"].critical_failures == ()
    steps.execute(
        "UPDATE ops.batch SET state = 'rejected', decided_by = 'x', decided_reason = 'x', decided_at = now() WHERE state = 'held'"
    )
    assert gathered()[ACCOUNTS].critical_failures == ()


@pytest.mark.usefixtures("_no_canaries")
def test_a_batch_that_is_held_for_another_reason_waits_as_well(steps: Steps) -> None:
    steps.drop("tilit1.csv", "Jotain aivan muuta\n", directory="finance")
    assert steps.load(ACCOUNTS) == []
    assert [failure.check_id for failure in gathered()[ACCOUNTS].critical_failures] == ["finance.accounts.batch"]


def test_a_group_that_a_test_keeps_stale_is_a_failure_of_what_it_is_made_of(archived: Path) -> None:
    employments = raw_rows.hr()[EMPLOYMENTS]
    employments[0]["sector"] = "unheard of"
    raw_rows.publish(EMPLOYMENTS, employments)
    build = transform.build()
    assert "hr" in release.release(build.build_id).stale
    loaded = gathered()
    test = "dbt.relationships_fct_employment_sector_code"
    [failure] = [one for one in loaded[EMPLOYMENTS].critical_failures if one.check_id.startswith(test)]
    assert failure.run == f"build {build.build_id}"
    with database.connect_admin() as connection:
        [(released_at,)] = connection.execute("SELECT max(released_at) FROM ops.release").fetchall()
    assert failure.since == released_at
    # Nothing in which invoices are has failed, and nothing but the group of the model waits.
    assert failure.check_id not in {one.check_id for one in loaded["gis.addresses"].critical_failures}


# -- lineage ---------------------------------------------------------------------------------------------------------


def broken(dataset: str = ACCOUNTS, now: datetime | None = None) -> str | None:
    lineage = gathered(now=now)[dataset].lineage
    assert lineage
    return lineage.broken


def test_the_way_from_the_archive_to_a_mart_is_complete(archived: Path) -> None:
    loaded = gathered()
    lineage = loaded["finance.purchase_invoices"].lineage
    assert lineage
    assert lineage.broken is None
    assert {"mart_finance.purchase", "mart_finance.supplier_spend"} <= set(lineage.marts)
    steps = lineage.steps
    assert steps[:4] == (
        "archive all.zst",
        "raw.finance__purchase_invoices",
        "source finance.purchase_invoices",
        "staging.stg_finance__purchase_invoices",
    )
    assert steps.index("warehouse.fct_purchase") < steps.index("mart_finance.purchase")
    assert {"exposure purchase_report", f"release {lineage.release_id}"} <= set(steps)
    with database.connect_admin() as connection:
        assert connection.execute(
            "SELECT max(h.batch_id), max(r.build_id), max(r.release_id) FROM ops.release_horizon h JOIN ops.release r"
            " USING (release_id) WHERE dataset = 'finance.purchase_invoices'"
        ).fetchone() == (lineage.batch_id, lineage.build_id, lineage.release_id)
    assert {name for name, state in loaded.items() if state.lineage and state.lineage.broken} == set()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE ops.batch SET inserted = 0, extracted = 0", "raw.finance__accounts"),
        ("UPDATE ops.batch SET archive_sha256 = NULL", "archive"),
        ("UPDATE ops.batch SET archive_path = 'gone.zst'", "archive"),
        ("DROP VIEW staging.stg_finance__accounts CASCADE", "staging.stg_finance__accounts"),
        ("DROP TABLE warehouse.dim_account CASCADE", "warehouse.dim_account"),
        ("DELETE FROM ops.release_horizon WHERE dataset = 'finance.accounts'", "release"),
        ("DELETE FROM ops.release", "release"),
    ],
)
def test_the_first_step_that_is_missing_is_named(archived: Path, statement: str, expected: str) -> None:
    execute(statement)
    assert (broken() or "").split(",")[0] == expected


def test_a_dataset_that_reaches_no_mart_or_an_unknown_graph_is_no_complete_way(
    archived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = transform.kept_manifest

    def cut(code: str) -> Any:
        document = kept(code)
        assert document
        document["child_map"]["model.citydata.stg_finance__accounts"] = []
        document["child_map"]["source.citydata.finance.suppliers"] = []
        del document["sources"]["source.citydata.hr.people"]
        return document

    monkeypatch.setattr(transform, "kept_manifest", cut)
    assert broken() == "mart"
    assert broken("finance.suppliers") == "staging.stg_finance__suppliers"
    assert broken("hr.people") == "source hr.people"
    monkeypatch.setattr(transform, "kept_manifest", lambda code: None)
    assert (broken() or "").startswith("manifest, build ")


def test_what_changed_days_ago_must_have_been_released(archived: Path) -> None:
    raw_rows.publish(ACCOUNTS, [])
    # By the ledger it altered nothing, so nothing waits.
    assert broken(now=datetime.now(UTC) + CURRENT.measurement + timedelta(minutes=1)) is None
    execute("UPDATE ops.batch SET closed = 2 WHERE batch_id = (SELECT max(batch_id) FROM ops.batch)")
    now = datetime.now(UTC)
    assert broken(now=now) is None
    assert (broken(now=now + CURRENT.measurement + timedelta(minutes=1)) or "").startswith("release, batch ")


# -- people ----------------------------------------------------------------------------------------------------------


def test_hr_says_who_is_employed(warehouse: Path) -> None:
    execute("UPDATE raw.hr__employments SET start_date = '2020-01-01', end_date = NULL WHERE person_number = 'P0010'")
    execute("UPDATE raw.hr__employments SET end_date = current_date - 2 WHERE person_number = 'P0011'")
    execute(
        "UPDATE raw.hr__employments SET start_date = current_date + 2, end_date = NULL WHERE person_number = 'P0012'"
    )
    found = employed("P0010", "P0011", "P0012", "X9")
    assert {number: state.active for number, state in found.items()} == {
        "P0010": True,
        "P0011": False,
        "P0012": False,
        "X9": None,
    }
    assert {state.checked_at for state in found.values()} == {raw_rows.OBSERVED}
    with database.connect_admin() as connection:
        [(batch,)] = connection.execute(
            "SELECT max(batch_id) FROM ops.batch WHERE dataset = %s", (EMPLOYMENTS,)
        ).fetchall()
    assert {state.batch_id for state in found.values()} == {batch}
    # A version that was closed says nothing any more.
    execute("UPDATE raw.hr__employments SET _closed_by = 999 WHERE person_number = 'P0010'")
    assert employed("P0010") == {"P0010": replace(found["P0010"], active=None)}


def test_hr_that_was_never_loaded_says_nothing(platform: Path) -> None:
    assert employed("P0010") == {}


def test_the_measurer_reads_nothing_else_of_people(warehouse: Path) -> None:
    for statement in ("SELECT job_title_fi FROM raw.hr__employments", "SELECT person_number FROM raw.hr__people"):
        with database.connect("measurer") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
