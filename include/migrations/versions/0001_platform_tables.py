"""The ledger of batches, builds and releases, quarantine's and quality's vocabulary."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE TABLE ops.batch (
    batch_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    kind text NOT NULL DEFAULT 'load' CHECK (kind IN ('load', 'sweep')),
    mode text NOT NULL,
    scope jsonb NOT NULL DEFAULT '{"type": "everything"}',
    state text NOT NULL DEFAULT 'extracting' CHECK (state IN
        ('extracting', 'sealed', 'landed', 'audited', 'published', 'held', 'rejected', 'superseded', 'failed')),
    contract_version text NOT NULL,
    contract_hash text NOT NULL,
    observed_at timestamptz,
    archive_path text,
    archive_sha256 text,
    content_sha256 text,
    source jsonb NOT NULL DEFAULT '{}',
    extracted bigint NOT NULL DEFAULT 0,
    landed bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    repeated bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0,
    stale bigint NOT NULL DEFAULT 0,
    closed bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    watermark_from text,
    watermark_to text,
    held_reason text,
    failure text,
    decided_by text,
    decided_reason text,
    decided_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sealed_at timestamptz,
    landed_at timestamptz,
    audited_at timestamptz,
    published_at timestamptz,
    run_id text,
    -- The ledger equation: every extracted row is somewhere.
    CONSTRAINT ledger_adds_up CHECK (state <> 'published' OR
        extracted = inserted + changed + unchanged + repeated + superseded + stale + quarantined),
    CONSTRAINT landed_rows_are_accounted CHECK (state NOT IN ('landed', 'audited', 'held', 'rejected') OR extracted = landed + quarantined),
    CONSTRAINT held_rows_are_the_landed CHECK (state NOT IN ('held', 'rejected') OR held = landed),
    CONSTRAINT a_decision_has_person_and_reason CHECK (decided_at IS NULL OR (decided_by IS NOT NULL AND decided_reason IS NOT NULL)),
    CONSTRAINT a_rejection_is_decided CHECK (state <> 'rejected' OR decided_at IS NOT NULL)
);
CREATE INDEX batch_by_dataset ON ops.batch (dataset, batch_id);
CREATE INDEX batch_by_content ON ops.batch (dataset, content_sha256);

-- Every file that was seen complete: taken, or a repeat of a known content.
CREATE TABLE ops.arrival (
    arrival_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    file_name text NOT NULL,
    bytes bigint NOT NULL,
    content_sha256 text NOT NULL,
    observed_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('taken', 'repeated', 'refused')),
    batch_id bigint,
    reason text,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (dataset, file_name, content_sha256, observed_at)
);

-- Keys of pseudonyms that were ever used: a fingerprint each, by which a wrong key is noticed before it makes strangers of all.
CREATE TABLE restricted.pseudonym_key (
    version text PRIMARY KEY,
    fingerprint text NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ops.watermark (
    dataset text PRIMARY KEY,
    value text NOT NULL,
    batch_id bigint NOT NULL,
    advanced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- For each part of a dataset the newest observation that was published; an older one is stale.
CREATE TABLE ops.coverage (
    dataset text NOT NULL,
    part text NOT NULL,
    observed_at timestamptz NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (dataset, part)
);

CREATE TABLE ops.build (
    build_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state text NOT NULL DEFAULT 'building' CHECK (state IN ('building', 'built', 'failed')),
    "full" boolean NOT NULL DEFAULT false,
    selection text,
    code_hash text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    run_id text
);
CREATE TABLE ops.build_horizon (
    build_id bigint NOT NULL,
    dataset text NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (build_id, dataset)
);
CREATE TABLE ops.horizon (
    dataset text PRIMARY KEY,
    batch_id bigint NOT NULL,
    build_id bigint NOT NULL
);
CREATE TABLE ops.dbt_result (
    build_id bigint NOT NULL,
    unique_id text NOT NULL,
    resource_type text NOT NULL,
    name text NOT NULL,
    group_name text,
    status text NOT NULL,
    seconds double precision,
    failures bigint,
    message text,
    PRIMARY KEY (build_id, unique_id)
);
CREATE TABLE ops.release (
    release_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    build_id bigint NOT NULL,
    released_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text
);
CREATE TABLE ops.release_group (
    release_id bigint NOT NULL,
    group_name text NOT NULL,
    state text NOT NULL CHECK (state IN ('released', 'stale')),
    reason text,
    PRIMARY KEY (release_id, group_name)
);
CREATE TABLE ops.release_horizon (
    release_id bigint NOT NULL,
    group_name text NOT NULL,
    dataset text NOT NULL,
    batch_id bigint NOT NULL,
    PRIMARY KEY (release_id, group_name, dataset)
);
CREATE TABLE ops.release_change (
    release_id bigint NOT NULL,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    deleted bigint NOT NULL,
    PRIMARY KEY (release_id, schema_name, table_name)
);

CREATE TABLE quality.check_result (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text NOT NULL CHECK (source IN ('structure', 'suite', 'dbt')),
    dataset text,
    batch_id bigint,
    build_id bigint,
    check_id text NOT NULL,
    dimension text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'quarantine')),
    description text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('pass', 'fail', 'error')),
    evaluated bigint,
    unexpected bigint,
    observed numeric,
    threshold numeric,
    owner text
);
CREATE INDEX check_result_by_check ON quality.check_result (check_id, checked_at);
CREATE INDEX check_result_by_batch ON quality.check_result (batch_id);
CREATE INDEX check_result_by_build ON quality.check_result (build_id);
"""


def upgrade() -> None:
    """Create the platform's own tables; schemas and roles come from `citydata.deploy`."""
    for statement in STATEMENTS.split(";\n"):
        lines = [line for line in statement.splitlines() if not line.lstrip().startswith("--")]
        if "".join(lines).strip():
            op.execute("\n".join(lines))
