"""Versions of contracts that a person adopted when a source changed: who, why, and from which to which."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = """
CREATE TABLE ops.contract_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    from_version text NOT NULL,
    from_hash text NOT NULL,
    to_version text NOT NULL,
    to_hash text NOT NULL,
    changes jsonb NOT NULL,
    -- The held batch for which it was decided, where there was one.
    batch_id bigint,
    decided_by text NOT NULL CHECK (decided_by ~ '\\S'),
    decided_reason text NOT NULL CHECK (decided_reason ~ '\\S'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER recorded_now BEFORE INSERT ON ops.contract_change
    FOR EACH ROW EXECUTE FUNCTION governance.recorded_now();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ops.contract_change
    FOR EACH ROW EXECUTE FUNCTION governance.refuse();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON ops.contract_change
    FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse();
"""


def upgrade() -> None:
    """Create the ledger of adopted contracts, which is append-only for its owner too."""
    driver = op.get_bind().connection.driver_connection
    assert driver  # the connection is open
    driver.execute(STATEMENTS)  # as it stands: % is not a placeholder, and there is more than one statement
