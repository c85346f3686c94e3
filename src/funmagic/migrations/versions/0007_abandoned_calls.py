"""Abandoned calls are asked for their cost."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE provider_calls ADD COLUMN ask_again_at timestamptz")
    op.execute("""
        ALTER TABLE provider_calls ADD CONSTRAINT ck_provider_calls_ask_again
              CHECK (ask_again_at IS NULL OR state = 'abandoned')
    """)
    op.execute("""
        CREATE INDEX ix_provider_calls_ask_again_at ON provider_calls (ask_again_at)
         WHERE ask_again_at IS NOT NULL
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE provider_calls DROP COLUMN ask_again_at")
