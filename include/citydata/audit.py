"""Audit landed batches: run the suite, move rows that break a quarantine rule, hold what must not be published.

Great Expectations is imported when an audit begins, and once for all batches of a run: importing it takes seconds.
"""

import json
import logging
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from citydata import contract as contracts
from citydata import land, ops, quality, town
from citydata.contract import Contract
from citydata.extract import ContentError
from citydata.ops import Batch, Connection

if TYPE_CHECKING:
    from citydata.suite import Runner, Verdict

log = logging.getLogger(__name__)

TRIES = 3
"""How often a batch is looked at when tables are dropped under the audit."""


class AuditError(RuntimeError):
    """A batch could not be audited; the text names dataset, batch, reason and what to do."""


def audit(batch_ids: list[int]) -> dict[int, str]:
    """Audit batches that have landed and return the state of each: audited or held.

    A batch that is in another state already is left as it is. Nothing of a batch is written before all of its checks
    have been evaluated; then everything is written in one transaction.

    Raises AuditError, after the others have been audited, for batches whose suite must not be run or whose table
    changed under the audit; they stay landed.
    """
    from citydata.suite import Runner, SuiteError  # noqa: PLC0415

    states: dict[int, str] = {}
    errors: list[Exception] = []
    with Runner() as runner:
        for batch_id in sorted(batch_ids):
            batch = ops.get(runner.connection, batch_id)
            try:
                states[batch_id] = _state_after_audit(runner, batch_id)
            except ContentError:
                states[batch_id] = "held"  # by landing again, which found the archive's content to be wrong
            except ops.Rejected as rejected:
                states[batch_id] = "rejected"
                log.info("%s", rejected)
            except (AuditError, SuiteError) as error:
                log.error("%s was not audited: %s", batch.title, error)
                errors.append(error)
    if errors:
        raise AuditError("; ".join(map(str, errors))) from errors[0]
    return states


def _state_after_audit(runner: "Runner", batch_id: int) -> str:
    """Audit a batch if it has landed. Runs of a backfill publish side by side, which drops landing tables, also those of other
    batches that checks compare with: then it is looked at again, and what was published is in raw."""
    for attempt in range(1, TRIES + 1):
        batch = ops.get(runner.connection, batch_id)
        try:
            return _audit(runner, batch) if batch.state == "landed" else batch.state
        except psycopg.errors.UndefinedTable:
            if attempt == TRIES:
                raise
    raise AssertionError("unreachable")


def _audit(runner: "Runner", batch: Batch) -> str:
    if land.ensure(runner.connection, batch):
        batch = ops.get(runner.connection, batch.batch_id)
    verdicts = _verdicts(runner, batch) if _has_rows_to_judge(batch) else []
    return _settle(runner.connection, batch, verdicts)


def _has_rows_to_judge(batch: Batch) -> bool:
    """Sweeps and deletions hold keys only, and an increment may be empty; an empty snapshot is judged, and fails."""
    return batch.kind == "load" and (batch.mode != "increment" or batch.landed > 0)


def _verdicts(runner: "Runner", batch: Batch) -> "list[Verdict]":
    from citydata import suite as suites  # noqa: PLC0415

    suite = suites.load(batch.dataset)
    with runner.connection.transaction():
        for reference, columns in suite.references.items():
            _make_reference(runner.connection, contracts.load(reference), columns)
        parameters = _parameters(runner.connection, batch)
    verdicts = runner.run(suite.checks, batch.landing_table, parameters, schema="landing")
    if [verdict.check.id for verdict in verdicts] != [check.id for check in suite.checks]:
        raise AuditError(
            f"{batch.title}: only {len(verdicts)} of {len(suite.checks)} checks were evaluated; see {suite.path}"
        )
    return verdicts


