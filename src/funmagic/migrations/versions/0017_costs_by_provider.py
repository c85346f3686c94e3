"""Add up what calls to one vendor have cost without reading those to others."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX ix_provider_calls_costs ON provider_calls (provider_key, created_at)
               INCLUDE (state, cost_usd_micros)
    """)


def downgrade() -> None:
    op.execute("DROP INDEX ix_provider_calls_costs")
