"""Reconciliation finds what the town evidently has and nobody named, and forgets it only when somebody accounts for it."""

import logging
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from citydata import contract, database, settings
from citydata.governance import reconcile, register
from citydata.governance.inventory import DatabaseSchema, Dismissal, Inventory, Reconciliation
from citydata.privacy.identity_code import MASK
from citydata.service.postgres import Cluster
from simulators.identifiers import identity_code, with_wrong_check_character
from tests.identity_codes import codes_in
from tests.integration.governance.conftest import Connection
from tests.unit.governance import cases

NOW = datetime(2026, 6, 15, 9, tzinfo=UTC)
TODAY = NOW.date()
SOFTWARE = "4361"
VENDOR = "vendor:9000001-1"
CODE = identity_code(date(1990, 1, 1), 901, "-")


def town(**changes: Any) -> Inventory:
    """The town of the unit tests; `changes` are fields of its system `erp`, or of the inventory."""
    base = cases.inventory()
    erp = base.systems["erp"]
    of_system = {name: value for name, value in changes.items() if name in type(erp).model_fields}
    rest = {name: value for name, value in changes.items() if name not in of_system}
    return replace(base, systems={**base.systems, "erp": erp.model_copy(update=of_system)}, **rest)


def dismissed(found: str, **changes: Any) -> Dismissal:
    """The officer's decision that a find is no system, in force on TODAY."""
    values: dict[str, Any] = {
        "approver": cases.OFFICER, "approved_on": date(2026, 1, 1), "expires_on": date(2027, 1, 1), "note_fi": "Päätös.",
    }  # fmt: skip
    return Dismissal(found=found, **(values | changes))


def found(connection: Connection, kind: str, inventory: Inventory | None = None, days: int = 0) -> list[str]:
    """Finds of a kind that stand, some days from TODAY; they are those that the register holds."""
    today, now = TODAY + timedelta(days=days), NOW + timedelta(days=days)
    standing = reconcile.reconcile(connection, inventory or town(), now, today)
    assert standing == [find.found for find in register.finds(connection, today)]
    return [name for name in standing if name.startswith(f"{kind}:")]


def first_seen(connection: Connection, name: str, days: int = 0) -> datetime:
    """When a find that stands was seen first."""
    finds = {find.found: find.first_seen for find in register.finds(connection, TODAY + timedelta(days=days))}
    return finds[name]


# -- vendors ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def purchases(measurer: Connection) -> Iterator[Connection]:
    """The mart of purchases with the columns that are looked at, as releasing makes it; a connection that may write it."""
    with database.connect("releaser", autocommit=True) as releaser:
        releaser.execute(
            "CREATE TABLE mart_finance.purchase (supplier_business_id text, account text, voucher_month_start date)"
        )
        releaser.execute("GRANT SELECT ON mart_finance.purchase TO citydata_measurer")
        yield releaser
        releaser.execute("DROP TABLE mart_finance.purchase")


def pay(releaser: Connection, *rows: tuple[str | None, str, str]) -> None:
    """Business id, account and first day of the month of purchases."""
    with releaser.cursor() as cursor:
        cursor.executemany("INSERT INTO mart_finance.purchase VALUES (%s, %s, %s)", rows)


def test_a_vendor_of_software_without_a_system_is_found(measurer: Connection, purchases: Connection) -> None:
    assert found(measurer, "vendor") == []  # nothing was bought yet
    pay(
        purchases,
        ("9000001-1", SOFTWARE, "2026-05-01"),
        ("9000001-1", SOFTWARE, "2026-04-01"),
        ("9000002-2", "4300", "2026-05-01"),  # on another account
        ("9000003-3", SOFTWARE, "2026-05-01"),  # of a system
        ("9000004-4", SOFTWARE, "2026-05-01"),  # dismissed
        (None, SOFTWARE, "2026-05-01"),  # a person
        ("9000005-5", SOFTWARE, "2024-06-01"),  # the first month that is looked at
        ("9000006-6", SOFTWARE, "2024-05-01"),  # long ago
    )
    inventory = town(vendors=["9000003-3"], dismissals=(dismissed("vendor:9000004-4"),))
    assert found(measurer, "vendor", inventory) == [VENDOR, "vendor:9000005-5"]
    elsewhere = replace(inventory, reconciliation=Reconciliation(software_accounts=["4300", "1"], months=1))
    assert found(measurer, "vendor", elsewhere) == [VENDOR, "vendor:9000002-2", "vendor:9000005-5"]  # those stand


def test_before_the_first_release_there_are_no_vendors(measurer: Connection) -> None:
    assert reconcile.vendors(measurer, Reconciliation(software_accounts=[SOFTWARE])) == []


