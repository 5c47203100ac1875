"""What runs, what is late, what is held, what failed and why, and the next command to type for each."""

from dataclasses import asdict, dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from citydata import backfill, contract, database, ops, schedule, settings
from citydata.service import broker
from citydata.service.installation import Installation

BROKER = "broker"


@dataclass(frozen=True)
class Finding:
    """Something that wants attention: `cause` is shared by all `subjects`; `command` is what to type next."""

    kind: str
    cause: str
    subjects: list[str]
    command: str


@dataclass
class Status:
    """State of an installation at a moment."""

    services: dict[str, bool]
    addresses: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    drafts: dict[str, int] = field(default_factory=dict)
    """Datasets that are not finished, and how many things are to do in their contracts. They wait for nobody's attention."""
    batches: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all is well; 1 something does not run or failed; 3 something is held, late or stale."""
        if not all(self.services.values()) or any(finding.kind == "failed" for finding in self.findings):
            return 1
        return 3 if self.findings else 0

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "exit_code": self.exit_code}


def status(installation: Installation, *, batches: int = 10) -> Status:
    """Look at the installation; `batches` is how many of the latest ones are listed."""
    if not (installation.exists or installation.served):
        return Status({"installation": False})
    services = {"postgresql": installation.cluster.is_running()} if installation.needs_cluster else {}
    if installation.simulated_services:
        services[installation.sources.name] = installation.sources.is_running()
    services |= installation.airflow.answering() if installation.served else installation.airflow.running()
    workers = _workers(services)
    result = Status(services, drafts={draft.dataset: len(draft.gaps) for draft in contract.drafts().values()})
    if services.get("airflow-api-server"):
        result.addresses["airflow"] = installation.airflow.url
    try:
        with database.connect("engineer", autocommit=True, connect_timeout=5) as connection:
            result.addresses["drop_directory"] = str(settings.drop_directory())
            if not installation.served:  # among services it has another name than for people
                result.addresses["database"] = database.url("bi")
            result.batches = _latest(connection, batches)
            result.findings = [
                *(*_failed(connection), *_held(connection), *_late(connection), *_stale(connection)),
                *_held_back(connection),
            ]
    except (psycopg.OperationalError, database.settings.SettingMissing) as error:
        result.services["database"] = False
        if services.get("postgresql", True):
            result.findings.append(Finding("failed", database.cleaned(error), ["database"], "./citydata doctor"))
    result.findings = [*workers, *result.findings]
    down = [name for name, runs in result.services.items() if not runs and name != BROKER]
    if down:
        start = "docker compose up --detach" if installation.served else "./citydata up"
        result.findings.insert(0, Finding("failed", "not running", down, start))
    return result


def _workers(services: dict[str, bool]) -> list[Finding]:
    """Note the broker among the services, and say when it or the workers, wherever they run, do not answer."""
    url = broker.address()
    if not url:
        return []
    try:
        answering = broker.workers(url)
    except broker.BrokerError as error:
        services[BROKER] = False
        return [Finding("failed", str(error), [BROKER], "./citydata doctor")]
    services[BROKER] = True
    if answering:
        return []
    text = f"no worker answers at the broker {broker.place(url)}: tasks wait until one does"
    return [Finding("failed", text, ["workers"], "./citydata doctor")]


@dataclass(frozen=True)
class BatchView:
    """A batch for people. `counts` add up as the ledger does; `reasons` count quarantined rows."""

    batch_id: int
    dataset: str
    state: str
    facts: dict[str, Any]
    counts: dict[str, int]
    failed_checks: list[dict[str, Any]]
    reasons: list[dict[str, Any]]
    commands: list[str]


_COUNTS = (
    *("extracted", "landed", "quarantined", "inserted", "changed", "unchanged", "repeated", "superseded", "stale"),
    *("closed", "held"),
)


def batch(connection: psycopg.Connection[Any], batch_id: int) -> BatchView:
    """Everything that is known about a batch, without a value of its rows. Raises BatchError when there is none."""
    found = ops.get(connection, batch_id)
    (row,) = _rows(connection, "select * from ops.batch where batch_id = %s", batch_id)
    facts = {name: value for name, value in row.items() if name not in (*_COUNTS, "batch_id", "dataset", "state")}
    checks = _rows(
        connection,
        "select check_id, dimension, severity, outcome, unexpected, evaluated, description from quality.check_result"
        " where batch_id = %s and outcome <> 'pass' order by severity, check_id",
        batch_id,
    )
    reasons = _rows(
        connection,
        sql.SQL(
            "select reason, state, count(*) as rows from quarantine.{}, unnest(reasons) as reason"
            " where batch_id = %s group by 1, 2 order by 3 desc"
        ).format(sql.Identifier(found.dataset.partition(".")[0])),
        batch_id,
    )
    compare = [f"./citydata contract diff {found.dataset}"] if found.columns_differ else []
    commands = {
        "held": [*compare, *(f"./citydata batch {verb} {batch_id} --reason '…'" for verb in ("release", "reject"))],
        "published": [f"./citydata batch replay {batch_id}"],
        "failed": [*compare, f"./citydata run {found.dataset}"],
    }
    return BatchView(
        batch_id,
        found.dataset,
        found.state,
        {name: value for name, value in facts.items() if value not in (None, {}, "")},
        {name: row[name] for name in _COUNTS},
        checks,
        reasons,
        commands.get(found.state, []),
    )


def _rows(
    connection: psycopg.Connection[Any], query: LiteralString | sql.Composed, *values: object
) -> list[dict[str, Any]]:
    cursor = connection.execute(query, values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _latest(connection: psycopg.Connection[Any], count: int) -> list[dict[str, Any]]:
    return _rows(
        connection,
        "select batch_id, dataset, kind, state, extracted, inserted, changed, unchanged, closed, quarantined, held,"
        " started_at, published_at from ops.batch order by batch_id desc limit %s",
        count,
    )


def _failed(connection: psycopg.Connection[Any]) -> list[Finding]:
    """Batches that failed and were not followed by a published one, and a failed latest build, by cause."""
    rows = _rows(
        connection,
        """
        select coalesce(failure, 'the step was interrupted') as cause,
               array_agg(distinct dataset order by dataset) as datasets
        from ops.batch b
        where state = 'failed' and not exists (
            select 1 from ops.batch later
            where later.dataset = b.dataset and later.batch_id > b.batch_id and later.state in ('published', 'held'))
        group by 1 order by 1
        """,
    )
    findings = [
        Finding("failed", row["cause"], row["datasets"], " && ".join(f"./citydata run {d}" for d in row["datasets"]))
        for row in rows
    ]
    tests = _rows(
        connection,
        """
        select r.status || ': ' || r.resource_type as cause, array_agg(r.name order by r.name) as names
        from ops.dbt_result r
        where r.build_id = (select max(build_id) from ops.build) and r.status in ('error', 'fail', 'runtime error')
        group by 1 order by 1
        """,
    )
    findings += [Finding("failed", f"build: {row['cause']}", row["names"], "./citydata run warehouse") for row in tests]
    return findings


def _held(connection: psycopg.Connection[Any]) -> list[Finding]:
    rows = _rows(
        connection,
        "select batch_id, dataset, coalesce(held_reason, 'no reason was recorded') as reason"
        " from ops.batch where state = 'held' order by batch_id",
    )
    return [
        Finding("held", row["reason"], [f"{row['dataset']} batch {row['batch_id']}"],
                f"./citydata batch show {row['batch_id']}")
        for row in rows
    ]  # fmt: skip


def _late(connection: psycopg.Connection[Any]) -> list[Finding]:
    """Datasets that are older than their contract promises (slaProperties latency)."""
    clock = connection.execute("select clock_timestamp()").fetchone()
    assert clock is not None  # a select without a table has one row
    return [
        Finding(
            "late",
            f"taken in {(clock[0] - late.last).total_seconds() / 3600:.0f} h ago, promised every {late.promised_hours:g} h"
            if late.last
            else "never loaded",
            [late.dataset],
            f"./citydata run {late.dataset}",
        )
        for late in schedule.late(connection, list(contract.load_each()[0]))
    ]


def _stale(connection: psycopg.Connection[Any]) -> list[Finding]:
    rows = _rows(
        connection,
        "select group_name, coalesce(reason, 'its build failed') as reason from ops.release_group"
        " where release_id = (select max(release_id) from ops.release) and state = 'stale' order by group_name",
    )
    return [Finding("stale", row["reason"], [f"group {row['group_name']}"], "./citydata run warehouse") for row in rows]


def _held_back(connection: psycopg.Connection[Any]) -> list[Finding]:
    """Datasets that marts have as of the batch before an open backfill."""
    rows = connection.execute("SELECT backfill_id FROM ops.open_backfill ORDER BY backfill_id").fetchall()
    found = [backfill.get(connection, backfill_id) for (backfill_id,) in rows]
    return [
        Finding(
            "held",
            f"held back by backfill {one.backfill_id}, which is {one.state}"
            + (f" at {one.stopped_by.title}: {one.stopped_by.failure}" if one.stopped_by else ""),
            [one.dataset],
            f"./citydata backfill show {one.backfill_id}" if one.state == "waiting" else backfill.what_to_do(one)[0],
        )
        for one in found
    ]
