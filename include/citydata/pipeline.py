"""The steps of a dataset one after the other: what a scheduler's tasks call, and what `./citydata run` does without one."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from psycopg import sql
from psycopg.types.json import Jsonb

from citydata import contract as contracts
from citydata import database, deliveries, land, ops, town
from citydata.contract import Contract
from citydata.extract import (
    NO_DIFFERENCE,
    Asked,
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

if TYPE_CHECKING:
    from citydata.release import Release
    from citydata.transform import Build

log = logging.getLogger(__name__)


def extract_and_land(dataset: str, *, asked: Asked | None = None, run_id: str | None = None) -> list[int]:
    """Read what a source has for a dataset; returns the batches that wait for the audit, older ones included.

    With `asked` only what a backfill asks for is read, once. Raises SourceError when the source cannot be read; reading it
    again later loses nothing. A content that is not the contract's is kept as a held batch.
    """
    contract = contracts.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        ops.lock(connection, ops.EXTRACTION, dataset)
        _recover(connection, contract)
        _check_controller(contract)
        with _naming(contract):
            if asked is None:
                position = ops.position(connection, dataset)
                for candidate in connector(contract).candidates(contract, position):
                    if candidate.offer:
                        _take_offer(connection, contract, candidate, candidate.offer, run_id)
                    else:
                        _take(connection, contract, candidate, run_id)
            elif _is_wanted(connection, contract, asked) and not _is_taken(connection, contract, asked):
                _take_asked(connection, contract, asked, run_id)
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


def _is_wanted(connection: Connection, contract: Contract, asked: Asked) -> bool:
    """Whether the backfill that asks is still running. Raises BatchError when it was cancelled or stopped meanwhile."""
    number = asked.mark["backfill"]
    row = connection.execute("SELECT state FROM ops.backfill WHERE backfill_id = %s", (number,)).fetchone()
    if row is None or row[0] != "running":
        raise ops.BatchError(
            f"{contract.dataset} is not read: backfill {number} is {row[0] if row else 'unknown'}; `./citydata backfill show {number}`"
        )
    return True


def _is_taken(connection: Connection, contract: Contract, asked: Asked) -> bool:
    """Whether what a backfill asks for was read before it was interrupted. Of several batches the load comes last."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM ops.batch WHERE dataset = %s AND source @> %s AND kind = 'load'"
        " AND state NOT IN ('failed', 'rejected', 'superseded'))",
        (contract.dataset, Jsonb(asked.mark)),
    ).fetchone()
    return bool(row and row[0])


def _take_asked(connection: Connection, contract: Contract, asked: Asked, run_id: str | None) -> None:
    if asked.part is None:
        position = ops.position(connection, contract.dataset, asked.window)
        for candidate in connector(contract).candidates(contract, position):
            _take(connection, contract, replace(candidate, source=candidate.source | asked.mark), run_id)
        return
    part = tuple(asked.part)
    delivery = deliveries.newest(connection, contract, [part]).get(part)
    if delivery is None:
        log.info("%s: no delivery has %s, so nothing is read and nothing closed", contract.dataset, asked.part)
    elif delivery.candidate:
        # Not the file's digest: the next extraction takes the file whole, with the parts that are left aside here.
        source = delivery.candidate.source | asked.mark
        candidate = replace(delivery.candidate, source=source, offer=None, part=asked.part, selected=True)
        _take(connection, contract, candidate, run_id)
    elif delivery.batch:
        source = {"part": asked.part, "selected": True, "part_of": delivery.batch.batch_id} | asked.mark
        batch_id = _repeat(connection, contract, delivery.batch.batch_id, source, run_id=run_id)
        try:
            land.reland(connection, ops.get(connection, batch_id))
        except ContentError as error:
            log.warning("%s batch %s is held: %s", contract.dataset, batch_id, error)


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
        landing = land.Landing(contract, batch_id, columns, candidate.part, selected=candidate.selected)
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
        if candidate.selected:
            source |= {"selected": True, "rows_of_other_parts": landing.aside}
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
    received = landing.extracted + landing.aside
    if "rows" in manifest and int(manifest["rows"]) != received:
        raise ContentError(f"the manifest says {manifest['rows']} rows, the file has {received}")


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
            batch_id = _replayed(connection, contract, batch_id)
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
    again = _replayed(connection, contracts.load(batch.dataset), batch.batch_id)
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


def _replayed(connection: Connection, contract: Contract, batch_id: int) -> int:
    """A new batch in an older one's place, with what a person decided about it."""
    again = _repeat(connection, contract, batch_id, {"replay_of": batch_id}, run_id="replay")
    connection.execute(
        "UPDATE ops.batch new SET decided_by = old.decided_by, decided_reason = old.decided_reason, decided_at = old.decided_at"
        " FROM ops.batch old WHERE new.batch_id = %s AND old.batch_id = %s",
        (again, batch_id),
    )
    return again


