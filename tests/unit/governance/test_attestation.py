"""What a signature covers, and whose it is: harmless changes leave it valid, every other one does not."""

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citydata import settings
from citydata.contract import Contract
from citydata.governance import attestation
from citydata.governance.inventory import Dataset, Inventory, Retention
from tests.unit.governance import cases

SUITE: dict[str, Any] = {
    "name": cases.CONTRACT,
    "meta": {"sample_parameters": {"observed_on": "2026-03-02"}},
    "expectations": [
        {
            "type": "expect_rows_to_satisfy",
            "kwargs": {"rule": "municipality is not null", "mostly": 0.9},
            "meta": {
                "id": "municipality_present",
                "dimension": "completeness",
                "severity": "warning",
                "description": "…",
            },
        },
        {
            "type": "expect_column_values_to_be_valid_business_id",
            "kwargs": {"column": "business_id"},
            "meta": {"id": "business_id_valid", "dimension": "correctness", "severity": "critical", "description": "…"},
        },
    ],
}
SECRET = cases.column("bank_account", classification="confidential")
PERSONAL = cases.column("contact", personal_data="contact", classification="internal")
CONTRACT = cases.contract(columns=(*cases.contract().columns, SECRET, PERSONAL))


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | None], None]:
    """Write the suite of the contract; None takes it away."""
    monkeypatch.setattr(settings, "EXPECTATIONS", tmp_path)
    path = tmp_path / "finance" / "suppliers.json"
    path.parent.mkdir()

    def write(document: dict[str, Any] | None) -> None:
        path.unlink(missing_ok=True)
        if document is not None:
            path.write_text(json.dumps(document), encoding="utf-8")

    write(SUITE)
    return write


Suite = Callable[[dict[str, Any] | None], None]


def _hash(subject: Dataset | None = None, contract: Contract | None = None, inventory: Inventory | None = None) -> str:
    subject = subject or cases.dataset()
    contract = contract or CONTRACT
    return attestation.content_hash(subject, inventory or cases.inventory(subject), {contract.dataset: contract})


def _columns(*columns: Any) -> Contract:
    return replace(CONTRACT, columns=tuple(columns))


def _changed(name: str, **changes: Any) -> Contract:
    """The contract with one column changed."""
    return _columns(*(replace(entry, **changes) if entry.name == name else entry for entry in CONTRACT.columns))


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize(
    "contract",
    [
        _columns(*CONTRACT.columns, cases.column("note", classification="internal")),
        _columns(*(entry for entry in CONTRACT.columns if entry.name != "municipality")),
        _changed("municipality", description_fi="Kotikunta, tarkennettu kuvaus."),
        _changed("municipality", classification="internal", pg_type="integer", volatile=True),
        _columns(*reversed(CONTRACT.columns)),
        replace(CONTRACT, version="1.1.0", hash="i" * 64, title="Toimittajat, uusi otsikko", sla_hours=24.0),
    ],
    ids=["new column", "dropped column", "described anew", "typed anew", "other order", "other version"],
)
def test_a_change_that_harms_nobody_leaves_a_signature_valid(contract: Contract) -> None:
    assert _hash(contract=contract) == _hash()


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize(
    "contract",
    [
        _columns(*CONTRACT.columns, cases.column("phone", personal_data="contact")),
        _columns(*CONTRACT.columns, cases.column("price", classification="confidential")),
        _columns(*CONTRACT.columns, cases.column("must", required=True)),
        _columns(*(entry for entry in CONTRACT.columns if entry != SECRET)),
        _changed("municipality", classification="secret"),
        _changed("municipality", required=True),
        _changed("name", required=False),
        _changed("name", key=True),
        _changed("bank_account", classification="internal"),
        _changed("bank_account", pg_type="integer"),
        _changed("bank_account", description_fi="Jotain muuta."),
        _changed("bank_account", description_sv="Något annat."),
        _changed("contact", classification="public"),
        _changed("contact", personal_data="name"),
        _changed("contact", personal_data=None),
    ],
)
def test_a_change_of_keys_or_of_what_needs_protection_voids_a_signature(contract: Contract) -> None:
    assert _hash(contract=contract) != _hash()


