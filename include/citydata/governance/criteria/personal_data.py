"""C5: there is no personal data, or it is on record why it is processed (GDPR Art. 30), assessed where it must be (Art. 35).

What contracts say of personal data is what their columns say: an owner cannot leave it out.
"""

import functools
from collections.abc import Iterator

from citydata.governance.criteria import start_of, stated_in
from citydata.governance.criteria.description import is_said
from citydata.governance.evidence import Case, Evidence
from citydata.governance.inventory import Art30, Dataset


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """One row that there is none, or one for the record or for each thing it lacks, and one for an assessment that it needs."""
    row = functools.partial(
        Evidence,
        criterion="C5",
        looked_at=stated_in(dataset),
        source="GDPR Art. 30",
        observed_at=case.now,
        expires_at=case.now + case.method.measurement,
    )
    if dataset.personal_data is None:
        return [row(result="fail", reason="C5.not_said")]
    if dataset.personal_data == "none":
        return [row(result="pass", reason="C5.none")]
    record = case.inventory.art30.get(dataset.art30) if dataset.art30 else None
    rows = []
    looked_at = f"include/inventory/art30: {record.id}" if record else stated_in(dataset)
    for result, reason in _record(dataset, record):
        rows.append(row(result=result, reason=reason, subject=dataset.art30 or "", looked_at=looked_at))
    if dataset.personal_data == "special" or (record and record.dpia_required):
        name = dataset.dpia or (record.dpia if record else None)
        result, reason = _assessment(name, case)
        looked_at = f"include/inventory/dpia: {name}" if name else stated_in(dataset)
        rows.append(row(result=result, reason=reason, subject=name or "", looked_at=looked_at, source="GDPR Art. 35"))
    return rows


def _record(dataset: Dataset, record: Art30 | None) -> Iterator[tuple[str, str]]:
    if record is None:
        yield "fail", "C5.unknown_record" if dataset.art30 else "C5.no_record"
        return
    purpose, basis = is_said(record.purpose_fi), is_said(record.legal_basis)
    if not purpose:
        yield "fail", "C5.no_purpose"
    if not basis:
        yield "fail", "C5.no_legal_basis"
    if purpose and basis:
        yield "pass", "C5.on_record"


def _assessment(name: str | None, case: Case) -> tuple[str, str]:
    if name is None:
        return "fail", "C5.no_assessment"
    assessment = case.inventory.dpia.get(name)
    if assessment is None:
        return "fail", "C5.unknown_assessment"
    if start_of(assessment.approved_on) > case.now:
        return "fail", "C5.assessment_not_approved"
    return "pass", "C5.assessed"
