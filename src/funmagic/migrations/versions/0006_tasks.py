"""Files and tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)
OPEN = "status IN ('pending', 'queued', 'processing')"


def upgrade() -> None:
    _create_assets()
    _create_tasks()
    _create_steps_and_events()


def _create_assets() -> None:
    op.create_table(
        "assets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("visibility", sa.String(10), server_default="private", nullable=False),
        sa.Column("storage_key", sa.String(300), nullable=False),
        sa.Column("content_type", sa.String(100), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("etag", sa.String(100)),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("task_id", sa.UUID()),
        sa.Column("step_id", sa.String(60)),
        sa.Column("saved_at", TIMESTAMP),
        sa.Column("confirmed_at", TIMESTAMP),
        sa.Column("created_at", TIMESTAMP, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_assets"),
        sa.UniqueConstraint("storage_key", name="uq_assets_storage_key"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_assets_user_id", ondelete="RESTRICT"
        ),
        sa.CheckConstraint("kind IN ('image', '3d')", name="ck_assets_kind"),
        sa.CheckConstraint("source IN ('upload', 'output')", name="ck_assets_source"),
        sa.CheckConstraint("status IN ('pending', 'ready', 'expired')", name="ck_assets_status"),
        sa.CheckConstraint("visibility IN ('private', 'public')", name="ck_assets_visibility"),
        sa.CheckConstraint("size_bytes > 0", name="ck_assets_size"),
    )
    op.create_index("ix_assets_user_id_id", "assets", ["user_id", "id"])
    op.create_index(
        "ix_assets_task_id", "assets", ["task_id"], postgresql_where="task_id IS NOT NULL"
    )
    op.create_index(
        "ix_assets_not_ready", "assets", ["created_at"], postgresql_where="status <> 'ready'"
    )


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("tool_id", sa.UUID(), nullable=False),
        sa.Column("parent_task_id", sa.UUID()),
        sa.Column("status", sa.String(12), server_default="pending", nullable=False),
        sa.Column("price_credits", sa.Integer(), nullable=False),
        sa.Column("input", JSONB(), nullable=False),
        sa.Column("config", JSONB(), nullable=False),
        sa.Column("output", JSONB()),
        sa.Column("error_type", sa.String(40)),
        sa.Column("error_message", sa.Text()),
        sa.Column("last_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="1", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.String(100)),
        sa.Column("lease_expires_at", TIMESTAMP),
        sa.Column("deadline_at", TIMESTAMP, nullable=False),
        sa.Column("cancel_requested_at", TIMESTAMP),
        sa.Column("idempotency_key", sa.String(100)),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("created_at", TIMESTAMP, server_default=sa.text("now()"), nullable=False),
        sa.Column("queued_at", TIMESTAMP),
        sa.Column("started_at", TIMESTAMP),
        sa.Column("completed_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_tasks_user_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["tools.id"], name="fk_tasks_tool_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["parent_task_id"], ["tasks.id"], name="fk_tasks_parent_task_id", ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_tasks_user_id_idempotency_key"),
        sa.CheckConstraint(
            "status IN ('pending', 'queued', 'processing', 'completed', 'failed')",
            name="ck_tasks_status",
        ),
        sa.CheckConstraint("price_credits >= 0", name="ck_tasks_price"),
    )
    op.create_index("ix_tasks_user", "tasks", ["user_id", "id"])
    op.create_index("ix_tasks_user_tool", "tasks", ["user_id", "tool_id", "id"])
    op.create_index("ix_tasks_open", "tasks", ["lease_expires_at"], postgresql_where=OPEN)


def _create_steps_and_events() -> None:
    op.create_table(
        "task_steps",
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("step_id", sa.String(60), nullable=False),
        sa.Column("status", sa.String(12), server_default="pending", nullable=False),
        sa.Column("progress", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("output", JSONB()),
        sa.Column("started_at", TIMESTAMP),
        sa.Column("completed_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("task_id", "ordinal", name="pk_task_steps"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_task_steps_task_id", ondelete="RESTRICT"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed')",
            name="ck_task_steps_status",
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name="ck_task_steps_progress"),
    )
    op.create_table(
        "task_events",
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(30), nullable=False),
        sa.Column("data", JSONB(), nullable=False),
        sa.Column("at", TIMESTAMP, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "seq", name="pk_task_events"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_task_events_task_id", ondelete="RESTRICT"
        ),
    )


def downgrade() -> None:
    for table in ("task_events", "task_steps", "tasks", "assets"):
        op.drop_table(table)
