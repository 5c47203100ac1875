"""C10: a governance officer, never who answers for the dataset, has signed it as it is today, within twelve months."""

import functools
from collections.abc import Iterator

from citydata.governance.evidence import Attestation, Case, Evidence
from citydata.governance.inventory import Dataset


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """One row that the newest signature holds, or one for each reason why it does not."""
    row = functools.partial(
        Evidence,
        criterion="C10",
        looked_at="governance.attestation",
        source="method: signed by the governance officer on unchanged content",
    )
    signed = case.attestations.get(dataset.id)
    if signed is None:
        expires_at = case.now + case.method.measurement
        return [row(result="fail", reason="C10.not_attested", observed_at=case.now, expires_at=expires_at)]
    problems = list(_problems(signed, dataset, case))
    return [
        row(
            result=result,
            reason=reason,
            subject=signed.signed_by,
            run=f"attestation {signed.attestation_id}",
            observed_at=signed.signed_at,
            expires_at=signed.signed_at + case.method.attestation,
        )
        for result, reason in problems or [("pass", "C10.attested")]
    ]


def _problems(signed: Attestation, dataset: Dataset, case: Case) -> Iterator[tuple[str, str]]:
    if not signed.genuine:
        yield "fail", "C10.not_genuine"
    if signed.signed_by not in case.inventory.officers:
        yield "fail", "C10.not_an_officer"
    if case.inventory.answers_for(signed.signed_by, dataset):
        yield "fail", "C10.own_dataset"
    if signed.signed_at > case.now:
        yield "fail", "C10.dated_in_the_future"
    content = case.content.get(dataset.id)
    if content is None:
        yield "unknown", "C10.content_unknown"
    elif content != signed.content_sha256:
        yield "fail", "C10.content_changed"
