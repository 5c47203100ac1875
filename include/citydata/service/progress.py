"""What the ledger says about work that is going on or was done: read from `ops`, for people."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from citydata import contract

STEPS = {
    "extracting": "extract",
    "sealed": "land",
    "landed": "audit",
    "audited": "publish",
    "published": "published",
    "held": "held",
    "rejected": "rejected",
    "superseded": "superseded",
    "failed": "failed",
}
"""The step that a batch in each state is in, or how it ended."""

_BATCHES = """
    select dataset, (array_agg(state order by batch_id desc))[1],
           coalesce(sum(extracted) filter (where kind = 'load'), 0)::bigint,
           sum(inserted)::bigint, sum(changed)::bigint, sum(closed)::bigint,
           sum(quarantined)::bigint, sum(held)::bigint, count(*),
           extract(epoch from max(case when state in ('extracting', 'sealed', 'landed', 'audited')
                                  then clock_timestamp()
                                  else greatest(sealed_at, landed_at, audited_at, published_at, started_at) end)
                              - min(started_at))::float8
    from ops.batch
    where greatest(started_at, sealed_at, landed_at, audited_at, published_at, decided_at) >= %s
    group by dataset
"""


@dataclass(frozen=True)
class DatasetProgress:
    """What the batches of a dataset did since a moment: `step` of the latest one, rows of all of them."""

    dataset: str
    step: str
    extracted: int = 0
    inserted: int = 0
    changed: int = 0
    closed: int = 0
    quarantined: int = 0
    held: int = 0
    batches: int = 0
    seconds: float = 0.0

    @property
    def system(self) -> str:
        """The source system."""
        return self.dataset.partition(".")[0]


@dataclass(frozen=True)
class BuildProgress:
    """The latest build since a moment and, when there is one, its release. `rows` were written by the release."""

    step: str
    rows: int
    seconds: float
    stale_groups: dict[str, str]


def datasets(connection: psycopg.Connection[Any], since: datetime) -> list[DatasetProgress]:
    """Progress of every dataset that has a contract; those without a batch since then are waiting."""
    found = {row[0]: DatasetProgress(row[0], STEPS[row[1]], *row[2:]) for row in connection.execute(_BATCHES, (since,))}
    return [found.get(name) or DatasetProgress(name, "waiting") for name in contract.load_each()[0]]


def build(connection: psycopg.Connection[Any], since: datetime) -> BuildProgress | None:
    """The latest build that started since then."""
    row = connection.execute(
        """
        select b.state, r.release_id,
               (select coalesce(sum(inserted + updated + deleted), 0)::bigint
                from ops.release_change where release_id = r.release_id),
               extract(epoch from coalesce(r.released_at, b.finished_at, clock_timestamp()) - b.started_at)::float8
        from ops.build b left join ops.release r using (build_id)
        where b.started_at >= %s order by b.build_id desc, r.release_id desc limit 1
        """,
        (since,),
    ).fetchone()
    if row is None:
        return None
    state, release, rows, seconds = row
    step = "released" if release else {"building": "build", "built": "release", "failed": "failed"}[state]
    stale = connection.execute(
        "select group_name, coalesce(reason, '') from ops.release_group where release_id = %s and state = 'stale'",
        (release,),
    )
    return BuildProgress(step, rows, seconds, dict(stale.fetchall()))


def unreleased(connection: psycopg.Connection[Any]) -> list[str]:
    """Datasets that read differently since a published batch that no release has taken in yet. What a backfill holds back may wait."""
    rows = connection.execute(
        """
        select dataset from ops.batch left join ops.open_backfill f using (dataset)
        where batch.state = 'published' and (f.horizon is null or batch_id <= f.horizon) group by dataset
        having max(batch_id) filter (where inserted + changed + closed > 0) > coalesce(
            (select max(h.batch_id) from ops.release_horizon h where h.dataset = batch.dataset), 0)
        order by dataset
        """
    )
    return [row[0] for row in rows]


def is_answered(connection: psycopg.Connection[Any]) -> bool:
    """Whether a build ended that began after the last change was published, whatever came of it."""
    row = connection.execute(
        """
        select coalesce(max(started_at) filter (where state <> 'building') > (
            select max(published_at) from ops.batch where state = 'published' and inserted + changed + closed > 0), false)
        from ops.build
        """
    ).fetchone()
    return bool(row and row[0])


def has_release(connection: psycopg.Connection[Any]) -> bool:
    """Whether anything was ever released."""
    return connection.execute("select 1 from ops.release limit 1").fetchone() is not None


def is_measured(connection: psycopg.Connection[Any]) -> bool:
    """Whether the share was measured after the last release; where nothing was released there is nothing to measure."""
    row = connection.execute(
        """
        select last is null or exists (select from governance.share where taken_at >= last)
        from (select max(released_at) as last from ops.release) as released
        """
    ).fetchone()
    return bool(row and row[0])
