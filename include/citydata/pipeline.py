"""The steps of a dataset one after the other: what a scheduler's tasks call, and what `./citydata run` does without one."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from citydata import contract as contracts
from citydata import database, land, ops, town
from citydata.contract import Contract
from citydata.extract import (
    NO_DIFFERENCE,
    Candidate,
    ColumnsDiffer,
    ContentError,
    Fetch,
    Offer,
    SourceError,
    archive,
    connector,
)
from citydata.extract.archive_storage import ArchiveUnreachable
from citydata.ops import Batch, Connection

log = logging.getLogger(__name__)

Window = tuple[datetime, datetime]


def extract_and_land(dataset: str, *, window: Window | None = None, run_id: str | None = None) -> list[int]:
    """Read what a source has for a dataset; returns the batches that wait for the audit, older ones included.

    `window` (from, to; UTC) restricts a watermark dataset to rows changed in it. Raises SourceError when the source cannot
    be read; reading it again later loses nothing. A content that is not the contract's is kept as a held batch.
    """
    contract = contracts.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        ops.lock(connection, ops.EXTRACTION, dataset)
        _recover(connection, contract)
        _check_controller(contract)
        position = ops.position(connection, dataset, window)
        with _naming(contract):
            for candidate in connector(contract).candidates(contract, position):
                if candidate.offer:
                    _take_offer(connection, contract, candidate, candidate.offer, run_id)
                else:
                    _take(connection, contract, candidate, run_id)
        return [batch.batch_id for batch in ops.in_states(connection, dataset, "landed", "audited")]


def _recover(connection: Connection, contract: Contract) -> None:
    """Go on where a killed process stopped. Whoever holds the dataset's lock knows that nobody else is at work."""
    for batch in ops.in_states(connection, contract.dataset, "extracting"):
        ops.fail(
            connection, batch.batch_id, "the process ended before the archive was sealed; the source is read again"
        )
        land.drop(connection, batch.batch_id)
    archive.clear_unfinished(contract)
    for batch in ops.in_states(connection, contract.dataset, "sealed", "landed"):
        try:
            if batch.state == "sealed":
                land.reland(connection, batch)
            else:
                land.ensure(connection, batch)
        except ContentError as error:
            log.warning("%s is held: %s", batch.title, error)


class ControllerOver(RuntimeError):
    """Personal data that the town has no right to read any more; the text names the ground."""


def _check_controller(contract: Contract) -> None:
    over = contract.controller_over(datetime.now(ZoneInfo(town.load().time_zone)).date())
    if over:
        raise ControllerOver(
            f"{contract.dataset} is not read: {over}. What was read before stays under its retention; pause the dataset, or"
            f" write the agreement into {contract.path.name} (controller)."
        )


@contextlib.contextmanager
def _naming(contract: Contract) -> Iterator[None]:
    """Errors of a source that were met before there was a batch name the dataset and what to do."""
    try:
        yield
    except SourceError as error:
        if str(error).startswith(contract.dataset):
            raise
        raise SourceError(
            f"{contract.dataset}: {error}. Nothing is lost: run `./citydata run {contract.dataset}` again when the source answers."
        ) from error


def _take_offer(
    connection: Connection, contract: Contract, candidate: Candidate, offer: Offer, run_id: str | None
) -> None:
    """Take an offer once, by content: known content costs a digest, and an offer that was seen in this state not even that."""
    seen = connection.execute(
        "SELECT 1 FROM ops.arrival a LEFT JOIN ops.batch b USING (batch_id) WHERE a.dataset = %s AND file_name = %s AND bytes = %s"
        " AND a.observed_at = %s AND (b.batch_id IS NULL OR b.state <> 'failed')",
        (contract.dataset, offer.name, offer.bytes, offer.observed_at),
    ).fetchone()
    if seen:
        return
    content = offer.digest()
    known = connection.execute(
        "SELECT batch_id FROM ops.batch WHERE dataset = %s AND content_sha256 = %s AND state <> 'failed'"
        " ORDER BY batch_id DESC LIMIT 1",
        (contract.dataset, content),
    ).fetchone()
    if known and not _returned(connection, contract, known[0], offer):
        _note_arrival(connection, contract, offer, content, "repeated", known[0])
        log.info("%s: %s has the content of batch %s and is not taken again", contract.dataset, offer.name, known[0])
        return
    batch_id = _take(connection, contract, replace(candidate, content_sha256=content), run_id)
    _note_arrival(connection, contract, offer, content, "taken", batch_id)


