"""C3 to C6: people, classification, personal data and retention."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from citydata.governance.criteria import classification, people, personal_data, retention
from citydata.governance.evidence import Loaded, PersonState
from citydata.governance.inventory import Art30, Retention
from tests.unit.governance import cases

# -- C3 --------------------------------------------------------------------------------------------------------------

READ = cases.NOW - timedelta(days=1)


def _people(subject: Any = None, states: dict[str, PersonState] | None = None, **persons: Any) -> list[Any]:
    subject = subject or cases.dataset()
    case = cases.case(subject)
    case = replace(case, people=case.people if states is None else states)
    return people.judge(subject, cases.with_inventory(case, people=persons))


def test_owner_and_steward_who_are_employed_pass_as_long_as_the_answer_of_the_register_holds() -> None:
    case = cases.case()
    rows = people.judge(cases.dataset(), case)
    assert cases.results(rows) == [("pass", "C3.active", cases.OWNER), ("pass", "C3.active", cases.STEWARD)]
    for row in rows:
        assert row.observed_at == case.people[cases.EMPLOYEES[row.subject]].checked_at
        assert row.expires_at == row.observed_at + case.method.people
        assert row.counts(row.expires_at - timedelta(seconds=1))
        assert not row.counts(row.expires_at)
        assert row.run == "batch 6"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"owner": None}, ("fail", "C3.no_owner", "")),
        ({"steward": None}, ("fail", "C3.no_steward", "")),
        ({"owner": "joku"}, ("fail", "C3.unknown_person", "joku")),
    ],
)
def test_somebody_is_named_and_known(changes: dict[str, Any], expected: tuple[str, str, str]) -> None:
    found = cases.results(_people(cases.dataset(**changes)))
    assert expected in found
    assert len(found) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mailbox": "group"}, ("fail", "C3.group_mailbox", cases.OWNER)),
        ({"employee": None}, ("unknown", "C3.no_employee_number", cases.OWNER)),
        ({"employee": "77"}, ("unknown", "C3.register_not_read", cases.OWNER)),
    ],
)
def test_a_person_can_be_asked_about(changes: dict[str, Any], expected: tuple[str, str, str]) -> None:
    owner, steward = cases.results(_people(**{cases.OWNER: cases.person(cases.OWNER, **changes)}))
    assert owner == expected
    assert steward[0] == "pass"


@pytest.mark.parametrize(
    ("active", "expected"),
    [(True, ("pass", "C3.active")), (False, ("fail", "C3.left")), (None, ("unknown", "C3.not_in_the_register"))],
)
def test_the_register_of_employments_decides(active: bool | None, expected: tuple[str, str]) -> None:
    states = {number: PersonState(True, READ, 5) for number in cases.EMPLOYEES.values()}
    states[cases.EMPLOYEES[cases.STEWARD]] = PersonState(active, READ, 5)
    owner, steward = _people(states=states)
    assert owner.counts(cases.NOW)
    assert (steward.result, steward.reason) == expected
    assert steward.counts(cases.NOW) is (active is True)


def test_an_old_answer_of_the_register_does_not_count() -> None:
    old = cases.NOW - timedelta(days=90)
    rows = _people(states={number: PersonState(True, old, 5) for number in cases.EMPLOYEES.values()})
    assert [row.counts(cases.NOW) for row in rows] == [False, False]


def test_a_register_that_was_never_read_knows_nobody() -> None:
    assert {row.reason for row in _people(states={})} == {"C3.register_not_read"}


# -- C4 --------------------------------------------------------------------------------------------------------------


def _classified(subject: Any, loaded: Loaded | dict[str, Loaded] | None = None) -> list[tuple[str, str, str]]:
    changes = {} if loaded is None else {"loaded": loaded}
    return cases.results(classification.judge(subject, cases.case(subject, **changes)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("pass", "C4.public", "")),
        ({"publicity": None}, ("fail", "C4.no_class", "")),
        ({"publicity": "secret"}, ("fail", "C4.no_secrecy_ground", "")),
        ({"publicity": "partly_secret", "secrecy_ground": " "}, ("fail", "C4.no_secrecy_ground", "")),
        ({"publicity": "partly_secret", "secrecy_ground": "täydennetään"}, ("fail", "C4.no_secrecy_ground", "")),
        (
            {"publicity": "secret", "secrecy_ground": "JulkL 24 § 1 mom. 20 k"},
            ("pass", "C4.secret_on_a_ground", "JulkL 24 § 1 mom. 20 k"),
        ),
    ],
)
def test_a_class_is_set_and_has_a_ground_unless_it_is_public(
    changes: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    subject = cases.dataset(**changes)
    assert _classified(subject) == [expected, ("pass", "C4.columns_classified", cases.CONTRACT)]
    assert _classified(subject.model_copy(update={"contracts": []})) == [expected]


def test_a_column_of_the_table_that_no_contract_classifies_fails() -> None:
    shown = cases.loaded()
    columns = {**shown.physical_columns, "_opened_by": "bigint", "phone": "text", "_sneaked_in": "text"}
    found = _classified(cases.dataset(), replace(shown, physical_columns=columns))
    assert found[1:] == [
        ("fail", "C4.unclassified_column", f"{cases.CONTRACT}.phone"),
        ("fail", "C4.unclassified_column", f"{cases.CONTRACT}._sneaked_in"),
    ]


def test_the_flag_of_an_identity_code_is_the_platform_s_own_and_of_anything_else_is_not() -> None:
    code = cases.column("identity", personal_data="identity_code", classification="confidential")
    of = cases.contract(columns=(*cases.contract().columns, code))
    subject = cases.dataset(publicity="secret", secrecy_ground="JulkL 24 § 1 mom. 32 k")
    shown = cases.loaded(contract=of)
    assert "identity_valid" in shown.physical_columns
    assert _classified(subject, shown)[1:] == [("pass", "C4.columns_classified", cases.CONTRACT)]
    more = {**shown.physical_columns, "name_valid": "boolean"}
    assert _classified(subject, replace(shown, physical_columns=more))[1][1] == "C4.unclassified_column"


@pytest.mark.parametrize("kind", ["confidential", "secret"])
def test_a_public_dataset_has_no_column_that_is_not(kind: str) -> None:
    of = cases.contract(columns=(*cases.contract().columns, cases.column("bank_account", classification=kind)))
    shown = cases.loaded(contract=of)
    wrong = ("fail", "C4.not_public_after_all", f"{cases.CONTRACT}.bank_account")
    assert _classified(cases.dataset(), shown) == [("pass", "C4.public", ""), wrong]
    partly = cases.dataset(publicity="partly_secret", secrecy_ground="JulkL 24 § 1 mom. 20 k")
    assert {result for result, _, _ in _classified(partly, shown)} == {"pass"}


def test_an_internal_column_does_not_make_a_dataset_less_public() -> None:
    of = cases.contract(columns=(*cases.contract().columns, cases.column("note", classification="internal")))
    assert {result for result, _, _ in _classified(cases.dataset(), cases.loaded(contract=of))} == {"pass"}


def test_columns_that_nobody_could_look_at_are_unknown() -> None:
    assert _classified(cases.dataset(), cases.loaded(physical_columns={}))[1] == (
        "unknown", "C4.no_table", cases.CONTRACT
    )  # fmt: skip
    elsewhere = {"finance.accounts": cases.loaded(contract=cases.contract(name="accounts"))}
    assert _classified(cases.dataset(), elsewhere)[1] == ("unknown", "any.no_measurement", cases.CONTRACT)


def test_columns_are_as_old_as_the_look_at_them() -> None:
    seen = cases.NOW - timedelta(days=3)
    case = cases.case(loaded=cases.loaded(observed_at=seen))
    _, columns = classification.judge(cases.dataset(), case)
    assert columns.observed_at == seen
    assert not columns.counts(case.now)


# -- C5 --------------------------------------------------------------------------------------------------------------


def _personal(subject: Any, **entries: Any) -> list[tuple[str, str, str]]:
    case = cases.with_inventory(cases.case(subject), **entries)
    return cases.results(personal_data.judge(subject, case))


def _record(**changes: Any) -> dict[str, Art30]:
    return {"paatoksenteko": cases.inventory().art30["paatoksenteko"].model_copy(update=changes)}


def test_no_personal_data_needs_no_record_and_silence_is_not_none() -> None:
    assert _personal(cases.dataset()) == [("pass", "C5.none", "")]
    assert _personal(cases.dataset(personal_data=None)) == [("fail", "C5.not_said", "")]


@pytest.mark.parametrize(
    ("changes", "record", "expected"),
    [
        ({}, {}, [("pass", "C5.on_record", "paatoksenteko")]),
        ({"art30": None}, {}, [("fail", "C5.no_record", "")]),
        ({"art30": "toinen"}, {}, [("fail", "C5.unknown_record", "toinen")]),
        ({}, {"purpose_fi": None}, [("fail", "C5.no_purpose", "paatoksenteko")]),
        ({}, {"legal_basis": "tbd"}, [("fail", "C5.no_legal_basis", "paatoksenteko")]),
        (
            {},
            {"purpose_fi": "", "legal_basis": None},
            [("fail", "C5.no_purpose", "paatoksenteko"), ("fail", "C5.no_legal_basis", "paatoksenteko")],
        ),
    ],
)
def test_personal_data_is_on_record_with_purpose_and_legal_basis(
    changes: dict[str, Any], record: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert _personal(cases.unloaded(**changes), art30=_record(**record)) == expected


@pytest.mark.parametrize(
    ("changes", "record"),
    [
        ({"dpia": "vaikutustenarviointi", "personal_data": "special"}, {}),
        ({"dpia": "vaikutustenarviointi"}, {"dpia_required": True}),
        ({}, {"dpia_required": True, "dpia": "vaikutustenarviointi"}),
    ],
    ids=["special data", "required by the record", "of the record"],
)
def test_an_assessment_is_there_and_approved_where_it_must_be(changes: dict[str, Any], record: dict[str, Any]) -> None:
    subject, art30 = cases.unloaded(**changes), _record(**record)
    name = "vaikutustenarviointi"

    def assessment(**entries: Any) -> tuple[str, str, str]:
        return _personal(subject, art30=art30, **entries)[1]

    assert assessment(dpia={name: cases.dpia()}) == ("pass", "C5.assessed", name)
    assert assessment(dpia={name: cases.dpia(approved_on=cases.TODAY)})[1] == "C5.assessed"
    assert assessment(dpia={name: cases.dpia(approved_on=date(2026, 6, 16))})[1] == "C5.assessment_not_approved"
    assert assessment() == ("fail", "C5.unknown_assessment", name)


def test_a_missing_assessment_fails_only_where_one_is_needed() -> None:
    assert _personal(cases.unloaded(personal_data="special"))[1] == ("fail", "C5.no_assessment", "")
    assert _personal(cases.unloaded(), art30=_record(dpia_required=True))[1] == ("fail", "C5.no_assessment", "")
    # Special data needs one even when there is no record that could ask for it.
    assert _personal(cases.unloaded(personal_data="special", art30=None))[1:] == [("fail", "C5.no_assessment", "")]


# -- C6 --------------------------------------------------------------------------------------------------------------

MISSING = {"period": "C6.no_period", "ground": "C6.no_ground", "starts": "C6.no_start", "then": "C6.nothing_afterwards"}


def _kept(said: Retention | None) -> list[str]:
    subject = cases.dataset(retention=said)
    return [row.reason for row in retention.judge(subject, cases.case(subject)) if row.result != "pass"]


def test_retention_is_said_in_four_parts() -> None:
    said = cases.dataset().retention
    assert said is not None
    assert _kept(said) == []
    assert _kept(None) == list(MISSING.values())
    for part, reason in MISSING.items():
        assert _kept(said.model_copy(update={part: None})) == [reason]


@pytest.mark.parametrize("part", ["period", "ground", "starts"])
@pytest.mark.parametrize("text", ["", "  ", "–", "ei määritelty", "kompletteras", "TBD"])
def test_an_empty_word_is_no_retention(part: str, text: str) -> None:
    said = cases.dataset().retention
    assert said is not None
    assert _kept(said.model_copy(update={part: text})) == [MISSING[part]]
