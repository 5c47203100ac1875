"""Backfills: what is read again on request, window by window, and the difference that a person approves."""

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = """
CREATE TABLE ops.backfill (
    backfill_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    origin text NOT NULL CHECK (origin IN ('command line', 'airflow')),
    reason text NOT NULL CHECK (reason ~ '\\S'),
    requested_by text NOT NULL CHECK (requested_by ~ '\\S'),
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL DEFAULT 'running' CHECK (state IN
        ('running', 'stopped', 'comparing', 'waiting', 'undoing', 'done', 'rejected', 'cancelled')),
    approval boolean NOT NULL,
    -- Builds see the dataset as of this batch until the backfill has ended; 0 is nothing.
    horizon bigint NOT NULL,
    compared_build bigint,
    compared_stale jsonb NOT NULL DEFAULT '{}',
    decided_by text,
    decided_reason text,
    decided_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT a_backfill_has_a_length CHECK (begins_at < ends_at),
    CONSTRAINT a_backfill_decision_has_person_and_reason CHECK (decided_at IS NULL OR (decided_by ~ '\\S' AND decided_reason ~ '\\S')),
    CONSTRAINT what_waits_is_compared CHECK (state <> 'waiting' OR compared_build IS NOT NULL)
);
CREATE UNIQUE INDEX one_open_backfill ON ops.backfill (dataset)
    WHERE state IN ('running', 'stopped', 'comparing', 'waiting', 'undoing');

CREATE VIEW ops.open_backfill AS SELECT backfill_id, dataset, horizon, state, requested_at FROM ops.backfill
    WHERE state IN ('running', 'stopped', 'comparing', 'waiting', 'undoing');

CREATE TABLE ops.backfill_window (
    backfill_id bigint NOT NULL,
    number integer NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    part jsonb,
    expected bigint,
    counted text CHECK (counted IN ('source', 'delivery', 'estimate')),
    standing bigint,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'empty', 'held', 'failed')),
    failure text,
    run_id text,
    PRIMARY KEY (backfill_id, number),
    UNIQUE (backfill_id, begins_at, ends_at)
);

-- Runs of a scheduler that have done what they had to do for a backfill.
CREATE TABLE ops.backfill_run (
    backfill_id bigint NOT NULL,
    run_id text NOT NULL,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (backfill_id, run_id)
);

-- What a release would write if the backfill were taken in: counts, no values.
CREATE TABLE ops.backfill_difference (
    backfill_id bigint NOT NULL,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    group_name text NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    deleted bigint NOT NULL,
    PRIMARY KEY (backfill_id, schema_name, table_name)
);

-- A build that compares and is never released.
ALTER TABLE ops.build ADD COLUMN compares_backfill bigint;
CREATE INDEX batch_by_backfill ON ops.batch ((source ->> 'backfill')) WHERE source ? 'backfill';
"""


def upgrade() -> None:
    """Create the tables; grants come from `citydata.deploy`."""
    for statement in STATEMENTS.split(";\n"):
        lines = [line for line in statement.splitlines() if not line.lstrip().startswith("--")]
        if "".join(lines).strip():
            op.execute("\n".join(lines))