def _repeat(
    connection: Connection, contract: Contract, batch_id: int, source: dict[str, Any], *, run_id: str | None
) -> int:
    """A new batch that shares the archive of an older one; `source` is added to what the older one says of it."""
    row = connection.execute(
        "INSERT INTO ops.batch (dataset, kind, mode, scope, state, contract_version, contract_hash, observed_at, archive_path,"
        " archive_sha256, content_sha256, source, watermark_from, watermark_to, sealed_at, run_id)"
        " SELECT dataset, kind, mode, scope, 'sealed', %s, %s, observed_at, archive_path, archive_sha256, content_sha256,"
        " source || %s, watermark_from, watermark_to, clock_timestamp(), %s FROM ops.batch WHERE batch_id = %s RETURNING batch_id",
        (contract.version, contract.hash, Jsonb(source), run_id, batch_id),
    ).fetchone()
    assert row
    return int(row[0])


def leave_out(connection: Connection, dataset: str) -> bool:
    """Reject the batches of backfills that are taken back, as their decision says; returns whether one had been published."""
    with connection.transaction():
        # Neither does a run read now, nor publish what it has listed already.
        ops.lock(connection, ops.EXTRACTION, dataset, transaction=True)
        ops.lock(connection, ops.PUBLICATION, dataset, transaction=True)
        left_out = connection.execute(
            "UPDATE ops.batch b SET state = 'rejected', decided_by = f.decided_by, decided_reason = f.decided_reason,"
            " decided_at = clock_timestamp(), landed = extracted - quarantined, held = extracted - quarantined, inserted = 0,"
            " changed = 0, unchanged = 0, repeated = 0, superseded = 0, stale = 0, closed = 0 FROM ops.backfill f"
            " WHERE f.dataset = %s AND f.state IN ('undoing', 'cancelled', 'rejected') AND b.source ? 'backfill'"
            " AND b.source ->> 'backfill' = f.backfill_id::text"
            " AND b.state IN ('sealed', 'landed', 'audited', 'held', 'published') RETURNING b.batch_id, b.published_at IS NOT NULL",
            (dataset,),
        ).fetchall()
        for batch_id, _ in left_out:
            land.drop(connection, batch_id)
    return any(published for _, published in left_out)


def rebuild(dataset: str) -> int:
    """Make the versioned table anew from the archives of all published batches, in their order; returns their number.

    The table ends identical: version by version, with the same batches that opened and closed them. Batches that wait to be
    published, or that a killed rebuild left waiting, are among them; those of a backfill that is taken back are not.

    Raises ContentError, with nothing changed, when an archive is missing, damaged or cannot be opened, and BatchError when
    what was published is now held: builds keep what people read of the dataset until that is decided.
    """
    from citydata import transform  # noqa: PLC0415 - it imports what the steps before do not need

    contract = contracts.load(dataset)
    with database.connect("loader", autocommit=True) as connection:
        ops.lock(connection, ops.EXTRACTION, dataset)
        transform.lock(connection)  # no build sees the table while it is made anew
        leave_out(connection, dataset)
        # What an earlier rebuild held is tried again.
        again = ops.not_whole(connection, dataset).get(dataset, [])
        batches = [
            batch
            for batch in ops.in_states(connection, dataset, "published", "sealed", "landed", "audited", "held")
            if batch.state != "held" or batch.batch_id in again
        ]
        for batch in batches:
            archive.verify(batch.archive_path or "", batch.archive_sha256 or "")
        with database.connect_admin() as owner:
            ops.lock(owner, ops.PUBLICATION, dataset, transaction=True)
            owner.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("raw", contract.raw_name)))
            owner.execute("DELETE FROM ops.coverage WHERE dataset = %s", (dataset,))
            owner.execute("DELETE FROM ops.watermark WHERE dataset = %s", (dataset,))
            owner.execute(
                "UPDATE ops.batch SET state = 'sealed' WHERE batch_id = ANY(%s)",
                ([batch.batch_id for batch in batches],),
            )
        for batch in batches:
            _again(connection, batch.batch_id)
        if lacking := ops.not_whole(connection, dataset).get(dataset):
            numbers = ", ".join(map(str, lacking))
            raise ops.BatchError(
                f"{dataset} is not whole: batches {numbers} were published and are not again, and what people read stays as it was."
                f" `./citydata batch show {lacking[0]}` says why; release or reject what is held"
            )
    return len(batches)


def build_and_release(*, full: bool = False, run_id: str | None = None) -> "tuple[Build, Release]":
    """Build what is out of date, release what can be, and compare what a backfill would change with what people read."""
    from citydata import backfill, geopackage, release, transform  # noqa: PLC0415

    built = transform.build(full=full, run_id=run_id)
    released = release.release(built.build_id, run_id=run_id)
    geopackage.refresh()
    backfill.compare(run_id=run_id)
    return built, released


def run(datasets: Iterable[str], *, build: bool = True) -> dict[str, list[Any]]:
    """All steps without a scheduler: extract, land, audit, publish, and build and release when anything changed.

    A source that cannot be read does not stop the others; its error is raised at the end.
    """
    chosen, batch_ids, errors = list(datasets), [], []
    for dataset in chosen:
        try:
            batch_ids += extract_and_land(dataset)
        except (SourceError, ContentError, ControllerOver) as error:
            errors.append(error)
    published = audit_and_publish(chosen, batch_ids)
    if build and any(batch.altered for batches in published.values() for batch in batches):
        build_and_release()
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(chosen)} datasets could not be read", errors)
    return published
