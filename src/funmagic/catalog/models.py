"""Tables of the catalog: kinds of tools, and the tools on offer."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Text,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from funmagic.core.db import Base
from funmagic.core.ids import new_id

# Lower-case words joined by single hyphens: what may stand in an address.
SLUG = "^[a-z0-9]+(-[a-z0-9]+)*$"


class ToolType(Base):
    """A kind of tool, the catalog's filter. ``name`` is a slug, ``display_name`` is shown."""

    __tablename__ = "tool_types"
    __table_args__ = (CheckConstraint(f"name ~ '{SLUG}'", name="name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Text, unique=True)
    display_name: Mapped[str] = mapped_column(Text)
    sort_order: Mapped[int] = mapped_column(default=0, server_default="0")
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class Tool(Base):
    """One tool on offer. ``implementation`` is the key of a plug-in; several rows may share one.

    ``config`` is ``{"steps": {step_id: {"priceCredits", "providers", "settings"}}}``, checked by
    ``catalog.config`` against the plug-in whenever it is written.
    """

    __tablename__ = "tools"
    __table_args__ = (
        CheckConstraint(f"slug ~ '{SLUG}' AND length(slug) <= 80", name="slug"),
        CheckConstraint("coalesce(jsonb_typeof(config -> 'steps'), '') = 'object'", name="config"),
        CheckConstraint("usage_count >= 0", name="usage_count"),
        Index("ix_tools_active", "tool_type_id", "title", postgresql_where=text("is_active")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    implementation: Mapped[str] = mapped_column(Text)
    tool_type_id: Mapped[UUID] = mapped_column(ForeignKey("tool_types.id"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    thumbnail: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    is_featured: Mapped[bool] = mapped_column(default=False, server_default=false())
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    usage_count: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )

    tool_type: Mapped[ToolType] = relationship(lazy="raise")
