"""Find people to be erased, also those to be erased once more."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX ix_users_deletion_due")
    op.execute("""
        CREATE INDEX ix_users_deletion_due ON users (deletion_due_at)
         WHERE deletion_due_at IS NOT NULL
    """)


def downgrade() -> None:
    op.execute("DROP INDEX ix_users_deletion_due")
    op.execute("""
        CREATE INDEX ix_users_deletion_due ON users (deletion_due_at)
         WHERE deletion_due_at IS NOT NULL AND erased_at IS NULL
    """)
