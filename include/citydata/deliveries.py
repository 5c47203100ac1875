"""What was delivered of a part of a dataset, newest first: files in the drop directory, then the archives of batches."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from citydata.contract import Contract
from citydata.extract import Candidate, ContentError, Position, archive, connector
from citydata.land import Parts
from citydata.ops import Batch, Connection, archived_under, in_states

Part = tuple[Any, ...]
_Found = tuple[datetime, int, int, Candidate | Batch]


@dataclass(frozen=True)
class Delivery:
    """A content that holds a part of a dataset: a file that no batch has taken (`candidate`), or a batch's archive."""

    name: str
    observed_at: datetime
    rows: Counter[Part]
    candidate: Candidate | None = None
    batch: Batch | None = None


def newest(connection: Connection, contract: Contract, parts: Sequence[Part]) -> dict[Part, Delivery]:
    """For each of the parts the newest delivery that has rows of it; a part that none has is missing.

    A file that was refused, or that waits for a decision, is none. Raises ContentError when a file or an archive cannot be read.
    """
    wanted, found = set(parts), dict[Part, Delivery]()
    for delivery in _deliveries(connection, contract, wanted):
        for part in wanted & set(delivery.rows):
            found[part] = delivery
            wanted.remove(part)
        if not wanted:
            break
    return found


def _deliveries(connection: Connection, contract: Contract, wanted: set[Part]) -> Iterator[Delivery]:
    """Deliveries, newest first. A content is only read when it may have a part that is still wanted."""
    untaken = [
        candidate
        for candidate in connector(contract).candidates(contract, Position())
        if candidate.offer and not _is_known(connection, contract, candidate)
    ]
    batches = [batch for batch in in_states(connection, contract.dataset, "published") if batch.archive_path]
    offered: list[_Found] = [(one.observed_at, 1, 0, one) for one in untaken if one.observed_at]
    sealed: list[_Found] = [(one.observed_at, 0, one.batch_id, one) for one in batches if one.observed_at]
    for observed_at, _, _, source in sorted([*offered, *sealed], key=lambda entry: entry[:3], reverse=True):
        if isinstance(source, Candidate):
            assert source.offer
            name = source.offer.name
            chunks = connector(contract).fetch(contract, source).chunks
            yield Delivery(name, observed_at, _counted(contract, name, chunks), candidate=source)
        elif wanted & {tuple(values) for values in source.scope.get("values", [])}:
            name = f"the archive of batch {source.batch_id}"
            chunks = archive.read(source.archive_path or "", source.archive_sha256 or "")
            as_then = contract.of_archive(archived_under(connection, source))
            yield Delivery(name, observed_at, _counted(as_then, name, chunks), batch=source)


def _is_known(connection: Connection, contract: Contract, candidate: Candidate) -> bool:
    """Whether a batch has taken the file's content: then its archive is read, unless a person refused or must judge it."""
    assert candidate.offer
    offer = candidate.offer
    seen = connection.execute(
        "SELECT FROM ops.arrival a JOIN ops.batch b USING (batch_id) WHERE a.dataset = %s AND file_name = %s AND bytes = %s"
        " AND a.observed_at = %s AND b.state <> 'failed'",
        (contract.dataset, offer.name, offer.bytes, offer.observed_at),
    ).fetchone()
    if seen is not None:
        return True
    return (
        connection.execute(
            "SELECT FROM ops.batch WHERE dataset = %s AND content_sha256 = %s AND state <> 'failed' LIMIT 1",
            (contract.dataset, offer.digest()),
        ).fetchone()
        is not None
    )


def _counted(contract: Contract, name: str, chunks: Iterator[bytes]) -> Counter[Part]:
    names = [column.source_name for column in contract.columns]
    try:
        return Parts(contract).counted(connector(contract).parse(contract, chunks, names))
    except ContentError as error:
        raise ContentError(
            f"{contract.dataset}: {name} cannot be read ({error}); correct or remove it, then ask for the backfill again"
        ) from error
