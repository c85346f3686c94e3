"""The table of outgoing mail."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base


class OutgoingMail(Base):
    """One message. ``sealed`` is the whole of it, encrypted, as it may carry a link that signs in;
    it goes once the message is sent, given up or of no use any more.

    ``due_at`` is when it may be sent: while a worker is at it, when that one is given up on.
    """

    __tablename__ = "mails"
    __table_args__ = (
        Index(None, "created_at"),
        Index("ix_mails_due_at", "due_at", postgresql_where=text("sealed IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str] = mapped_column(String(500), server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    due_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
