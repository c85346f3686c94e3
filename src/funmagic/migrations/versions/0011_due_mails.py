"""When a waiting mail is to be sent, or sent again."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE mails ADD COLUMN due_at timestamptz NOT NULL DEFAULT now()")
    op.execute("CREATE INDEX ix_mails_due_at ON mails (due_at) WHERE sealed IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX ix_mails_due_at")
    op.execute("ALTER TABLE mails DROP COLUMN due_at")
