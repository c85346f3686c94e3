"""Find a tool's newest runs, for what a run usually takes; and unfinished pictures to remove."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX ix_tasks_completed ON tasks (tool_id, completed_at)
         WHERE status = 'completed'
    """)
    op.execute("""
        CREATE INDEX ix_task_events_previews ON task_events (at)
         WHERE type = 'partial_result' AND data ? 'key'
    """)


def downgrade() -> None:
    op.execute("DROP INDEX ix_task_events_previews")
    op.execute("DROP INDEX ix_tasks_completed")
