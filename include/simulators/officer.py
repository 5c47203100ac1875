"""The governance officer of the synthetic town, who signs what there is to sign and, as people do, not all of it in time.

The private key is synthetic like the rest of this town: it is made from a text that everybody can read and proves nothing
about a real one. Its public half stands in the inventory at the officer; where it does not, nothing is signed here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from citydata.contract import load_each
from citydata.governance import attestation
from citydata.governance import inventory as inventories
from citydata.governance.inventory import Inventory

SEED = "the governance officer of the synthetic town"
PRIVATE_KEY = base64.b64encode(hashlib.sha256(SEED.encode()).digest()).decode()
PUBLIC_KEY = attestation.public_key(PRIVATE_KEY)
"""`signing_key` of the officer in the synthetic town's inventory."""
LATE, CHANGED = 5, 7
"""Of the datasets that the platform does not load every fifth was signed too long ago, every seventh as it was before."""
LONG_AGO = timedelta(days=400)


def sign(connection: psycopg.Connection[Any], now: datetime) -> int:
    """Sign each dataset that has contracts or manual evidence and was never signed; returns how many those were.

    `connection` belongs to the role officer. A dataset that the officer answers for is left to another officer.
    """
    inventory = inventories.load()
    officer = next((name for name in sorted(inventory.officers) if _has_key(inventory, name)), None)
    if officer is None:
        return 0
    signed = {name for (name,) in connection.execute("SELECT DISTINCT dataset FROM governance.attestation")}
    open_ones = {
        name
        for name, dataset in inventory.datasets.items()
        if name not in signed and inventory.approved(officer, dataset)
    }
    loaded = {name for name in open_ones if inventory.datasets[name].contracts}
    batches = [(loaded, now, inventory)]
    before = _before(inventory)
    numbered = enumerate(sorted({row.dataset for row in inventory.manual_evidence}), start=1)
    for number, name in numbered:
        if name in open_ones - loaded:
            at = now if number % LATE else now - LONG_AGO
            batches.append(({name}, at, inventory if number % CHANGED else before))
    with connection.transaction():
        return sum(_sign(connection, names, officer, at, content) for names, at, content in batches)


def _has_key(inventory: Inventory, person: str) -> bool:
    return inventory.people[person].signing_key == PUBLIC_KEY


def _sign(
    connection: psycopg.Connection[Any], names: Iterable[str], officer: str, at: datetime, inventory: Inventory
) -> int:
    return len(
        attestation.attest(
            connection,
            sorted(names),
            signed_by=officer,
            private_key=PRIVATE_KEY,
            signed_at=at,
            inventory=inventory,
            contracts=load_each()[0],
        )
    )


def _before(inventory: Inventory) -> Inventory:
    """The inventory as it was when it had no stewards, no retention and no Swedish descriptions yet."""
    datasets = {
        name: dataset.model_copy(update={"steward": None, "retention": None, "description_sv": dataset.name_sv})
        for name, dataset in inventory.datasets.items()
    }
    return replace(inventory, datasets=datasets)
