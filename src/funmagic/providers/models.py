"""Tables of the providers: what an operator configured, and every call made on a user's behalf."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base
from funmagic.core.ids import new_id


class Provider(Base):
    """One configured vendor. ``key`` names the adapter; credentials are stored encrypted only.

    ``config`` fits the adapter's ``config_model``. ``health_retiring`` maps models to the day the
    vendor takes them away, ``health_listed`` holds the models it says this account may use.
    """

    __tablename__ = "providers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(Text, unique=True)
    label: Mapped[str] = mapped_column(Text)
    is_enabled: Mapped[bool] = mapped_column(default=True, server_default=true())
    base_url: Mapped[str | None] = mapped_column(Text)
    credentials_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    credentials_set_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    config: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    is_simulated: Mapped[bool] = mapped_column(default=False, server_default=false())
    health_ok: Mapped[bool | None]
    health_message: Mapped[str | None] = mapped_column(Text)
    health_retiring: Mapped[dict[str, Any]] = mapped_column(
        JSONB, default=dict, server_default="{}"
    )
    health_listed: Mapped[list[str]] = mapped_column(JSONB, default=list, server_default="[]")
    health_checked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class ProviderCall(Base):
    """One call to a vendor, written down before it is made.

    ``call_no`` counts from 1 within a step of a task; ``fence`` is the task's fence of the worker
    that intended the call; ``handle`` finds the vendor's job again; ``response`` describes the
    files that came back; ``error_message`` is the vendor's text, for operators only. Costs are
    millionths of a US dollar. An abandoned call is asked for its cost at ``ask_again_at``.
    """

    __tablename__ = "provider_calls"
    __table_args__ = (
        UniqueConstraint("task_id", "step_id", "call_no"),
        CheckConstraint(
            "state IN ('intent', 'submitted', 'done', 'failed', 'abandoned')", name="state"
        ),
        CheckConstraint("call_no >= 1", name="call_no"),
        CheckConstraint("cost_usd_micros >= 0", name="cost"),
        CheckConstraint("state <> 'submitted' OR handle IS NOT NULL", name="handle"),
        CheckConstraint(
            "(state IN ('intent', 'submitted')) = (finished_at IS NULL)", name="finished"
        ),
        CheckConstraint("ask_again_at IS NULL OR state = 'abandoned'", name="ask_again"),
        Index(
            "ix_provider_calls_costs",
            *("provider_key", "created_at"),
            postgresql_include=["state", "cost_usd_micros"],
        ),
        Index(
            "ix_provider_calls_ask_again_at",
            "ask_again_at",
            postgresql_where=text("ask_again_at IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    task_id: Mapped[UUID]
    step_id: Mapped[str] = mapped_column(Text)
    call_no: Mapped[int] = mapped_column(Integer)
    provider_key: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    fence: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text, default="intent", server_default="intent")
    handle: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    request: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    response: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    meta: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default="{}")
    cost_usd_micros: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    error_trouble: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    submitted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ask_again_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
