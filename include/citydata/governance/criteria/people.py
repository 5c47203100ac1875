"""C3: owner and steward are people who work for the town, and can be reached by themselves.

A task of information management has somebody who answers for it (906/2019 4 §); an office that nobody holds does not.
"""

import functools

from citydata import town
from citydata.governance.criteria import stated_in
from citydata.governance.evidence import Case, Evidence
from citydata.governance.inventory import Dataset


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """One row for the owner and one for the steward."""
    return [
        _judge(dataset.owner, "C3.no_owner", dataset, case),
        _judge(dataset.steward, "C3.no_steward", dataset, case),
    ]


def _judge(name: str | None, nobody: str, dataset: Dataset, case: Case) -> Evidence:
    row = functools.partial(Evidence, criterion="C3", subject=name or "", source="906/2019 4 § 2 mom.")
    stated = functools.partial(
        row, looked_at=stated_in(dataset), observed_at=case.now, expires_at=case.now + case.method.measurement
    )
    if not name:
        return stated(result="fail", reason=nobody)
    person = case.inventory.people.get(name)
    if person is None:
        return stated(result="fail", reason="C3.unknown_person")
    listed = functools.partial(stated, looked_at="include/inventory/people")
    if person.mailbox == "group":
        return listed(result="fail", reason="C3.group_mailbox")
    of_the_town = town.load().employment_register
    if of_the_town is None:
        # An officer who has looked it up elsewhere may say so of a dataset in not_applicable.
        return stated(result="unknown", reason="C3.no_register", looked_at="town.yaml: employment_register")
    if person.employee is None:
        return listed(result="unknown", reason="C3.no_employee_number")
    register = of_the_town.dataset
    state = case.people.get(person.employee)
    if state is None:
        return stated(result="unknown", reason="C3.register_not_read", looked_at=register)
    result, reason = {
        True: ("pass", "C3.active"),
        False: ("fail", "C3.left"),
        None: ("unknown", "C3.not_in_the_register"),
    }[state.active]
    return row(
        result=result,
        reason=reason,
        looked_at=register,
        run=f"batch {state.batch_id}",
        observed_at=state.checked_at,
        expires_at=state.checked_at + case.method.people,
    )
