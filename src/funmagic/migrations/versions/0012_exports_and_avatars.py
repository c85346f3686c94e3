"""Exports that a worker takes and another may take up again; pictures of people as files."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

EXPORTS = """
ALTER TABLE data_exports
    ADD COLUMN attempts    integer NOT NULL DEFAULT 0,
    ADD COLUMN taken_until timestamptz,
    ADD COLUMN left_out    integer NOT NULL DEFAULT 0
"""
EXPORTS_INDEXES = (
    """
    CREATE UNIQUE INDEX ix_data_exports_pending ON data_exports (user_id)
     WHERE state = 'pending'
    """,
    """
    CREATE INDEX ix_data_exports_expires_at ON data_exports (expires_at)
     WHERE state = 'ready'
    """,
)
SOURCES = """
ALTER TABLE assets
    DROP CONSTRAINT ck_assets_source,
    ADD CONSTRAINT ck_assets_source
        CHECK (source IN ('upload', 'output', 'media', 'avatar'))
"""
SOURCES_BEFORE = """
ALTER TABLE assets
    DROP CONSTRAINT ck_assets_source,
    ADD CONSTRAINT ck_assets_source CHECK (source IN ('upload', 'output', 'media'))
"""
AVATARS_INDEX = """
CREATE INDEX ix_assets_avatars ON assets (confirmed_at)
 WHERE source = 'avatar' AND status = 'ready'
"""


def upgrade() -> None:
    for statement in (EXPORTS, *EXPORTS_INDEXES, SOURCES, AVATARS_INDEX):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX ix_assets_avatars")
    op.execute("DELETE FROM assets WHERE source = 'avatar'")
    op.execute(SOURCES_BEFORE)
    op.execute("DROP INDEX ix_data_exports_expires_at")
    op.execute("DROP INDEX ix_data_exports_pending")
    op.execute("""
        ALTER TABLE data_exports
            DROP COLUMN attempts, DROP COLUMN taken_until, DROP COLUMN left_out
    """)