ANOTHER = {
    "name_fi": "Toinen nimi",
    "name_sv": "Ett annat namn",
    "description_fi": "Aivan toinen kuvaus tästä aineistosta.",
    "description_sv": None,
    "task_class": "02.05",
    "process": None,
    "tietovaranto": "paatokset",
    "controller": "somebody_else",
    "owner": cases.OTHER,
    "steward": None,
    "publicity": "secret",
    "secrecy_ground": "JulkL 24 §",
    "personal_data": "special",
    "art30": "paatoksenteko",
    "dpia": "vaikutustenarviointi",
    "retention": None,
}


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("field", ANOTHER)
def test_a_change_of_meaning_people_class_personal_data_or_retention_voids_a_signature(field: str) -> None:
    assert _hash(cases.dataset(**{field: ANOTHER[field]})) != _hash()


@pytest.mark.usefixtures("suite")
def test_fields_that_a_signature_does_not_cover_are_these_and_no_others() -> None:
    free = {
        "id": "toinen", "system": "case_management", "sector": "urban", "kind": "event", "criticality": "core",
        "interfaces": [],
    }  # fmt: skip
    assert {*free, *ANOTHER, "contracts"} == set(Dataset.model_fields)
    for field, value in free.items():
        assert _hash(cases.dataset(**{field: value})) == _hash()
    assert _hash(cases.dataset(contracts=[])) != _hash()
    assert _hash(cases.dataset(contracts=[cases.CONTRACT, "finance.accounts"])) != _hash()


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize("part", Retention.model_fields)
def test_each_part_of_the_retention_rule_is_covered(part: str) -> None:
    said = cases.dataset().retention
    assert said is not None
    value = "archive" if part == "then" else "toisin"
    assert _hash(cases.dataset(retention=said.model_copy(update={part: value}))) != _hash()


@pytest.mark.usefixtures("suite")
def test_the_legal_basis_and_the_assessment_of_the_record_are_covered() -> None:
    subject = cases.dataset(art30="paatoksenteko", personal_data="personal")
    given = cases.inventory(subject)
    before = _hash(subject, inventory=given)
    record = given.art30["paatoksenteko"]
    for changes in ({"legal_basis": "GDPR 6 art. 1 k. f kohta"}, {"dpia": "vaikutustenarviointi"}):
        other = replace(given, art30={record.id: record.model_copy(update=changes)})
        assert _hash(subject, inventory=other) != before


def _with(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(SUITE)
    change(document)
    return document


HARMFUL: dict[str, Callable[[dict[str, Any]], object]] = {
    "a lower mostly": lambda suite: suite["expectations"][0]["kwargs"].update(mostly=0.5),
    "no mostly": lambda suite: suite["expectations"][0]["kwargs"].pop("mostly"),
    "another rule": lambda suite: suite["expectations"][0]["kwargs"].update(rule="true"),
    "another column": lambda suite: suite["expectations"][1]["kwargs"].update(column="name"),
    "another severity": lambda suite: suite["expectations"][1]["meta"].update(severity="warning"),
    "another dimension": lambda suite: suite["expectations"][1]["meta"].update(dimension="coverage"),
    "another type": lambda suite: suite["expectations"][1].update(type="expect_column_to_exist"),
    "another id": lambda suite: suite["expectations"][1]["meta"].update(id="other"),
    "a check less": lambda suite: suite["expectations"].pop(),
    "no checks": lambda suite: suite["expectations"].clear(),
    "no list of checks": lambda suite: suite.pop("expectations"),
    "a check without an id": lambda suite: suite["expectations"][0]["meta"].pop("id"),
}
HARMLESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another description": lambda suite: suite["expectations"][1]["meta"].update(description="Said better."),
    "a canary": lambda suite: suite["expectations"][1]["meta"].update(canary={"row": 1, "set": {}}),
    "another order": lambda suite: suite["expectations"].reverse(),
    "another sample": lambda suite: suite["meta"].clear(),
}


@pytest.mark.parametrize("change", HARMFUL.values(), ids=HARMFUL)
def test_a_weaker_or_other_check_voids_a_signature(suite: Suite, change: Callable[[dict[str, Any]], object]) -> None:
    before = _hash()
    suite(_with(change))
    assert _hash() != before


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_a_suite_says_beside_its_checks_is_free(suite: Suite, change: Callable[[dict[str, Any]], object]) -> None:
    before = _hash()
    suite(_with(change))
    assert _hash() == before


