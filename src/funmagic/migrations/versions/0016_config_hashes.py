"""Know a tool's configuration by its hash, so that prices are read of those only that are new."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE tools ADD COLUMN config_hash bigint NOT NULL
            GENERATED ALWAYS AS (hashtextextended(config::text, 0)) STORED
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE tools DROP COLUMN config_hash")