def _returned(connection: Connection, contract: Contract, batch_id: int, offer: Offer) -> bool:
    """Whether a known content came back: the source took back what it had sent in between, so it is news again."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM ops.batch older JOIN ops.batch newer ON newer.dataset = older.dataset AND newer.scope = older.scope"
        " AND newer.batch_id > older.batch_id AND newer.state NOT IN ('failed', 'rejected')"
        " WHERE older.batch_id = %s AND newer.observed_at < %s)",
        (batch_id, offer.observed_at),
    ).fetchone()
    return bool(row and row[0])


def _note_arrival(
    connection: Connection, contract: Contract, offer: Offer, content: str, outcome: str, batch_id: int
) -> None:
    connection.execute(
        "INSERT INTO ops.arrival (dataset, file_name, bytes, content_sha256, observed_at, outcome, batch_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (dataset, file_name, content_sha256, observed_at)"
        " DO UPDATE SET outcome = excluded.outcome, batch_id = excluded.batch_id, seen_at = clock_timestamp()",
        (contract.dataset, offer.name, offer.bytes, content, offer.observed_at, outcome, batch_id),
    )


def _take(connection: Connection, contract: Contract, candidate: Candidate, run_id: str | None) -> int:
    """Fetch one batch into its archive and its landing table at once; returns its id."""
    batch_id = ops.open_batch(connection, contract, candidate, run_id)
    columns = land.columns_of(contract, candidate.kind)
    protocol = connector(contract)
    writer: archive.Writer | None = None
    fetch: Fetch | None = None
    wrong: ContentError | None = None
    try:
        landing = land.Landing(contract, batch_id, columns, candidate.part)
        writer = archive.Writer(contract, batch_id)
        fetch = protocol.fetch(contract, candidate)
        chunks = writer.tee(fetch.chunks)
        try:
            landing.load(protocol.parse(contract, chunks, [column.source_name for column in columns]))
            _check_manifest(fetch, candidate, landing)
        except ContentError as error:
            wrong = error
        finally:
            chunks.close()  # archives the rest of what the source sends
        sealed = writer.seal()
    except BaseException as error:
        if writer:
            writer.abandon()
        land.drop(connection, batch_id)
        ops.fail(connection, batch_id, database.cleaned(error), fetch.source.get("columns") if fetch else None)
        if isinstance(error, SourceError) and not isinstance(error, ArchiveUnreachable):
            raise SourceError(
                f"{contract.dataset} batch {batch_id}: {error}. Nothing is lost: run `./citydata run {contract.dataset}` again"
                " when the source answers."
            ) from error
        raise
    observed = candidate.observed_at or datetime.fromisoformat(fetch.source["server_time"])
    with connection.transaction():  # killed in between, the batch would be landed again and not held
        source = fetch.source | ({"part": candidate.part} if candidate.part else {})
        if isinstance(wrong, ColumnsDiffer):
            source["columns"] = wrong.columns
        elif (
            candidate.kind == "load" and landing.extracted and not wrong
        ):  # what was read without a complaint had the contract's columns
            source.setdefault("columns", NO_DIFFERENCE)
        ops.sealed(connection, batch_id, sealed, observed, source, fetch.watermark)
        if wrong:
            ops.hold(connection, batch_id, str(wrong))
    if wrong:
        log.warning("%s batch %s is held: %s", contract.dataset, batch_id, wrong)
    else:
        land.settle(connection, contract, batch_id, landing)
    return batch_id


def _check_manifest(fetch: Fetch, candidate: Candidate, landing: land.Landing) -> None:
    """Compare what was read with what the source says it sent: servers and file transfers cut silently."""
    manifest = fetch.source.get("manifest", {})
    if "sha256" in manifest and str(manifest["sha256"]).lower() != candidate.content_sha256:
        raise ContentError("the manifest's sha256 is not that of the file")
    if "rows" in manifest and int(manifest["rows"]) != landing.extracted:
        raise ContentError(f"the manifest says {manifest['rows']} rows, the file has {landing.extracted}")


def audit_and_publish(datasets: Iterable[str], batch_ids: list[int]) -> dict[str, list[Any]]:
    """Audit batches together, then publish what the datasets have; returns what was published by dataset.

    A batch whose landing table was lost in between is audited again, and so is each that waited behind it.
    """
    from citydata import audit, publish  # noqa: PLC0415 - auditing imports Great Expectations, which costs seconds

    if batch_ids:
        audit.audit(batch_ids)
    published: dict[str, list[Any]] = {}
    for dataset in datasets:
        published[dataset] = publish.publish(dataset)
        while again := waiting(dataset):
            audit.audit(again)
            published[dataset] += publish.publish(dataset)
    return published


def waiting(dataset: str) -> list[int]:
    """Batches of a dataset that are landed and not audited."""
    with database.connect("loader", autocommit=True) as connection:
        return [batch.batch_id for batch in ops.in_states(connection, dataset, "landed")]


def decide(batch_id: int, *, release: bool, person: str, reason: str) -> Batch:
    """Release or reject a held batch, for which a person gives a reason; returns the batch that it became.

    A released batch is landed again from its archive under today's contract, audited (results are recorded, they no longer
    hold it) and published.
    """
    with database.connect("loader", autocommit=True) as connection, connection.transaction():
        ops.decide(connection, batch_id, "sealed" if release else "rejected", person, reason)
        land.drop(connection, batch_id)
        if release:
            batch_id = _in_sequence(connection, ops.get(connection, batch_id))
        decided = ops.get(connection, batch_id)
    return replay(batch_id) if release else decided


def replay(batch_id: int) -> Batch:
    """Take a batch through landing, audit and publishing again from its archive; returns the batch that it became.

    Of snapshots only the newest of its scope can be replayed, because versions are opened in sequence; older ones are
    replayed by rebuilding the dataset. Replaying a published batch under the same contract changes nothing.
    """
    with database.connect("loader", autocommit=True) as connection:
        batch = ops.get(connection, batch_id)
        ops.lock(connection, ops.EXTRACTION, batch.dataset)
        if batch.state in ("extracting", "failed", "rejected", "superseded"):
            raise ops.BatchError(
                f"{batch.title} is {batch.state} and cannot be replayed; run `./citydata run {batch.dataset}`"
            )
        if batch.state == "published":
            contract = contracts.load(batch.dataset)
            same_scope = [
                one for one in ops.in_states(connection, batch.dataset, "published") if one.scope == batch.scope
            ]
            # The rows of an increment say themselves what is newer; those of a snapshot do not.
            if contract.mode == "snapshot" and same_scope[-1].batch_id != batch_id:
                raise ops.BatchError(
                    f"{batch.title} was followed by batch {same_scope[-1].batch_id}; replay that one, or rebuild the dataset"
                )
            batch_id = _repeat(connection, contract, batch_id)
        else:
            with connection.transaction():
                batch_id = _in_sequence(connection, batch)
        _again(connection, batch_id)
        return ops.get(connection, batch_id)


def _in_sequence(connection: Connection, batch: Batch) -> int:
    """The batch, or a new one in its place when a later one of the dataset was published while it was held.

    Horizons are batch ids: what an older id opens now would appear in builds that have fixed their horizon already, and
    be missing from the increments of the next ones.
    """
    ops.lock(connection, ops.PUBLICATION, batch.dataset, transaction=True)
    published = ops.in_states(connection, batch.dataset, "published")
    if not published or published[-1].batch_id < batch.batch_id:
        return batch.batch_id
    again = _repeat(connection, contracts.load(batch.dataset), batch.batch_id)
    land.drop(connection, batch.batch_id)
    connection.execute(
        "UPDATE ops.batch SET state = 'superseded', held = landed WHERE batch_id = %s", (batch.batch_id,)
    )
    return again


def _again(connection: Connection, batch_id: int) -> None:
    """Land a sealed batch from its archive, audit and publish it."""
    batch = ops.get(connection, batch_id)
    land.reland(connection, batch)
    audit_and_publish([batch.dataset], [batch_id])


def _repeat(connection: Connection, contract: Contract, batch_id: int) -> int:
    """A new batch that shares the archive of an older one, and what a person decided about it."""
    row = connection.execute(
        "INSERT INTO ops.batch (dataset, kind, mode, scope, state, contract_version, contract_hash, observed_at, archive_path,"
        " archive_sha256, content_sha256, source, watermark_from, watermark_to, decided_by, decided_reason, decided_at, sealed_at, run_id)"
        " SELECT dataset, kind, mode, scope, 'sealed', %s, %s, observed_at, archive_path, archive_sha256, content_sha256,"
        " source || jsonb_build_object('replay_of', batch_id), watermark_from, watermark_to, decided_by,"
        " decided_reason, decided_at, clock_timestamp(), 'replay'"
        " FROM ops.batch WHERE batch_id = %s RETURNING batch_id",
        (contract.version, contract.hash, batch_id),
    ).fetchone()
    assert row
    return int(row[0])


def rebuild(dataset: str) -> int:
    """Make the versioned table anew from the archives of all published batches, in their order; returns their number.

    The table ends identical: version by version, with the same batches that opened and closed them. Raises ContentError,
    with nothing changed, when an archive is missing, damaged or cannot be opened.
    """
    contract = contracts.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        ops.lock(connection, ops.EXTRACTION, dataset)
        batches = ops.in_states(connection, dataset, "published")
        for batch in batches:
            archive.verify(batch.archive_path or "", batch.archive_sha256 or "")
        with database.connect_admin() as owner:
            ops.lock(owner, ops.PUBLICATION, dataset, transaction=True)
            owner.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("raw", contract.raw_name)))
            owner.execute("DELETE FROM ops.coverage WHERE dataset = %s", (dataset,))
            owner.execute("DELETE FROM ops.watermark WHERE dataset = %s", (dataset,))
            owner.execute(
                "UPDATE ops.batch SET state = 'sealed' WHERE dataset = %s AND state = 'published'", (dataset,)
            )
        for batch in batches:
            _again(connection, batch.batch_id)
    return len(batches)


def run(datasets: Iterable[str], *, window: Window | None = None, build: bool = True) -> dict[str, list[Any]]:
    """All steps without a scheduler: extract, land, audit, publish, and build and release when anything changed.

    A source that cannot be read does not stop the others; its error is raised at the end.
    """
    from citydata import geopackage, release, transform  # noqa: PLC0415

    chosen, batch_ids, errors = list(datasets), [], []
    for dataset in chosen:
        try:
            batch_ids += extract_and_land(dataset, window=window)
        except (SourceError, ContentError, ControllerOver) as error:
            errors.append(error)
    published = audit_and_publish(chosen, batch_ids)
    if build and any(batch.altered for batches in published.values() for batch in batches):
        release.release(transform.build().build_id)
        geopackage.refresh()
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(chosen)} datasets could not be read", errors)
    return published
