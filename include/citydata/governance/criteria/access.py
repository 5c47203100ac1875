"""C7: the database gives no right that the classification does not, and somebody else has reviewed who has access."""

from decimal import Decimal

from citydata.governance.criteria import by_contract, start_of
from citydata.governance.evidence import Case, Evidence, Grant, Loaded
from citydata.governance.inventory import Dataset

CRITERION = "C7"
NAMED = 3
"""How many unexpected rights a row of evidence names; it counts all."""


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """The rights on the tables of each contract, and the access review of the dataset."""
    return [*by_contract.each(CRITERION, dataset, case, lambda state: [_rights(state, case)]), _review(dataset, case)]


def _rights(state: Loaded, case: Case) -> Evidence:
    name, found = state.contract.dataset, state.unexpected_grants
    if found is None or not state.grants_seen:
        # Nothing was compared, so nothing was shown to be right.
        return by_contract.unknown(
            CRITERION, case, subject=name, reason="C7.not_compared", looked_at=f"pg_catalog: {state.contract.raw_table}"
        )
    named = "; ".join(_shown(right) for right in found[:NAMED])
    return Evidence(
        criterion=CRITERION,
        result="fail" if found else "pass",
        reason="C7.unexpected_rights" if found else "C7.rights",
        subject=name,
        figure=Decimal(len(found)),
        threshold=Decimal(0),
        unit="rights",
        looked_at=f"pg_catalog: {named}" if found else f"pg_catalog: {state.grants_seen} rights",
        source="906/2019 16 §",
        observed_at=state.observed_at,
        expires_at=state.observed_at + case.method.measurement,
    )


def _shown(right: Grant) -> str:
    column = f" ({right.column})" if right.column else ""
    return f"{right.privilege} {right.schema}.{right.table}{column} → {right.grantee}"


def _review(dataset: Dataset, case: Case) -> Evidence:
    reviews = [review for review in case.inventory.access_reviews.values() if dataset.id in review.datasets]
    if not reviews:
        return Evidence(
            criterion=CRITERION,
            result="fail",
            reason="C7.never_reviewed",
            looked_at="include/inventory/access_reviews.yaml",
            source="906/2019 16 §",
            observed_at=case.now,
            expires_at=case.now + case.method.measurement,
            manual=True,
        )
    own = {row.reviewer for row in reviews if case.inventory.answers_for(row.reviewer, dataset)}
    counting = [row for row in reviews if row.reviewer not in own and start_of(row.reviewed_on) <= case.now]
    review = max(counting or reviews, key=lambda row: row.reviewed_on)
    reviewed = start_of(review.reviewed_on)
    reason = "any.reviewer_is_owner" if review.reviewer in own else "any.dated_in_the_future"
    return Evidence(
        criterion=CRITERION,
        result="pass" if counting else "fail",
        reason="C7.reviewed" if counting else reason,
        subject=review.reviewer,
        looked_at=review.document,
        source="906/2019 16 §",
        observed_at=reviewed,
        expires_at=reviewed + case.method.access_review,
        run=review.id,
        manual=True,
    )
