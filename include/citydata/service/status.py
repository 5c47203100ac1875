"""What runs, what is late, what is held, what failed and why, and the next command to type for each."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from citydata import contract, database
from citydata.service.installation import Installation


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
    if not installation.exists:
        return Status({"installation": False})
    services = {"postgresql": installation.cluster.is_running()} if installation.needs_cluster else {}
    services |= installation.airflow.running()
    result = Status(services)
    if services.get("airflow-api-server"):
        result.addresses["airflow"] = installation.airflow.url
    try:
        with database.connect("engineer", autocommit=True, connect_timeout=5) as connection:
            result.addresses["database"] = database.url("bi")
            result.batches = _latest(connection, batches)
            result.findings = [*_failed(connection), *_held(connection), *_late(connection), *_stale(connection)]
    except (psycopg.OperationalError, database.settings.SettingMissing) as error:
        result.services["database"] = False
        if services.get("postgresql", True):
            result.findings.append(Finding("failed", database.cleaned(error), ["database"], "./citydata doctor"))
    if not all(result.services.values()):
        down = [name for name, runs in result.services.items() if not runs]
        result.findings.insert(0, Finding("failed", "not running", down, "./citydata up"))
    return result


def _rows(connection: psycopg.Connection[Any], query: str, *values: object) -> list[dict[str, Any]]:
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
    """Datasets whose last closed batch is older than the service level of the contract (slaProperties latency)."""
    last: dict[str, datetime] = dict(
        connection.execute(
            "select dataset, max(published_at) from ops.batch where state = 'published' group by dataset"
        ).fetchall()
    )
    clock = connection.execute("select clock_timestamp()").fetchone()
    assert clock is not None  # noqa: S101  # a select without a table has one row
    findings = []
    for name, entry in contract.load_each()[0].items():
        if name not in last:
            findings.append(Finding("late", "never loaded", [name], f"./citydata run {name}"))
            continue
        hours = (clock[0] - last[name]).total_seconds() / 3600
        if hours > entry.sla_hours:
            cause = f"loaded {hours:.0f} h ago, promised every {entry.sla_hours:g} h"
            findings.append(Finding("late", cause, [name], f"./citydata run {name}"))
    return findings


def _stale(connection: psycopg.Connection[Any]) -> list[Finding]:
    rows = _rows(
        connection,
        "select group_name, coalesce(reason, 'its build failed') as reason from ops.release_group"
        " where release_id = (select max(release_id) from ops.release) and state = 'stale' order by group_name",
    )
    return [Finding("stale", row["reason"], [f"group {row['group_name']}"], "./citydata run warehouse") for row in rows]