@pytest.mark.parametrize(
    ("dismissal", "hidden"),
    [
        (dismissed(VENDOR), True),
        (dismissed(VENDOR, approved_on=TODAY, expires_on=TODAY + timedelta(days=1)), True),
        (dismissed(VENDOR, expires_on=TODAY), False),
        (dismissed(VENDOR, approved_on=TODAY + timedelta(days=1)), False),
        (dismissed(VENDOR, approver=cases.OTHER), False),
        (dismissed(VENDOR, approver="joku"), False),
        (dismissed("vendor:9000001-2"), False),
        (dismissed("connection:9000001-1"), False),
    ],
)
def test_only_an_officer_dismisses_a_find_and_for_a_time(
    measurer: Connection, purchases: Connection, dismissal: Dismissal, hidden: bool
) -> None:
    pay(purchases, ("9000001-1", SOFTWARE, "2026-05-01"))
    assert found(measurer, "vendor", town(dismissals=(dismissal,))) == ([] if hidden else [VENDOR])


@pytest.mark.parametrize("place", ["connections", "drop_directories"])
def test_a_system_that_claims_something_else_of_the_same_name_accounts_for_nothing(
    measurer: Connection, purchases: Connection, place: str
) -> None:
    pay(purchases, ("9000001-1", SOFTWARE, "2026-05-01"))
    assert found(measurer, "vendor", town(**{place: ["9000001-1"]})) == [VENDOR]


# -- catalogues ------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(
    cluster: Cluster, measurer: Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[Any]]:
    """Another database with a login of its own that the platform reads HR by; its administrator's connection."""
    name, password = f"governance_source_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), password))
        reader = cluster.url(name).replace(cluster.url().partition("@")[0], f"postgresql://{name}:{password}")
        monkeypatch.setenv("CITYDATA_SOURCE_HR", reader)
        with psycopg.connect(cluster.url(name), autocommit=True) as administrator:
            for schema in ("hr", "payroll", "system_of_time", "closed", "empty"):
                administrator.execute(f"CREATE SCHEMA {schema}")
                if schema != "empty":
                    administrator.execute(f"CREATE TABLE {schema}.row (id integer)")
                if schema != "closed":
                    administrator.execute(
                        f"GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}"
                    )
            yield administrator
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


HR = [DatabaseSchema(connection="hr", schema="hr")]
UNCLAIMED = ["catalogue:hr.payroll", "catalogue:hr.system_of_time"]


def test_a_schema_that_no_system_names_is_found(measurer: Connection, source: Any) -> None:
    assert found(measurer, "catalogue", town(databases=HR)) == UNCLAIMED
    both = [
        *HR,
        DatabaseSchema(connection="hr", schema="payroll"),
        DatabaseSchema(connection="other", schema="system_of_time"),
    ]
    assert found(measurer, "catalogue", town(databases=both)) == UNCLAIMED[1:]
    source.execute("DROP SCHEMA system_of_time CASCADE")
    assert found(measurer, "catalogue", town(databases=both)) == UNCLAIMED[1:]  # nobody has said where it went


@pytest.mark.parametrize("address", ["postgresql://reader:salaisuus@127.0.0.1:1/hr", "no address: salaisuus", None])
def test_a_catalogue_that_does_not_answer_hides_nothing(
    measurer: Connection,
    source: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    address: str | None,
) -> None:
    found(measurer, "catalogue", town(databases=HR))
    seen = first_seen(measurer, UNCLAIMED[0])
    if address:
        monkeypatch.setenv("CITYDATA_SOURCE_HR", address)
    else:
        monkeypatch.delenv("CITYDATA_SOURCE_HR")
    with caplog.at_level(logging.WARNING, logger=reconcile.__name__):
        assert found(measurer, "catalogue", town(databases=HR), days=1) == UNCLAIMED
    (line,) = caplog.messages
    assert line.startswith("the catalogue of hr was not looked at")
    assert "salaisuus" not in line
    assert first_seen(measurer, UNCLAIMED[0], days=1) == seen


# -- connections -----------------------------------------------------------------------------------------------------


