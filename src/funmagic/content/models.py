"""Tables of what the operator says on the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, String, Text, func, text, true
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base
from funmagic.core.ids import new_id


class BannerRow(Base):
    """One banner. ``main`` ones take turns at the top of the home page, ``side`` ones stand beside.

    ``link`` is a path without locale such as ``/tools/figme``, or an https address. ``picture`` is
    the id of an admin's picture or the name of a built-in one. ``translations`` is
    ``{"de": {"title", "text", "badge", "linkLabel"}}``, each text optional.
    """

    __tablename__ = "banners"
    __table_args__ = (
        CheckConstraint("placement IN ('main', 'side')", name="placement"),
        CheckConstraint("link ~ '^(/([^/]|$)|https://)'", name="link"),
        CheckConstraint("ends_at > starts_at", name="schedule"),
        CheckConstraint("jsonb_typeof(translations) = 'object'", name="translations"),
        Index(
            "ix_banners_shown", "placement", "position", "id", postgresql_where=text("is_active")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    placement: Mapped[str] = mapped_column(String(4))
    title: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text, server_default="")
    badge: Mapped[str] = mapped_column(Text, server_default="")
    link: Mapped[str] = mapped_column(Text)
    link_label: Mapped[str] = mapped_column(Text, server_default="")
    picture: Mapped[str | None] = mapped_column(Text)
    translations: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    position: Mapped[int] = mapped_column(Integer, server_default="0")
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(server_default=true())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
