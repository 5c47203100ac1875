"""The fourteen criteria: one module and one rule each. `judge` gathers the evidence of a dataset."""

import importlib
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from citydata import town
from citydata.governance.evidence import CRITERIA, Case, Evidence
from citydata.governance.inventory import Dataset, ManualEvidence, NotApplicable

RULES = {
    "C1": "description",
    "C2": "system",
    "C3": "people",
    "C4": "classification",
    "C5": "personal_data",
    "C6": "retention",
    "C7": "access",
    "C8": "checks",
    "C9": "quality",
    "C10": "attestation",
    "C11": "contract",
    "C12": "load_promise",
    "C13": "lineage",
    "C14": "retention_enforced",
}
"""The module of each criterion; its function `judge(dataset, case)` returns rows of evidence, at least one."""

MANUAL = ("C7", "C8", "C9")
"""Criteria that a person may document for a dataset that the platform does not load."""

Rule = Callable[[Dataset, Case], list[Evidence]]


def rule(criterion: str) -> Rule:
    """The rule of a criterion."""
    found: Rule = importlib.import_module(f"{__name__}.{RULES[criterion]}").judge
    return found


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """All evidence of a dataset, in the order of the criteria."""
    return [row for criterion in CRITERIA for row in _judge(criterion, dataset, case)]


def _judge(criterion: str, dataset: Dataset, case: Case) -> list[Evidence]:
    for waiver in case.inventory.not_applicable:
        if (waiver.dataset, waiver.criterion) == (dataset.id, criterion):
            return [_waived(waiver, dataset, case)]
    if criterion in MANUAL and not dataset.contracts:
        found = [
            row for row in case.inventory.manual_evidence if (row.dataset, row.criterion) == (dataset.id, criterion)
        ]
        if not found:
            return [_missing(criterion, case)]
        return [_manual(max(found, key=lambda row: row.reviewed_on), dataset, case)]
    return rule(criterion)(dataset, case)


def _waived(waiver: NotApplicable, dataset: Dataset, case: Case) -> Evidence:
    allowed = case.inventory.approved(waiver.approver, dataset)
    future = start_of(waiver.approved_on) > case.now
    reason = "any.approver_may_not" if not allowed else "any.dated_in_the_future" if future else "any.not_applicable"
    return Evidence(
        criterion=waiver.criterion,
        result="not_applicable" if allowed and not future else "fail",
        reason=reason,
        looked_at="include/inventory/not_applicable.yaml",
        source="method: not_applicable needs an approver and an expiry date",
        subject=waiver.approver,
        observed_at=start_of(waiver.approved_on),
        expires_at=start_of(waiver.expires_on),
        manual=True,
    )


def _manual(found: ManualEvidence, dataset: Dataset, case: Case) -> Evidence:
    own = case.inventory.answers_for(found.reviewer, dataset)
    reviewed = start_of(found.reviewed_on)
    future = reviewed > case.now
    reason = "any.reviewer_is_owner" if own else "any.dated_in_the_future" if future else f"any.manual_{found.result}"
    return Evidence(
        criterion=found.criterion,
        result="fail" if own or future else found.result,
        reason=reason,
        looked_at=found.document,
        source="method: documented manual evidence",
        subject=found.reviewer,
        observed_at=reviewed,
        expires_at=reviewed + case.method.manual_evidence,
        run=found.document,
        manual=True,
    )


def _missing(criterion: str, case: Case) -> Evidence:
    return Evidence(
        criterion=criterion,
        result="unknown",
        reason="any.not_loaded_and_not_documented",
        looked_at="include/inventory/manual_evidence.yaml",
        source="method: documented manual evidence",
        observed_at=case.now,
        expires_at=case.now + case.method.measurement,
    )


def stated_in(dataset: Dataset) -> str:
    """Where people, class, personal data and retention of a dataset are stated: in its contracts, or in the inventory."""
    return ", ".join(f"contract {name}" for name in dataset.contracts) or f"include/inventory/datasets: {dataset.id}"


def start_of(day: date) -> datetime:
    """The first moment of a day in the town, in UTC."""
    zone = ZoneInfo(town.load().time_zone)
    return datetime.combine(day, time(), zone).astimezone(UTC)