def test_connections_of_contracts_and_of_the_environment_are_found(
    measurer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_contracts = {"connection:hr", "connection:sotkanet", "connection:fhir", "connection:wfs", "connection:ogcapi"}
    before = set(found(measurer, "connection"))
    assert of_contracts <= before
    for variable in (
        "CITYDATA_SOURCE_UUSI", "AIRFLOW_CONN_TOINEN", "CITYDATA_SOURCE_UUSI_PASSWORD", "CITYDATA_SOURCE_UUSI_KEY",
        "AIRFLOW_CONN_TOINEN_TOKEN", "AIRFLOW_CONN_TOINEN_SECRET", "AIRFLOW_CONN_SMTP_DEFAULT", "CITYDATA_SOURCES",
        "MY_CITYDATA_SOURCE_X", "CITYDATA_PASSWORD_OWNER",
    ):  # fmt: skip
        monkeypatch.setenv(variable, "postgresql://salaisuus@127.0.0.1:1/x")
    assert set(found(measurer, "connection")) == before | {"connection:uusi", "connection:toinen"}
    claimed = town(connections=["uusi", "hr"])
    assert set(found(measurer, "connection", claimed)) == before - {"connection:hr"} | {"connection:toinen"}


# -- files -----------------------------------------------------------------------------------------------------------


def drop(*names: str) -> None:
    """Put files into the drop directory."""
    for name in names:
        path = settings.drop_directory() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_files_that_no_contract_expects_are_found_by_their_folder(measurer: Connection) -> None:
    assert found(measurer, "files") == []  # there is no such directory yet
    drop("finance/toimittajat-2026.csv", "gis/posti-postal-codes-1.json")
    drop(
        "finance/ostolaskut-1.csv.done",
        "finance/ostolaskut-1.csv.manifest.json",
        "muu/x.csv.part",
        "muu/.tila",
        "muu/y.tmp",
    )
    patterns = {
        (entry.platform.connector.directory, entry.platform.connector.pattern)
        for entry in contract.load_all().values()
        if entry.platform.connector.type == "files"
    }
    assert {("finance", "toimittajat*.csv"), ("gis", "posti-postal-codes-*.json")} <= patterns
    assert found(measurer, "files") == []
    drop("gis/toimittajat-2026.csv", "uusi/a/b.xlsx", "uusi/c.xlsx", "juuri.csv", "finance/vanhat/toimittajat-2025.csv")
    assert found(measurer, "files") == ["files:.", "files:finance", "files:gis", "files:uusi"]
    claimed = town(drop_directories=["finance", "."], dismissals=(dismissed("files:gis"),))
    assert found(measurer, "files", claimed) == ["files:uusi"]


@pytest.mark.parametrize("code", [CODE, CODE.lower(), with_wrong_check_character(CODE)])
def test_nobody_s_identity_code_is_shown(measurer: Connection, code: str, caplog: pytest.LogCaptureFixture) -> None:
    drop(f"asiakas_{code}/x.csv", f"{code}.csv", f"muu/{code}/{code}.pdf")
    caplog.set_level(logging.DEBUG)
    names = found(measurer, "files")
    assert names == ["files:.", f"files:asiakas_{MASK}", "files:muu"]
    kept = measurer.execute("SELECT string_agg(register::text, ' ') FROM governance.register").fetchone()
    assert kept
    assert codes_in(f"{kept[0]} {names} {caplog.text}", {code.upper()}) == 0
    assert code.upper() not in str(kept[0]).upper()


# -- what the register keeps -----------------------------------------------------------------------------------------


def test_a_find_keeps_the_moment_it_was_first_seen(measurer: Connection) -> None:
    drop("uusi/x.csv")
    for days in range(3):
        assert found(measurer, "files", days=days) == ["files:uusi"]
    assert measurer.execute("SELECT count(*) FROM governance.register WHERE id = 'files:uusi'").fetchone() == (1,)
    assert first_seen(measurer, "files:uusi", days=2) == NOW
    dismissal = (dismissed("files:uusi", approved_on=TODAY + timedelta(days=3), expires_on=TODAY + timedelta(days=9)),)
    assert found(measurer, "files", town(dismissals=dismissal), days=3) == []
    assert found(measurer, "files", town(dismissals=dismissal), days=9) == ["files:uusi"]
    assert first_seen(measurer, "files:uusi", days=9) == NOW  # a dismissal makes nothing younger


def test_a_find_that_is_claimed_ends_and_is_known_to_have_been_open(measurer: Connection) -> None:
    drop("uusi/x.csv")
    found(measurer, "files")
    row = measurer.execute("SELECT clock_timestamp()").fetchone()
    assert row
    moment = row[0]
    assert found(measurer, "files", town(drop_directories=["uusi"]), days=5) == []
    tomorrow, yesterday = TODAY + timedelta(days=5), TODAY + timedelta(days=4)

    def open_on(day: date, known_at: datetime | None = None) -> bool:
        finds = register.read(measurer, day, known_at).found
        return register.Find("files:uusi", NOW) in finds

    assert (open_on(TODAY - timedelta(days=1)), open_on(TODAY), open_on(yesterday), open_on(tomorrow)) == (
        False, True, True, False,
    )  # fmt: skip
    assert open_on(tomorrow, moment)


def test_a_find_of_another_measurement_meanwhile_does_not_end(
    measurer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looked before the file was there must not end what another one, who looked later, has recorded."""
    finds = register.finds
    others: list[str] = []

    def slow(connection: Connection, today: date) -> tuple[register.Find, ...]:
        before = finds(connection, today)
        with monkeypatch.context() as patch, database.connect("measurer", autocommit=True) as other:
            patch.setattr(register, "finds", finds)
            drop("uusi/x.csv")
            others.extend(reconcile.reconcile(other, town(), NOW, today))
        return before

    monkeypatch.setattr(register, "finds", slow)
    reconcile.reconcile(measurer, town(), NOW, TODAY)
    assert "files:uusi" in others
    assert "files:uusi" in [find.found for find in finds(measurer, TODAY)]


def test_finds_are_read_by_those_who_answer_for_the_data(measurer: Connection) -> None:
    drop("uusi/x.csv")
    found(measurer, "files")
    for role in ("officer", "dpo", "engineer", "portal"):
        with database.connect(role) as reader:
            assert register.Find("files:uusi", NOW) in register.finds(reader, TODAY)
