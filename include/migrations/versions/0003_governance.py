"""The register of what the town holds, attestations, proofs of checks, and the sealed snapshots of the share."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = """
-- Bitemporal: `valid_*` is when something was so in the town, `recorded_at` to `superseded_at` when the register said so.
CREATE TABLE governance.register (
    version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    id text NOT NULL,
    body jsonb NOT NULL,
    origin text NOT NULL CHECK (origin IN ('inventory', 'reconciliation')),
    valid_from date NOT NULL DEFAULT '-infinity',
    valid_to date NOT NULL DEFAULT 'infinity',
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    superseded_at timestamptz NOT NULL DEFAULT 'infinity',
    CHECK (valid_from < valid_to),
    CHECK (recorded_at <= superseded_at)
);
CREATE INDEX register_by_id ON governance.register (kind, id);

CREATE TABLE governance.attestation (
    attestation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    content_sha256 text NOT NULL,
    signed_by text NOT NULL,
    signed_at timestamptz NOT NULL,
    signature text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX attestation_by_dataset ON governance.attestation (dataset, signed_at);

CREATE TABLE governance.canary_result (
    suite_sha256 text NOT NULL,
    dataset text NOT NULL,
    check_id text NOT NULL,
    proven boolean NOT NULL,
    unexpected bigint NOT NULL,
    tried_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (suite_sha256, check_id, tried_at)
);

CREATE TABLE governance.snapshot (
    snapshot_id bigint PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    as_of date NOT NULL,
    method_version text NOT NULL,
    official boolean NOT NULL,
    n integer NOT NULL,
    m integer NOT NULL,
    s integer NOT NULL,
    u integer NOT NULL,
    denominator integer NOT NULL,
    upper_denominator integer NOT NULL,
    share numeric(4, 1),
    upper_share numeric(4, 1),
    level_1 integer NOT NULL,
    level_2 integer NOT NULL,
    level_3 integer NOT NULL,
    level_4 integer NOT NULL,
    automatic integer NOT NULL,
    manual integer NOT NULL,
    reason text NOT NULL,
    run_id text,
    previous_sha256 text NOT NULL,
    sha256 text NOT NULL UNIQUE,
    CONSTRAINT the_share_is_of_the_counts CHECK (
        share IS NOT DISTINCT FROM floor(1000.0 * n / nullif(denominator, 0)) / 10
        AND upper_share IS NOT DISTINCT FROM floor(1000.0 * n / nullif(upper_denominator, 0)) / 10),
    CONSTRAINT the_parts_add_up CHECK (automatic + manual = n AND level_3 = n)
);
CREATE TABLE governance.snapshot_dataset (
    snapshot_id bigint NOT NULL REFERENCES governance.snapshot,
    dataset text NOT NULL,
    unit text NOT NULL,
    name_fi text NOT NULL,
    name_sv text NOT NULL,
    system text NOT NULL,
    sector text NOT NULL,
    criticality text NOT NULL,
    personal_data text NOT NULL,
    level integer NOT NULL CHECK (level BETWEEN 0 AND 4),
    missing text[] NOT NULL,
    manual boolean NOT NULL,
    uncounted text,
    owner text,
    steward text,
    contracts text[] NOT NULL,
    rows bigint,
    bytes bigint,
    PRIMARY KEY (snapshot_id, dataset)
);
CREATE TABLE governance.evidence (
    snapshot_id bigint NOT NULL REFERENCES governance.snapshot,
    dataset text NOT NULL,
    number integer NOT NULL,
    criterion text NOT NULL,
    result text NOT NULL CHECK (result IN ('pass', 'fail', 'not_applicable', 'unknown')),
    reason text NOT NULL,
    subject text NOT NULL,
    looked_at text NOT NULL,
    figure numeric,
    threshold numeric,
    unit text,
    source text NOT NULL,
    run text,
    manual boolean NOT NULL,
    observed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (snapshot_id, dataset, number)
);
CREATE TABLE governance.snapshot_system (
    snapshot_id bigint NOT NULL REFERENCES governance.snapshot,
    system text NOT NULL,
    name_fi text NOT NULL,
    name_sv text NOT NULL,
    sector text,
    origin text NOT NULL CHECK (origin IN ('inventory', 'reconciliation')),
    mapped boolean NOT NULL,
    found_in text,
    first_seen timestamptz,
    PRIMARY KEY (snapshot_id, system)
);

-- What everybody reads: the command line, the portal, the static pages and BI tools show a row of this view.
CREATE VIEW governance.share AS
SELECT snapshot_id, taken_at, as_of, official, method_version, n, m, s, u, denominator, upper_denominator, share,
    upper_share, level_1, level_2, level_3, level_4, automatic, manual, reason, run_id, previous_sha256, sha256
FROM governance.snapshot;

CREATE FUNCTION governance.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME;
END $$;
-- What is recorded is recorded now: an entry dated back would have been there before it was decided.
CREATE FUNCTION governance.recorded_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.recorded_at NOT BETWEEN transaction_timestamp() AND clock_timestamp() THEN
        RAISE EXCEPTION 'INSERT into % is refused: recorded_at is the moment of recording', TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
-- A version of the register may be superseded once, and nothing else of it ever changes.
CREATE FUNCTION governance.supersede_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.superseded_at <> 'infinity' OR NEW.superseded_at = 'infinity'
        OR to_jsonb(NEW) - 'superseded_at' <> to_jsonb(OLD) - 'superseded_at' THEN
        RAISE EXCEPTION 'UPDATE of % is refused: a version is superseded once and never changed', TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER supersede_only BEFORE UPDATE ON governance.register
    FOR EACH ROW EXECUTE FUNCTION governance.supersede_only();
CREATE TRIGGER recorded_now BEFORE INSERT ON governance.register
    FOR EACH ROW EXECUTE FUNCTION governance.recorded_now();
CREATE TRIGGER recorded_now BEFORE INSERT ON governance.attestation
    FOR EACH ROW EXECUTE FUNCTION governance.recorded_now();
CREATE TRIGGER append_only BEFORE DELETE ON governance.register
    FOR EACH ROW EXECUTE FUNCTION governance.refuse();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON governance.register
    FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse();
"""
APPEND_ONLY = ("attestation", "canary_result", "snapshot", "snapshot_dataset", "evidence", "snapshot_system")


def upgrade() -> None:
    """Create the tables of governance; everything sealed is append-only by trigger, for their owner too."""
    driver = op.get_bind().connection.driver_connection
    assert driver  # the connection is open
    driver.execute(STATEMENTS)  # as it stands: % is not a placeholder, and there is more than one statement
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON governance.{table}"
            " FOR EACH ROW EXECUTE FUNCTION governance.refuse()"
        )
        op.execute(
            f"CREATE TRIGGER never_emptied BEFORE TRUNCATE ON governance.{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse()"
        )
