"""The outbox of jobs."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OUTBOX = """
CREATE TABLE outbox (
    id          uuid NOT NULL,
    queue       text NOT NULL,
    job_id      text NOT NULL,
    payload     jsonb NOT NULL,
    not_before  timestamptz,
    taken_until timestamptz,
    sent_at     timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_queue_job_id UNIQUE (queue, job_id)
)
"""
UNSENT = "CREATE INDEX ix_outbox_unsent ON outbox (id) WHERE sent_at IS NULL"
SENT_AT = "CREATE INDEX ix_outbox_sent_at ON outbox (sent_at) WHERE sent_at IS NOT NULL"


def upgrade() -> None:
    for statement in (OUTBOX, UNSENT, SENT_AT):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE outbox")