def _parameters(connection: Connection, batch: Batch) -> dict[str, Any]:
    """What suites may refer to as `$PARAMETER`."""
    here = town.load()
    observed = batch.observed_at
    if observed is None:
        raise AuditError(f"{batch.title} has no time of observation; extract the dataset again")
    return {
        "observed_on": observed.astimezone(ZoneInfo(here.time_zone)).date().isoformat(),
        "reference_rows": _reference_rows(connection, batch),
        "town_municipality_code": here.municipality_code,
        "town_languages": [*here.languages, "other"],
        "town_sectors": [sector.code for sector in here.sectors],
        "town_sector_ends": json.dumps(
            {sector.code: sector.until.isoformat() for sector in here.sectors if sector.until}
        ),
    }


def _reference_rows(connection: Connection, batch: Batch) -> int | None:
    """Rows to compare the batch with: all current ones for an increment, else those of the last batch of its scope."""
    if batch.mode == "increment":
        table = sql.Identifier("raw", contracts.load(batch.dataset).raw_name)
        row = connection.execute(sql.SQL("SELECT count(*) FROM {} WHERE _closed_by IS NULL").format(table)).fetchone()
    else:
        row = connection.execute(
            "SELECT b.landed FROM ops.batch b JOIN ops.batch own ON own.batch_id = %s AND b.scope = own.scope"
            " WHERE b.dataset = %s AND b.kind = 'load' AND b.state = 'published' ORDER BY b.batch_id DESC LIMIT 1",
            (batch.batch_id, batch.dataset),
        ).fetchone()
    return row[0] or None if row else None


def _make_reference(connection: Connection, reference: Contract, columns: list[str]) -> None:
    """Make the temporary table that checks compare with: the dataset's current rows, newest first where they wait.

    Datasets of one run land together, so batches that have landed and are not held count as current.
    """
    table = sql.Identifier("pg_temp", f"current_{reference.raw_name}")
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    waiting = [
        sql.Identifier("landing", batch.landing_table)
        for batch in ops.in_states(connection, reference.dataset, "landed", "audited")
        if batch.kind == "load"
        and connection.execute("SELECT to_regclass(%s)", (f"landing.{batch.landing_table}",)).fetchone() != (None,)
    ]
    current = sql.SQL("SELECT {} FROM {} AS r WHERE r._closed_by IS NULL").format(
        names, sql.Identifier("raw", reference.raw_name)
    )
    if reference.key:
        same = sql.SQL(" AND ").join(sql.SQL("w.{0} = r.{0}").format(sql.Identifier(name)) for name in reference.key)
        for landing in waiting:
            current += sql.SQL(" AND NOT EXISTS (SELECT FROM {} AS w WHERE {})").format(landing, same)
    parts = [current, *(sql.SQL("SELECT {} FROM {}").format(names, landing) for landing in waiting)]
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} AS {}").format(
            sql.Identifier(f"current_{reference.raw_name}"), sql.SQL(" UNION ").join(parts)
        )
    )
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, sql.Identifier(columns[0])))
    connection.execute(sql.SQL("ANALYZE {}").format(table))


def _settle(connection: Connection, batch: Batch, verdicts: "list[Verdict]") -> str:
    """Write what the checks said, move rows to quarantine and decide the batch's state, in one transaction."""
    contract = contracts.load(batch.dataset)
    with connection.transaction():
        connection.execute("SELECT 1 FROM ops.batch WHERE batch_id = %s FOR UPDATE", (batch.batch_id,))
        state = ops.get(connection, batch.batch_id).state
        if state != "landed":
            return state  # two runs at once: the other one was first, and its verdict stands
        moved = _quarantine(connection, contract, batch, verdicts)
        quality.record(
            connection, (_result(contract, batch, verdict) for verdict in verdicts if verdict.outcome != "skip")
        )
        connection.execute(
            "UPDATE ops.batch SET landed = landed - %(moved)s, quarantined = quarantined + %(moved)s,"
            " state = 'audited', held_reason = NULL, audited_at = clock_timestamp() WHERE batch_id = %(batch)s",
            {"moved": moved, "batch": batch.batch_id},
        )
        reasons = _reasons_to_hold(contract, batch, verdicts, batch.quarantined + moved)
        # What a person has released stays released when the landing table had to be made again.
        if reasons and batch.decided_at is None:
            ops.hold(connection, batch.batch_id, "; ".join(reasons))
            land.drop(connection, batch.batch_id)  # a held batch is kept as its archive
            log.warning("%s is held: %s", batch.title, "; ".join(reasons))
            return "held"
    return "audited"


