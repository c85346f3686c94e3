"""The table of files."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base


class Asset(Base):
    """One stored file of one person.

    ``pending`` means that an upload address was given out and nothing is known to have arrived;
    only ``ready`` files can be used; ``expired`` ones are being removed. A ``media`` file belongs
    to a tool: an admin uploaded it, and whoever sees the tool sees it; an ``avatar`` is a picture
    of its owner, as it was uploaded or as it is shown. ``thumbnail_key`` is a small WebP of what is
    seen; ``is_relief`` says that a 3D model has a front only. ``task_id`` and ``step_id`` name what
    made an output; tasks live above files, so there is no foreign key. ``etag`` is S3's, quotes
    included.
    """

    __tablename__ = "assets"
    __table_args__ = (
        CheckConstraint("kind IN ('image', '3d')", name="kind"),
        CheckConstraint("source IN ('upload', 'output', 'media', 'avatar')", name="source"),
        CheckConstraint("status IN ('pending', 'ready', 'expired')", name="status"),
        CheckConstraint("visibility IN ('private', 'public')", name="visibility"),
        CheckConstraint("size_bytes > 0", name="size"),
        Index(None, "user_id", "id"),
        Index(None, "task_id", postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_assets_not_ready", "created_at", postgresql_where=text("status <> 'ready'")),
        Index(
            "ix_assets_avatars",
            "confirmed_at",
            postgresql_where=text("source = 'avatar' AND status = 'ready'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    kind: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10))
    visibility: Mapped[str] = mapped_column(String(10), server_default="private")
    storage_key: Mapped[str] = mapped_column(String(300), unique=True)
    content_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int | None]
    height: Mapped[int | None]
    etag: Mapped[str | None] = mapped_column(String(100))
    thumbnail_key: Mapped[str | None] = mapped_column(String(300))
    is_relief: Mapped[bool] = mapped_column(server_default=false())
    file_name: Mapped[str] = mapped_column(String(200))
    task_id: Mapped[UUID | None]
    step_id: Mapped[str | None] = mapped_column(String(60))
    saved_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
