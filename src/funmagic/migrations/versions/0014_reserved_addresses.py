"""Find the address an account may still be taken back to, without reading every link."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX ix_mailed_links_reserved ON mailed_links (email)
         WHERE purpose = 'keep_email'
    """)


def downgrade() -> None:
    op.execute("DROP INDEX ix_mailed_links_reserved")