def _reasons_to_hold(contract: Contract, batch: Batch, verdicts: "list[Verdict]", quarantined: int) -> list[str]:
    reasons = []
    for verdict in verdicts:
        if verdict.check.severity != "critical" or verdict.outcome in ("pass", "skip"):
            continue
        if verdict.outcome == "error":
            reasons.append(f"{verdict.check.id} could not be evaluated ({verdict.error})")
        elif not verdict.evaluated:
            reasons.append(f"{verdict.check.id} had nothing to judge")
        else:
            reasons.append(f"{verdict.check.id} failed for {verdict.unexpected} of {verdict.evaluated}")
    if too_many := contract.too_many_quarantined(quarantined, batch.extracted):
        reasons.append(too_many)
    return reasons


def _quarantine(connection: Connection, contract: Contract, batch: Batch, verdicts: "list[Verdict]") -> int:
    """Move the rows that break a quarantine rule, with every reason; returns how many rows.

    The conditions are those by which the expectations counted, so both must find the same number.
    """
    rules = [verdict for verdict in verdicts if verdict.check.severity == "quarantine" and verdict.unexpected]
    if not rules:
        return 0
    # The text of a condition is compiled by SQLAlchemy with its values quoted; this statement takes no parameters.
    conditions = [sql.SQL("({})").format(sql.SQL(str(rule.condition))) for rule in rules]
    reasons = sql.SQL(", ").join(
        sql.SQL("CASE WHEN {} THEN {} END").format(condition, sql.Literal(rule.check.id))
        for condition, rule in zip(conditions, rules, strict=True)
    )
    identity = contract.key or list(contract.table_columns)
    key = sql.SQL(", ").join(sql.SQL("{}, {}").format(sql.Literal(name), sql.Identifier(name)) for name in identity)
    names = sql.SQL(", ").join(sql.Literal(column.source_name) for column in contract.columns)
    values = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in contract.columns)
    landing = sql.Identifier("landing", batch.landing_table)
    statement = sql.SQL(
        "WITH broken AS MATERIALIZED (SELECT _row, array_remove(ARRAY[{reasons}], NULL) AS reasons,"
        " jsonb_build_object({key})::text AS key, to_jsonb(jsonb_object(ARRAY[{names}], ARRAY[{values}])) AS row"
        " FROM {landing} WHERE {conditions}),"
        " removed AS (DELETE FROM {landing} WHERE _row IN (SELECT _row FROM broken)),"
        " kept AS (INSERT INTO {quarantine} (dataset, batch_id, row_number, key, reasons, row)"
        " SELECT {dataset}, {batch}, _row, key, reasons, row FROM broken ORDER BY _row)"
        " SELECT reasons FROM broken"
    ).format(
        reasons=reasons,
        key=key,
        names=names,
        values=values,
        landing=landing,
        conditions=sql.SQL(" OR ").join(conditions),
        quarantine=sql.Identifier("quarantine", contract.system),
        dataset=sql.Literal(batch.dataset),
        batch=sql.Literal(batch.batch_id),
    )
    found = [row[0] for row in connection.execute(statement)]
    for rule in rules:
        if sum(rule.check.id in row for row in found) != rule.unexpected:
            raise AuditError(f"{batch.title} changed while it was audited ({rule.check.id}); audit it again")
    return len(found)


def _result(contract: Contract, batch: Batch, verdict: "Verdict") -> quality.CheckResult:
    if verdict.outcome == "error":
        log.error("%s: %s could not be evaluated: %s", batch.title, verdict.check.id, verdict.error)
    return quality.CheckResult(
        source="suite",
        check_id=verdict.check.id,
        dimension=verdict.check.dimension,
        severity=verdict.check.severity,
        description=verdict.check.description,
        outcome=verdict.outcome,
        dataset=batch.dataset,
        batch_id=batch.batch_id,
        evaluated=verdict.evaluated,
        unexpected=verdict.unexpected,
        observed=verdict.observed,
        threshold=verdict.threshold,
        owner=contract.owner,
    )
