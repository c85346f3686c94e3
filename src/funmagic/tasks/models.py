"""Tables of tasks, their steps and their events."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base

WAITING = frozenset({"pending", "queued"})
ENDED = frozenset({"completed", "failed"})
STATUSES = ("pending", "queued", "processing", "completed", "failed")
STATUS_CHECK = "status IN ('pending', 'queued', 'processing', 'completed', 'failed')"
OPEN_STATUSES = "status IN ('pending', 'queued', 'processing')"


class Task(Base):
    """One run of a tool's step by one person.

    ``fence`` grows with every claim, so a worker that lost its lease cannot write any more;
    ``attempt`` is part of the queue's job id, so a new attempt is a new job. ``config`` is a
    snapshot of what the price was computed from. ``error_message`` is an English message
    id for the owner.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint(STATUS_CHECK, name="status"),
        CheckConstraint("price_credits >= 0", name="price"),
        UniqueConstraint("user_id", "idempotency_key"),
        Index("ix_tasks_user", "user_id", "id"),
        Index(None, "parent_task_id"),
        Index("ix_tasks_user_tool", "user_id", "tool_id", "id"),
        Index("ix_tasks_open", "lease_expires_at", postgresql_where=text(OPEN_STATUSES)),
        Index(
            "ix_tasks_completed",
            "tool_id",
            "completed_at",
            postgresql_where=text("status = 'completed'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    tool_id: Mapped[UUID] = mapped_column(ForeignKey("tools.id", ondelete="RESTRICT"))
    parent_task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="RESTRICT"))
    status: Mapped[str] = mapped_column(String(12), server_default="pending")
    price_credits: Mapped[int] = mapped_column(Integer)
    input: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any] | None]
    error_type: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)
    last_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    attempt: Mapped[int] = mapped_column(Integer, server_default="1")
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_expires_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime]
    cancel_requested_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(100))
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    request_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class TaskStep(Base):
    """One step of a task. ``progress`` is a percentage."""

    __tablename__ = "task_steps"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed')", name="status"
        ),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
    )

    task_id: Mapped[UUID] = mapped_column(
        ForeignKey("tasks.id", ondelete="RESTRICT"), primary_key=True
    )
    ordinal: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    step_id: Mapped[str] = mapped_column(String(60))
    status: Mapped[str] = mapped_column(String(12), server_default="pending")
    progress: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    output: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class TaskEvent(Base):
    """What the owner is told, in order. ``seq`` counts from 1 without gaps, in commit order.

    A ``partial_result`` has its picture's ``key`` in ``data`` as long as the picture exists.
    """

    __tablename__ = "task_events"
    __table_args__ = (
        Index(
            "ix_task_events_previews",
            "at",
            postgresql_where=text("type = 'partial_result' AND data ? 'key'"),
        ),
    )

    task_id: Mapped[UUID] = mapped_column(
        ForeignKey("tasks.id", ondelete="RESTRICT"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str] = mapped_column(String(30))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
