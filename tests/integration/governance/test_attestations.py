"""Attestations in PostgreSQL: who may store one, that none is changed afterwards, and what the synthetic officer signs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from citydata import contract, database
from citydata.governance import attestation, inventory
from citydata.governance.attestation import AttestationError
from citydata.governance.criteria import attestation as criterion
from citydata.governance.evidence import Case
from citydata.governance.inventory import Inventory
from citydata.governance.method import CURRENT
from simulators import officer
from tests.unit.governance import cases

pytestmark = pytest.mark.usefixtures("platform")
PRIVATE, PUBLIC = attestation.new_key()
SECOND = "toinen_tietopaallikko"
SECOND_PRIVATE, SECOND_PUBLIC = attestation.new_key()


@pytest.fixture
def connection() -> Iterator[Any]:
    with database.connect("officer", autocommit=True) as opened:
        yield opened


def _town(**changes: Any) -> Inventory:
    """The town of the unit tests, with two officers who have keys; its datasets have no contracts to read."""
    people = {
        **cases.inventory().people,
        cases.OFFICER: cases.person(cases.OFFICER, signing_key=PUBLIC),
        SECOND: cases.person(SECOND, signing_key=SECOND_PUBLIC, roles=["governance_officer"]),
        cases.OTHER: cases.person(cases.OTHER, signing_key=PUBLIC),
    }
    return cases.inventory(cases.dataset(contracts=[]), cases.unloaded(), people=people, **changes)


def _attest(connection: Any, *datasets: str, **changes: Any) -> list[str]:
    values: dict[str, Any] = {
        "signed_by": cases.OFFICER, "private_key": PRIVATE, "inventory": _town(), "contracts": {},
    }  # fmt: skip
    return attestation.attest(connection, datasets, **(values | changes))


def _count(connection: Any) -> int:
    return int(connection.execute("SELECT count(*) FROM governance.attestation").fetchone()[0])


def test_a_stored_signature_is_genuine_and_under_today_s_content(connection: Any) -> None:
    town = _town()
    before = datetime.now(UTC)
    assert _attest(connection, cases.LOADED, cases.UNLOADED, cases.LOADED) == [cases.LOADED, cases.UNLOADED]
    with database.connect("measurer") as reader:  # who measures reads it
        found = attestation.newest(reader, town)
    assert set(found) == {cases.LOADED, cases.UNLOADED}
    for name, signed in found.items():
        assert signed.genuine
        assert signed.content_sha256 == attestation.content_hash(town.datasets[name], town, {})
        assert signed.signed_by == cases.OFFICER
        assert before <= signed.signed_at <= datetime.now(UTC)


def test_the_one_stored_last_counts_whatever_it_is_dated(connection: Any) -> None:
    _attest(connection, cases.LOADED)
    _attest(connection, cases.LOADED, signed_by=SECOND, private_key=SECOND_PRIVATE,
            signed_at=datetime(2025, 1, 2, tzinfo=UTC))  # fmt: skip
    found = attestation.newest(connection, _town())[cases.LOADED]
    assert (found.signed_by, found.signed_at, found.genuine) == (SECOND, datetime(2025, 1, 2, tzinfo=UTC), True)


@pytest.mark.parametrize(
    ("datasets", "changes", "message"),
    [
        ([cases.LOADED], {"signed_by": cases.OTHER}, "no governance officer"),
        ([cases.LOADED], {"signed_by": "joku"}, "no governance officer"),
        ([cases.LOADED], {"private_key": SECOND_PRIVATE}, "not the one registered"),
        ([cases.LOADED], {"private_key": "no key"}, "no Ed25519 private key"),
        ([cases.LOADED, "tuntematon"], {}, "tuntematon: no such dataset"),
        ([cases.LOADED], {"signed_at": datetime(2100, 1, 1, tzinfo=UTC)}, "in the future"),
    ],
)
def test_nobody_else_signs_and_nothing_else_is_signed(
    connection: Any, datasets: list[str], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AttestationError, match=message):
        _attest(connection, *datasets, **changes)
    assert _count(connection) == 0


@pytest.mark.parametrize("role", ["owner", "steward"])
def test_who_answers_for_a_dataset_does_not_sign_it(connection: Any, role: str) -> None:
    town = _town()
    own = town.datasets[cases.LOADED].model_copy(update={role: cases.OFFICER})
    town = replace(town, datasets={**town.datasets, cases.LOADED: own})
    with pytest.raises(AttestationError, match=rf"{cases.LOADED}: {cases.OFFICER} is its owner or steward"):
        _attest(connection, cases.UNLOADED, cases.LOADED, inventory=town)
    assert _count(connection) == 0
    _attest(connection, cases.LOADED, inventory=town, signed_by=SECOND, private_key=SECOND_PRIVATE)


def test_an_officer_without_a_registered_key_cannot_sign(connection: Any) -> None:
    town = _town()
    town = replace(town, people={**town.people, cases.OFFICER: cases.person(cases.OFFICER)})
    with pytest.raises(AttestationError, match="no registered key"):
        _attest(connection, cases.LOADED, inventory=town)


@pytest.mark.parametrize("missing", ["contract", "suite"])
def test_nobody_signs_under_what_cannot_be_read(connection: Any, missing: str) -> None:
    of = cases.contract(name="without_suite")
    town = _town()
    subject = cases.dataset(contracts=[of.dataset])
    town = replace(town, datasets={**town.datasets, cases.LOADED: subject})
    contracts = {of.dataset: of} if missing == "suite" else {}
    with pytest.raises(AttestationError, match=f"the {missing} of finance.without_suite cannot be read"):
        _attest(connection, cases.LOADED, inventory=town, contracts=contracts)
    assert _count(connection) == 0


def _store(connection: Any, **changes: Any) -> None:
    """Store a row as somebody would who goes past the rules."""
    row = {
        "dataset": cases.LOADED, "content_sha256": cases.CONTENT, "signed_by": cases.OFFICER,
        "signed_at": datetime(2026, 5, 4, tzinfo=UTC), "signature": "",
    } | changes  # fmt: skip
    connection.execute(
        "INSERT INTO governance.attestation (dataset, content_sha256, signed_by, signed_at, signature)"
        " VALUES (%(dataset)s, %(content_sha256)s, %(signed_by)s, %(signed_at)s, %(signature)s)",
        row,
    )


def test_a_forged_signature_is_stored_and_not_genuine(connection: Any) -> None:
    _attest(connection, cases.LOADED)
    (real,) = connection.execute(
        "SELECT dataset, content_sha256, signed_by, signed_at, signature FROM governance.attestation"
    ).fetchall()
    names = ("dataset", "content_sha256", "signed_by", "signed_at", "signature")
    copy: dict[str, Any] = dict(zip(names, real, strict=True))
    forged = attestation.sign(SECOND_PRIVATE, **{name: value for name, value in copy.items() if name != "signature"})
    for changes in (
        {"signature": forged},
        {"signature": ""},
        {"content_sha256": "d" * 64},
        {"signed_at": copy["signed_at"] + timedelta(days=100)},
        {"signed_by": SECOND},
        {"signed_by": "joku"},
    ):
        _store(connection, **(copy | changes))
        assert not attestation.newest(connection, _town())[cases.LOADED].genuine
    _store(connection, **(copy | {"dataset": cases.UNLOADED}))
    assert not attestation.newest(connection, _town())[cases.UNLOADED].genuine
    _store(connection, **copy)
    assert attestation.newest(connection, _town())[cases.LOADED].genuine


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE governance.attestation SET signed_at = now()",
        "DELETE FROM governance.attestation",
        "TRUNCATE governance.attestation",
    ],
)
def test_no_signature_is_changed_or_taken_back_not_even_by_the_administrator(connection: Any, statement: str) -> None:
    _attest(connection, cases.LOADED)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)
    with database.connect_admin(autocommit=True) as admin, pytest.raises(psycopg.Error, match="append-only"):
        admin.execute(statement)
    assert _count(connection) == 1


@pytest.mark.parametrize("role", ["measurer", "engineer", "dpo", "portal", "loader", "transformer", "bi"])
def test_only_officers_store_signatures(role: str) -> None:
    with database.connect(role, autocommit=True) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
        _store(other)


# -- the synthetic officer -------------------------------------------------------------------------------------------


def _judged(connection: Any, now: datetime) -> dict[str, tuple[str, bool]]:
    """Of each signed dataset of the inventory why C10 says what it says, and whether that counts now."""
    model, contracts = inventory.load(), contract.load_each()[0]
    case = Case(
        inventory=model,
        method=CURRENT,
        now=now,
        attestations=attestation.newest(connection, model),
        content={entry.id: attestation.content_hash(entry, model, contracts) for entry in model.datasets.values()},
    )
    found = {}
    for name in case.attestations:
        (row,) = criterion.judge(model.datasets[name], case)
        found[name] = (row.reason, row.counts(now))
    return found


def test_the_synthetic_officer_signs_once_and_not_everything_in_time(connection: Any) -> None:
    now = datetime.now(UTC)
    signed = officer.sign(connection, now)
    assert signed == _count(connection) > 0
    assert officer.sign(connection, now) == 0
    assert _count(connection) == signed

    found = _judged(connection, now)
    model = inventory.load()
    loaded = {name for name, entry in model.datasets.items() if entry.contracts}
    documented = {entry.dataset for entry in model.manual_evidence}
    (person,) = model.officers
    own = {name for name, entry in model.datasets.items() if person in (entry.owner, entry.steward)}
    assert set(found) == (loaded | documented) - own
    assert {found[name] for name in loaded - own} == {("C10.attested", True)}
    assert loaded - own
    numbers = {name: number for number, name in enumerate(sorted(documented), start=1) if name not in own}
    assert max(numbers.values()) > officer.CHANGED
    for name, number in numbers.items():
        assert found[name] == (
            "C10.attested" if number % officer.CHANGED else "C10.content_changed",
            number % officer.CHANGED != 0 and number % officer.LATE != 0,
        )


def test_the_synthetic_officer_has_nothing_to_do_in_a_real_town(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = _town()
    monkeypatch.setattr(inventory, "load", lambda: town)
    assert officer.sign(connection, datetime.now(UTC)) == 0
    assert _count(connection) == 0


def test_the_synthetic_officer_leaves_her_own_to_somebody_else(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = _town()
    keyed = cases.person(cases.OFFICER, signing_key=officer.PUBLIC_KEY)
    own = town.datasets[cases.UNLOADED].model_copy(update={"steward": cases.OFFICER})
    town = replace(
        town,
        people={**town.people, cases.OFFICER: keyed},
        datasets={**town.datasets, cases.UNLOADED: own},
    )
    monkeypatch.setattr(inventory, "load", lambda: town)
    assert officer.sign(connection, datetime.now(UTC)) == 0
