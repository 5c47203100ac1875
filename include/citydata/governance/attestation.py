"""What an officer signs under: a listed set of fields of a dataset, hashed, and an Ed25519 signature over the hash.

A change that harms nobody, such as a new internal column, leaves the hash as it is; another owner, a new personal column or a
weaker check changes it, and the signature no longer holds.
"""

import base64
import binascii
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from citydata import settings
from citydata.contract import Column, Contract, load_each
from citydata.governance import inventory as inventories
from citydata.governance.evidence import Attestation
from citydata.governance.inventory import Dataset, Inventory, Person

Connection = psycopg.Connection[Any]

STATEMENT = (
    "Vahvistan, että tämä tietoaineisto on kuvattu, vastuutettu, luokiteltu ja säännöillä valvottu niin kuin sisältö, jonka"
    " tiiviste tässä on, sanoo."
)
"""What the signer confirms. Signatures are valid for exactly this text."""
PROTECTED = ("confidential", "secret")
"""Classes of columns that a signature covers even without personal data."""


class AttestationError(ValueError):
    """A signature that may not be given; the text names dataset or signer, why not, and what to do next."""


# -- what is signed --------------------------------------------------------------------------------------------------


def content(dataset: Dataset, inventory: Inventory, contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """The fields of a dataset that a signature covers: meaning, people, class, personal data, retention, and its rules.

    Of a contract these are its key and required columns and the columns that need protection, and of its suite every check
    with what it demands. A contract or suite that is not there is None.
    """
    record = inventory.art30.get(dataset.art30 or "")
    retention = dataset.retention.model_dump() if dataset.retention else None
    return {
        "meaning": {
            name: getattr(dataset, name)
            for name in (
                *("name_fi", "name_sv", "description_fi", "description_sv"),
                *("task_class", "process", "tietovaranto", "controller"),
            )
        },
        "people": {"owner": dataset.owner, "steward": dataset.steward},
        "classification": {"publicity": dataset.publicity, "secrecy_ground": dataset.secrecy_ground},
        "personal_data": {
            "kind": dataset.personal_data,
            "art30": dataset.art30,
            "legal_basis": record.legal_basis if record else None,
            "dpia": dataset.dpia or (record.dpia if record else None),
        },
        "retention": retention,
        "contracts": {name: _of_contract(contracts.get(name)) for name in dataset.contracts},
        "rules": {name: _rules(name) for name in dataset.contracts},
    }


def content_hash(dataset: Dataset, inventory: Inventory, contracts: Mapping[str, Contract]) -> str:
    """SHA-256, in hexadecimal, of what a signature covers."""
    return _hash(content(dataset, inventory, contracts))


def _hash(covered: dict[str, Any]) -> str:
    return hashlib.sha256(_bytes(covered)).hexdigest()


def _of_contract(contract: Contract | None) -> dict[str, Any] | None:
    if contract is None:
        return None
    return {
        "key": contract.key,
        "required": sorted(column.name for column in contract.columns if column.required),
        "protected": {column.name: _protected(column) for column in contract.columns if _is_protected(column)},
    }


def _is_protected(column: Column) -> bool:
    return column.personal_data is not None or column.classification in PROTECTED


def _protected(column: Column) -> dict[str, Any]:
    return {
        "type": column.pg_type,
        "classification": column.classification,
        "personal_data": column.personal_data,
        "description": column.description,
    }


def _rules(dataset: str) -> dict[str, Any] | None:
    """The checks of a suite by id, read as JSON: what they are called for people does not matter, what they demand does."""
    path = settings.EXPECTATIONS.joinpath(*dataset.split(".", 1)).with_suffix(".json")
    try:
        suite = json.loads(path.read_text(encoding="utf-8"))
        return {
            entry["meta"]["id"]: {
                "dimension": entry["meta"]["dimension"],
                "severity": entry["meta"]["severity"],
                "type": entry["type"],
                "kwargs": entry["kwargs"],
            }
            for entry in suite["expectations"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None  # C8 says what is wrong with it; nobody has signed under a suite that cannot be read


def _bytes(value: Any) -> bytes:
    """One way to write a value: keys in order, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


# -- signatures ------------------------------------------------------------------------------------------------------


def new_key() -> tuple[str, str]:
    """A new pair of keys, private and public, each in base64: the public one is the person's `signing_key`."""
    private = Ed25519PrivateKey.generate()
    text = base64.b64encode(private.private_bytes_raw()).decode()
    return text, public_key(text)


def public_key(private_key: str) -> str:
    """The public key of a private one, both in base64. Raises AttestationError when the text holds no key."""
    return base64.b64encode(_private(private_key).public_key().public_bytes_raw()).decode()


def _private(text: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError):
        raise AttestationError(
            "CITYDATA_SIGNING_KEY is no Ed25519 private key (base64 of 32 bytes); `./citydata governance key` makes a pair"
        ) from None


def sign(private_key: str, *, dataset: str, content_sha256: str, signed_by: str, signed_at: datetime) -> str:
    """Sign the statement under a dataset's content; key and signature in base64."""
    signature = _private(private_key).sign(_signed(dataset, content_sha256, signed_by, signed_at))
    return base64.b64encode(signature).decode()


def genuine(person: Person | None, *, dataset: str, content_sha256: str, signed_at: datetime, signature: str) -> bool:
    """Whether a signature is that person's, by the registered key, under exactly this dataset, content and moment."""
    if person is None or person.signing_key is None:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(person.signing_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), _signed(dataset, content_sha256, person.id, signed_at))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _signed(dataset: str, content_sha256: str, signed_by: str, signed_at: datetime) -> bytes:
    return _bytes(
        {
            "statement": STATEMENT,
            "dataset": dataset,
            "content_sha256": content_sha256,
            "signed_by": signed_by,
            # The database keeps microseconds, so the moment that is read is the one that was signed.
            "signed_at": signed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        }
    )


# -- attestations ----------------------------------------------------------------------------------------------------


def attest(
    connection: Connection,
    datasets: Iterable[str],
    *,
    signed_by: str,
    private_key: str,
    signed_at: datetime | None = None,
    inventory: Inventory | None = None,
    contracts: Mapping[str, Contract] | None = None,
) -> list[str]:
    """Sign datasets as they are today, all or none, and return their ids. `connection` belongs to the role officer.

    `private_key` is base64 of 32 bytes; a moment other than now may be given, but not a later one. Raises AttestationError
    when the signer is no governance officer, answers for one of the datasets, or does not have the registered key, and for a
    dataset that is not in the inventory or whose contract or suite cannot be read.
    """
    inventory = inventories.load() if inventory is None else inventory
    contracts = load_each()[0] if contracts is None else contracts
    (now,) = connection.execute("SELECT clock_timestamp()").fetchone() or (datetime.now(UTC),)
    signed_at = signed_at or now
    if signed_at > now:
        raise AttestationError(f"{signed_by} cannot sign at {signed_at:%Y-%m-%d %H:%M}: that is in the future")
    _check_signer(inventory, signed_by, public_key(private_key))
    hashes = {name: _digest(_allowed(inventory, name, signed_by), inventory, contracts) for name in datasets}
    with connection.transaction():
        for name, digest in hashes.items():
            signature = sign(private_key, dataset=name, content_sha256=digest, signed_by=signed_by, signed_at=signed_at)
            connection.execute(
                "INSERT INTO governance.attestation (dataset, content_sha256, signed_by, signed_at, signature)"
                " VALUES (%s, %s, %s, %s, %s)",
                (name, digest, signed_by, signed_at, signature),
            )
    return list(hashes)


def _check_signer(inventory: Inventory, signed_by: str, public: str) -> None:
    if signed_by not in inventory.officers:
        raise AttestationError(
            f"{signed_by} is no governance officer and may not attest; officers: {', '.join(sorted(inventory.officers)) or '–'}"
        )
    registered = inventory.people[signed_by].signing_key
    if registered is None:
        raise AttestationError(
            f"{signed_by} has no registered key; put the public key of `./citydata governance key` into the inventory as"
            " `signing_key`"
        )
    if registered != public:
        raise AttestationError(
            f"the private key is not the one registered for {signed_by}; use that one, or register the new public key"
        )


def _allowed(inventory: Inventory, name: str, signed_by: str) -> Dataset:
    dataset = inventory.datasets.get(name)
    if dataset is None:
        raise AttestationError(f"{name}: no such dataset in the inventory; `./citydata governance list` names them")
    if not inventory.approved(signed_by, dataset):
        raise AttestationError(
            f"{name}: {signed_by} is its owner or steward and may not attest it; ask another governance officer"
        )
    return dataset


def _digest(dataset: Dataset, inventory: Inventory, contracts: Mapping[str, Contract]) -> str:
    """The hash of what is signed, if all of it is there."""
    covered = content(dataset, inventory, contracts)
    for part, what in (("contracts", "contract"), ("rules", "suite")):
        if missing := [name for name, found in covered[part].items() if found is None]:
            raise AttestationError(
                f"{dataset.id}: the {what} of {', '.join(missing)} cannot be read, so nobody can sign under it;"
                " `./citydata check` says why"
            )
    return _hash(covered)


def newest(connection: Connection, inventory: Inventory) -> dict[str, Attestation]:
    """The attestation of each dataset that was stored last, with whether its signature is genuine.

    The order is that in which they came, not what they say: one dated in the future must not outlive those after it.
    """
    found = {}
    for number, dataset, digest, signed_by, signed_at, signature in connection.execute(
        "SELECT DISTINCT ON (dataset) attestation_id, dataset, content_sha256, signed_by, signed_at, signature"
        " FROM governance.attestation ORDER BY dataset, attestation_id DESC"
    ):
        check = functools.partial(genuine, inventory.people.get(signed_by), dataset=dataset, content_sha256=digest)
        real = check(signed_at=signed_at, signature=signature)
        found[dataset] = Attestation(number, dataset, digest, signed_by, signed_at, real)
    return found
