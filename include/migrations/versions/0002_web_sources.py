"""Sources that are asked over HTTP: batches of deletions, and a rate limit that all processes share."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Allow batches of deletions; keep when a source may be asked next."""
    op.execute("ALTER TABLE ops.batch DROP CONSTRAINT batch_kind_check")
    op.execute("ALTER TABLE ops.batch ADD CONSTRAINT batch_kind_check CHECK (kind IN ('load', 'sweep', 'deletions'))")
    op.execute("CREATE TABLE ops.source_pace (connection text PRIMARY KEY, next_at timestamptz NOT NULL)")
