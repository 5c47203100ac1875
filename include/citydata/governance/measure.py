"""Measure the share: register what is known, look for what is not, gather the evidence, judge, count and seal.

Everything before the seal can be done again; the seal is one transaction. Run by the DAG after each release and daily.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from citydata import contract as contracts
from citydata import database, settings, town
from citydata.governance import attestation, criteria, facts, inventory, reconcile, register, share, snapshot
from citydata.governance.evidence import CRITERIA, GOVERNED, NEEDED, Case, Evidence, level, passed
from citydata.governance.inventory import Dataset, Inventory, System
from citydata.governance.method import CURRENT, Method
from citydata.governance.register import Register
from citydata.governance.share import Judged
from citydata.governance.snapshot import CountedSystem, Figure

Connection = psycopg.Connection[Any]

log = logging.getLogger(__name__)


def measure(occasion: str, *, official: bool = False, run_id: str | None = None, now: datetime | None = None) -> Figure:
    """Measure now and seal a snapshot; returns its figure. The static pages are written anew.

    `occasion` is why now, in a word or two. Raises InventoryError when the inventory's files cannot be used: then nothing is
    sealed and the last figure stands.
    """
    from citydata.portal import static_site  # noqa: PLC0415 - the pages read what this package seals

    here = ZoneInfo(town.load().time_zone)
    with database.connect("measurer", autocommit=True) as connection:
        moment = now or database.now(connection)
        today = moment.astimezone(here).date()
        files = inventory.read(settings.INVENTORY, contracts.load_each()[0])
        for change in register.bring(connection, files, today):
            log.info("register: %s", change)
        reconcile.reconcile(connection, files, moment, today)
        known = register.compared(register.read(connection, today), files)
        judged, evidence = judge(connection, known, CURRENT, moment, today)
        before = snapshot.latest(connection)
        figure = snapshot.seal(
            connection,
            taken_at=moment,
            as_of=today,
            method_version=CURRENT.version,
            official=official,
            reason=" · ".join([occasion, *_differences(connection, before, judged)]),
            run_id=run_id,
            judged=judged,
            evidence=evidence,
            systems=systems(known, judged, today),
        )
        static_site.write(connection, settings.home() / "export" / "governance")
    log.info("the share is %s, at most %s (snapshot %s)", figure.text, figure.upper_text, figure.snapshot_id)
    return figure


def judge(
    connection: Connection, known: Register, method: Method, now: datetime, today: date
) -> tuple[list[Judged], dict[str, list[Evidence]]]:
    """Judge every registered dataset in scope; returns them with the evidence of each."""
    model = known.inventory
    loaded, people = facts.gather(connection, model, method, now)
    case = Case(
        inventory=model,
        method=method,
        now=now,
        people=people,
        loaded=loaded,
        attestations=attestation.newest(connection, model),
        content={
            entry.id: attestation.content_hash(entry, model, contracts.load_each()[0])
            for entry in model.datasets.values()
        },
    )
    counted = in_scope(model, today)
    evidence = {entry.id: criteria.judge(entry, case) for entry in counted}
    return [_judged(entry, evidence[entry.id], case, known, today) for entry in counted], evidence


def in_scope(model: Inventory, today: date) -> list[Dataset]:
    """Datasets that count: all but those that are excluded themselves or with their system."""
    left_out = share.excluded(model, today)
    return [entry for _, entry in sorted(model.datasets.items()) if not {entry.id, entry.system} & left_out.keys()]


def _judged(entry: Dataset, rows: Sequence[Evidence], case: Case, known: Register, today: date) -> Judged:
    holds = passed(rows, case.now)
    states = case.states(entry)
    return Judged(
        dataset=entry.id,
        unit=share.unit_of(case.inventory, entry.id, case.method, today),
        name_fi=entry.name_fi,
        name_sv=entry.name_sv or entry.name_fi,
        system=entry.system,
        sector=entry.sector,
        criticality=entry.criticality,
        personal_data=entry.personal_data or "unknown",
        level=level(holds),
        missing=tuple(name for name in CRITERIA if name not in holds),
        manual=not entry.contracts,
        uncounted="vanished" if entry.id in known.vanished else "unlogged" if entry.id in known.unlogged else None,
        owner=entry.owner,
        steward=entry.steward,
        contracts=tuple(entry.contracts),
        rows=sum(state.rows or 0 for state in states) if states else None,
        bytes=sum(state.bytes or 0 for state in states) if states else None,
    )


def systems(known: Register, judged: Sequence[Judged], today: date) -> list[CountedSystem]:
    """Every system in scope and every find. Mapped is one of which somebody else than its owner said so, and that has datasets."""
    left_out = share.excluded(known.inventory, today)
    with_datasets = {entry.system for entry in judged}
    counted = [
        CountedSystem(
            system=system.id,
            name_fi=system.name_fi,
            name_sv=system.name_sv or system.name_fi,
            sector=system.sector,
            origin="inventory",
            mapped=system.id in with_datasets and system.id not in known.vanished and _mapped(system, today),
        )
        for system in known.inventory.systems.values()
        if system.id not in left_out
    ]
    found = [
        CountedSystem(
            system=find.found,
            name_fi=find.found,
            name_sv=find.found,
            sector=None,
            origin="reconciliation",
            mapped=False,
            found_in=find.found.partition(":")[0],
            first_seen=find.first_seen,
        )
        for find in known.found
    ]
    return sorted(counted + found, key=lambda system: system.system)


def _mapped(system: System, today: date) -> bool:
    return system.mapped is not None and system.mapped.on <= today and system.mapped.by != system.owner


def _differences(connection: Connection, before: Figure | None, judged: Sequence[Judged]) -> list[str]:
    """What made the figure another one: datasets that became or ceased to be governed, and by which criteria."""
    if before is None:
        return []
    old = _levels(snapshot.datasets(connection, before.snapshot_id))
    new = _levels(judged)
    why = {
        entry.dataset: entry.uncounted or ", ".join(name for name in entry.missing if name in NEEDED)
        for entry in judged
    }
    return [
        *(f"+{name}" for name in sorted(new) if new[name] and not old.get(name)),
        *(f"−{name} ({why.get(name, 'not in scope')})" for name in sorted(old) if old[name] and not new.get(name)),
        *([f"m {len(new) - len(old):+d}"] if len(new) != len(old) else []),
    ]


def _levels(judged: Sequence[Judged]) -> Mapping[str, bool]:
    return {entry.dataset: entry.counted_level >= GOVERNED for entry in judged}
