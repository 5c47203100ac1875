"""C10: whose signature holds, under what, and how long."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from citydata.governance import criteria
from citydata.governance.criteria import attestation
from citydata.governance.evidence import Case, Evidence
from tests.unit.governance import cases


def _signed(case: Case | None = None, **changes: Any) -> tuple[Case, list[Evidence]]:
    case = case or cases.case()
    signed = replace(case.attestations[cases.LOADED], **changes)
    case = replace(case, attestations={**case.attestations, cases.LOADED: signed})
    return case, attestation.judge(case.inventory.datasets[cases.LOADED], case)


def test_a_signature_of_the_officer_holds_for_the_method_s_period() -> None:
    case, (row,) = _signed()
    assert (row.result, row.reason, row.subject) == ("pass", "C10.attested", cases.OFFICER)
    assert row.expires_at == case.attestations[cases.LOADED].signed_at + case.method.attestation
    assert row.counts(row.expires_at - timedelta(seconds=1))
    assert not row.counts(row.expires_at)


def test_a_signature_of_last_year_does_not_count() -> None:
    case, (row,) = _signed(signed_at=cases.NOW - timedelta(days=365))
    assert not row.counts(case.now)
    case, (row,) = _signed(signed_at=cases.NOW - timedelta(days=364))
    assert row.counts(case.now)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"genuine": False}, "C10.not_genuine"),
        ({"signed_by": cases.OTHER}, "C10.not_an_officer"),
        ({"signed_at": cases.NOW + timedelta(seconds=1)}, "C10.dated_in_the_future"),
        ({"content_sha256": "d" * 64}, "C10.content_changed"),
    ],
)
def test_a_signature_fails_for_each_reason_alone(changes: dict[str, Any], reason: str) -> None:
    case, (row,) = _signed(**changes)
    assert (row.result, row.reason) == ("fail", reason)
    assert not row.counts(case.now)


def test_all_that_is_wrong_with_a_signature_is_said() -> None:
    _, rows = _signed(genuine=False, signed_by=cases.OWNER, content_sha256="d" * 64)
    assert [row.reason for row in rows] == [
        "C10.not_genuine", "C10.not_an_officer", "C10.own_dataset", "C10.content_changed",
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["owner", "steward"])
def test_an_officer_does_not_attest_what_is_hers(role: str) -> None:
    _, (row,) = _signed(cases.case(cases.dataset(**{role: cases.OFFICER})))
    assert (row.result, row.reason) == ("fail", "C10.own_dataset")


@pytest.mark.parametrize("own", [cases.OWNER, cases.STEWARD])
def test_another_office_of_the_same_person_approves_and_reviews_nothing(own: str) -> None:
    """Who answers for a dataset is a person of HR, not an office: a second office of the owner is the owner."""
    same = {cases.OFFICER: cases.person(cases.OFFICER, employee=cases.EMPLOYEES[own])}
    case = cases.with_inventory(cases.case(), people=same)
    dataset = cases.dataset()
    assert not case.inventory.approved(cases.OFFICER, dataset)
    assert case.inventory.approved(cases.OFFICER)
    (row,) = attestation.judge(dataset, case)
    assert (row.result, row.reason) == ("fail", "C10.own_dataset")
    waived = cases.with_inventory(case, not_applicable=(cases.waiver("C1"),))
    assert [row.reason for row in criteria.judge(dataset, waived) if row.criterion == "C1"] == ["any.approver_may_not"]
    (review,) = [row for row in criteria.judge(dataset, case) if row.criterion == "C7" and row.manual]
    assert (review.result, review.reason) == ("fail", "any.reviewer_is_owner")
    nobody = {name: cases.person(name, employee=None) for name in (cases.OFFICER, own)}
    assert cases.with_inventory(case, people=nobody).inventory.approved(cases.OFFICER, dataset), (
        "no number is no person"
    )


def test_another_office_of_the_owner_documents_nothing() -> None:
    case = cases.case()
    dataset = case.inventory.datasets[cases.UNLOADED]
    reviewers = {row.reviewer for row in case.inventory.manual_evidence if row.dataset == dataset.id}
    assert dataset.owner
    same = {name: cases.person(name, employee=cases.EMPLOYEES[dataset.owner]) for name in reviewers}
    rows = criteria.judge(dataset, cases.with_inventory(case, people=same))
    assert {row.reason for row in rows if row.criterion in criteria.MANUAL} == {"any.reviewer_is_owner"}


def test_nothing_signed_and_nothing_to_compare_with_do_not_count() -> None:
    case = cases.case()
    (row,) = attestation.judge(cases.dataset(), replace(case, attestations={}))
    assert (row.result, row.reason) == ("fail", "C10.not_attested")
    (row,) = attestation.judge(cases.dataset(), replace(case, content={}))
    assert (row.result, row.reason) == ("unknown", "C10.content_unknown")
