"""Who has a login of their own, given by whom and why: what is not in here is nobody's right."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = """
CREATE TABLE ops.access (
    access_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL,
    role text NOT NULL,
    external boolean NOT NULL,
    until date,
    reason text NOT NULL CHECK (reason ~ '\\S'),
    granted_by text NOT NULL CHECK (granted_by ~ '\\S'),
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_reason text,
    revoked_by text,
    revoked_at timestamptz,
    CHECK (num_nulls(revoked_reason, revoked_by, revoked_at) IN (0, 3))
);
CREATE UNIQUE INDEX access_current ON ops.access (login) WHERE revoked_at IS NULL;
COMMENT ON TABLE ops.access IS 'Logins of people and programs: role, until when, who gave and took them and why.';
"""


def upgrade() -> None:
    """Keep who was given access."""
    op.execute(STATEMENTS)
