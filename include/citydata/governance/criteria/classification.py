"""C4: it is said who may see the dataset, on what ground not everybody, and nothing in it is without a class.

Act on the Openness of Government Activities (621/1999) 24 § and 906/2019 5 §.
"""

import functools
from collections.abc import Iterator
from decimal import Decimal

from citydata import deploy
from citydata.governance.criteria import stated_in
from citydata.governance.criteria.description import is_said
from citydata.governance.evidence import Case, Evidence
from citydata.governance.inventory import Dataset

NOT_PUBLIC = ("confidential", "secret")


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """One row for the class with its ground; for each contract one for its columns, or one for each column that is wrong."""
    result, reason, subject = _publicity(dataset)
    publicity = Evidence(
        criterion="C4",
        result=result,
        reason=reason,
        subject=subject,
        looked_at=stated_in(dataset),
        source="621/1999 24 §",
        observed_at=case.now,
        expires_at=case.now + case.method.measurement,
    )
    return [publicity, *(row for name in dataset.contracts for row in _columns(name, dataset, case))]


def _publicity(dataset: Dataset) -> tuple[str, str, str]:
    if dataset.publicity is None:
        return "fail", "C4.no_class", ""
    if dataset.publicity == "public":
        return "pass", "C4.public", ""
    if dataset.secrecy_ground is None or not is_said(dataset.secrecy_ground):
        return "fail", "C4.no_secrecy_ground", ""
    return "pass", "C4.secret_on_a_ground", dataset.secrecy_ground


def _columns(name: str, dataset: Dataset, case: Case) -> Iterator[Evidence]:
    row = functools.partial(
        Evidence,
        criterion="C4",
        source="906/2019 5 §; 621/1999 24 §",
        observed_at=case.now,
        expires_at=case.now + case.method.measurement,
    )
    state = case.loaded.get(name)
    if state is None:
        yield row(result="unknown", reason="any.no_measurement", subject=name, looked_at=f"contract {name}")
        return
    row = functools.partial(row, observed_at=state.observed_at, expires_at=state.observed_at + case.method.measurement)
    contract = state.contract
    if not state.physical_columns:
        yield row(result="unknown", reason="C4.no_table", subject=name, looked_at=contract.raw_table)
        return
    classified = {*contract.table_columns, *deploy.platform_columns(contract)}
    without = [column for column in state.physical_columns if column not in classified]
    for column in without:
        subject = f"{name}.{column}"
        yield row(result="fail", reason="C4.unclassified_column", subject=subject, looked_at=contract.raw_table)
    hidden = [column.name for column in contract.columns if column.classification in NOT_PUBLIC]
    if dataset.publicity == "public":
        for column in hidden:
            subject = f"{name}.{column}"
            yield row(result="fail", reason="C4.not_public_after_all", subject=subject, looked_at=f"contract {name}")
        if hidden:
            return
    if not without:
        figure = Decimal(len(contract.columns))
        yield row(
            result="pass",
            reason="C4.columns_classified",
            subject=name,
            looked_at=contract.raw_table,
            figure=figure,
            threshold=figure,
            unit="columns",
        )
