"""Tables of the ledger, for reading; they are written only by the functions of ``ledger.sql``."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base


class CreditAccount(Base):
    """One user's credits. Available is ``balance - reserved``; ``owed`` is repaid first."""

    __tablename__ = "credit_accounts"
    __table_args__ = (
        CheckConstraint("0 <= reserved AND reserved <= balance", name="reserved"),
        CheckConstraint("owed >= 0", name="owed"),
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="RESTRICT"), primary_key=True
    )
    balance: Mapped[int] = mapped_column(BigInteger, server_default="0")
    reserved: Mapped[int] = mapped_column(BigInteger, server_default="0")
    owed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    entry_no: Mapped[int] = mapped_column(BigInteger, server_default="0")
    head_hash: Mapped[bytes] = mapped_column(
        LargeBinary, server_default=text("decode(repeat('00', 32), 'hex')")
    )


class CreditHold(Base):
    """Credits set aside for one task; ``id`` is the task's. Resolved exactly once."""

    __tablename__ = "credit_holds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("state IN ('open', 'captured', 'released')", name="state"),
        CheckConstraint(
            "CASE state WHEN 'captured' THEN captured BETWEEN 1 AND amount ELSE captured = 0 END",
            name="captured",
        ),
        CheckConstraint("(state = 'open') = (resolved_at IS NULL)", name="resolved"),
        Index("ix_credit_holds_open", "user_id", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("credit_accounts.user_id", ondelete="RESTRICT")
    )
    amount: Mapped[int] = mapped_column(BigInteger)
    captured: Mapped[int] = mapped_column(BigInteger, server_default="0")
    state: Mapped[str] = mapped_column(Text, server_default="open")
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    resolved_at: Mapped[datetime | None]


class CreditTransaction(Base):
    """One entry of the ledger, append-only, chained by hash to the entry before it.

    ``amount`` changes the balance, ``reserved_delta`` what is set aside, ``owed_delta`` what is
    owed. No personal data: the entry outlives the user's erasure.
    """

    __tablename__ = "credit_transactions"
    __table_args__ = (
        UniqueConstraint("idempotency_key"),
        CheckConstraint("0 <= reserved_after AND reserved_after <= balance_after", name="after"),
    )

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("credit_accounts.user_id", ondelete="RESTRICT"), primary_key=True
    )
    entry_no: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    amount: Mapped[int] = mapped_column(BigInteger)
    reserved_delta: Mapped[int] = mapped_column(BigInteger)
    owed_delta: Mapped[int] = mapped_column(BigInteger)
    balance_after: Mapped[int] = mapped_column(BigInteger)
    reserved_after: Mapped[int] = mapped_column(BigInteger)
    description: Mapped[str] = mapped_column(Text)
    reference_type: Mapped[str | None] = mapped_column(Text)
    reference_id: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