def test_a_suite_that_is_gone_voids_a_signature(suite: Suite) -> None:
    before = _hash()
    suite(None)
    assert _hash() != before


# -- signatures ------------------------------------------------------------------------------------------------------

PRIVATE, PUBLIC = attestation.new_key()
PERSON = cases.person(cases.OFFICER, signing_key=PUBLIC)
SIGNED: dict[str, Any] = {"dataset": cases.LOADED, "content_sha256": cases.CONTENT, "signed_at": cases.NOW}
SIGNATURE = attestation.sign(PRIVATE, signed_by=cases.OFFICER, **SIGNED)


def test_a_signature_is_the_person_s_who_has_the_key() -> None:
    assert attestation.genuine(PERSON, signature=SIGNATURE, **SIGNED)
    assert attestation.public_key(PRIVATE) == PUBLIC


def test_the_moment_is_the_same_in_every_time_zone() -> None:
    elsewhere = SIGNED | {"signed_at": cases.NOW.astimezone(timezone(timedelta(hours=3)))}
    assert attestation.genuine(PERSON, signature=SIGNATURE, **elsewhere)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": cases.UNLOADED},
        {"content_sha256": "d" * 64},
        {"signed_at": cases.NOW + timedelta(microseconds=1)},
    ],
)
def test_a_signature_is_for_one_dataset_content_and_moment(changes: dict[str, Any]) -> None:
    assert not attestation.genuine(PERSON, signature=SIGNATURE, **(SIGNED | changes))


@pytest.mark.parametrize(
    "person",
    [
        None,
        cases.person(cases.OFFICER),
        cases.person(cases.OFFICER, signing_key=attestation.new_key()[1]),
        cases.person(cases.OTHER, signing_key=PUBLIC),
        cases.person(cases.OFFICER, signing_key="no key"),
        cases.person(cases.OFFICER, signing_key=base64.b64encode(b"short").decode()),
        cases.person(cases.OFFICER, signing_key="ä"),
    ],
    ids=["nobody", "no key", "another key", "the same key of another person", "no base64", "too short", "no ASCII"],
)
def test_a_signature_is_nobody_else_s(person: Any) -> None:
    assert not attestation.genuine(person, signature=SIGNATURE, **SIGNED)


def test_a_signature_is_under_the_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attestation, "STATEMENT", "Vahvistan jotain muuta.")
    assert not attestation.genuine(PERSON, signature=SIGNATURE, **SIGNED)


@given(st.one_of(st.text(max_size=120), st.binary(max_size=80).map(lambda value: base64.b64encode(value).decode())))
def test_no_other_text_is_a_signature(text: str) -> None:
    assert attestation.genuine(PERSON, signature=text, **SIGNED) is (text == SIGNATURE)


@given(st.integers(0, 511))
def test_one_changed_bit_is_noticed(bit: int) -> None:
    raw = bytearray(base64.b64decode(SIGNATURE))
    raw[bit // 8] ^= 1 << bit % 8
    assert not attestation.genuine(PERSON, signature=base64.b64encode(raw).decode(), **SIGNED)


@given(
    st.tuples(*[st.text(max_size=8)] * 3),
    st.tuples(*[st.text(max_size=8)] * 3),
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_two_different_things_are_never_signed_by_the_same_bytes(
    one: tuple[str, ...], other: tuple[str, ...], moment: datetime
) -> None:
    signed = [attestation._signed(*parts, moment) for parts in (one, other)]
    assert (signed[0] == signed[1]) is (one == other)


@pytest.mark.parametrize("text", ["", "no key", base64.b64encode(b"short").decode(), "ä" * 44])
def test_a_text_that_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(attestation.AttestationError, match="governance key") as refused:
        attestation.sign(text, signed_by=cases.OFFICER, **SIGNED)
    assert not text or text not in str(refused.value)


def test_keys_are_never_the_same_twice() -> None:
    assert len({attestation.new_key() for _ in range(20)}) == 20
