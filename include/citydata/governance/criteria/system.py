"""C2: the dataset's system is in the portfolio and in use, and it has an interface whose transfer method is said.

906/2019 5 § 2 mom. 3 and 4 k.
"""

import functools
from decimal import Decimal

from citydata.governance.criteria import start_of
from citydata.governance.evidence import Case, Evidence
from citydata.governance.inventory import Dataset


def judge(dataset: Dataset, case: Case) -> list[Evidence]:
    """One row for the system and one for the interfaces."""
    row = functools.partial(
        Evidence, criterion="C2", observed_at=case.now, expires_at=case.now + case.method.measurement
    )
    reason = _system(dataset, case)
    system = row(
        result="pass" if reason == "C2.in_use" else "fail",
        reason=reason,
        subject=dataset.system,
        looked_at="include/inventory/systems",
        source="906/2019 5 § 2 mom.",
    )
    known = [case.inventory.interfaces[name] for name in dataset.interfaces if name in case.inventory.interfaces]
    usable = [interface for interface in known if interface.method]
    if usable:
        reason, subject = "C2.interface", usable[0].id
    elif known:
        reason, subject = "C2.no_method", known[0].id
    else:
        reason, subject = (
            ("C2.unknown_interface", dataset.interfaces[0]) if dataset.interfaces else ("C2.no_interface", "")
        )
    interfaces = row(
        result="pass" if usable else "fail",
        reason=reason,
        subject=subject,
        figure=Decimal(len(usable)),
        threshold=Decimal(1),
        unit="interfaces",
        looked_at="include/inventory/interfaces",
        source="906/2019 5 § 2 mom. 4 k",
    )
    return [system, interfaces]


def _system(dataset: Dataset, case: Case) -> str:
    system = case.inventory.systems.get(dataset.system)
    if system is None:
        return "C2.unknown_system"
    if system.valid_to is not None and start_of(system.valid_to) <= case.now:
        return "C2.out_of_use"
    if system.valid_from is not None and start_of(system.valid_from) > case.now:
        return "C2.not_yet_in_use"
    return "C2.in_use"
