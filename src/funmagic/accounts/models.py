"""Tables of people and their ways in."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from funmagic.core.db import Base

ROLES = ("user", "admin", "super_admin")


class User(Base):
    """A person. ``email`` is stored in lower case.

    ``avatar_key`` names a square WebP in the private bucket. A person who asked to be deleted is
    erased when ``deletion_due_at`` has come, and once more a while later; what stays of an erased
    one says nothing about them.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'admin', 'super_admin')", name="role"),
        CheckConstraint("email = lower(email)", name="email_lower"),
        CheckConstraint("theme IN ('system', 'light', 'dark')", name="theme"),
        Index(
            "ix_users_deletion_due",
            "deletion_due_at",
            postgresql_where=text("deletion_due_at IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100), server_default="")
    role: Mapped[str] = mapped_column(String(20), server_default="user")
    locale: Mapped[str] = mapped_column(String(10), server_default="en")
    email_verified_at: Mapped[datetime | None]
    password_hash: Mapped[str | None] = mapped_column(Text)
    password_set_at: Mapped[datetime | None]
    avatar_key: Mapped[str | None] = mapped_column(Text)
    theme: Mapped[str] = mapped_column(String(10), server_default="system")
    accent: Mapped[str] = mapped_column(String(20), server_default="violet")
    deletion_due_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class UserSession(Base):
    """One signed-in browser. Only the SHA-256 of its token is stored.

    The token is exchanged from time to time (``rotated_at``); the one before (``previous_hash``)
    stays good for as long as requests under way may carry it. ``authenticated_at`` is when the
    person last proved who they are, ``method`` how.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index(None, "user_id"),
        Index(None, "expires_at"),
        UniqueConstraint("previous_hash"),
        CheckConstraint(
            "method IN ('link', 'password', 'google', 'facebook', 'apple')", name="method"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_agent: Mapped[str] = mapped_column(String(300), server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]
    method: Mapped[str] = mapped_column(String(20), server_default="link")
    authenticated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    rotated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    previous_hash: Mapped[bytes | None] = mapped_column(LargeBinary)


class MailedLink(Base):
    """A link that was mailed: single use, of limited life. Tokens are stored as SHA-256 only.

    ``email`` is where it went; ``user_id`` whose account it is about, where there is one already;
    ``data`` what the purpose needs besides, such as the hash of the password a new account will
    have. ``browser_hash`` knows the browser that asked for it.
    """

    __tablename__ = "mailed_links"
    __table_args__ = (
        Index(None, "expires_at"),
        Index(None, "user_id"),
        Index("ix_mailed_links_reserved", "email", postgresql_where=text("purpose = 'keep_email'")),
        CheckConstraint(
            "purpose IN ('sign_in', 'confirm_account', 'reset_password', 'reauthenticate',"
            " 'change_email', 'keep_email', 'link_identity')",
            name="purpose",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    browser_hash: Mapped[bytes] = mapped_column(LargeBinary)
    next_path: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    purpose: Mapped[str] = mapped_column(String(20), server_default="sign_in")
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    data: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class Device(Base):
    """A browser a person has signed in with before, known by a long-lived cookie of its own."""

    __tablename__ = "devices"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Identity(Base):
    """A person's account elsewhere. ``subject`` is the provider's own, unchanging id of it."""

    __tablename__ = "identities"
    __table_args__ = (
        UniqueConstraint("provider", "subject"),
        UniqueConstraint("user_id", "provider"),
        CheckConstraint("provider IN ('google', 'facebook', 'apple')", name="provider"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    provider: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class OAuthAttempt(Base):
    """One round trip to a provider, from the click to the answer.

    ``sealed`` keeps what must come back with it (nonce, PKCE verifier); ``answer`` what a provider
    posted, until the browser comes for it; both encrypted.
    """

    __tablename__ = "oauth_attempts"
    __table_args__ = (
        Index(None, "expires_at"),
        Index(None, "user_id"),
        CheckConstraint("provider IN ('google', 'facebook', 'apple')", name="provider"),
        CheckConstraint("purpose IN ('sign_in', 'link', 'reauthenticate')", name="purpose"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(String(20))
    purpose: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    state_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    browser_hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    next_path: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiKey(Base):
    """A program's way in. The key is shown once; kept are its SHA-256 and its first characters."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    hint: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(40)))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class DataExport(Base):
    """A copy of all that is a person's own, made by a worker, which has it until ``taken_until``.

    ``key`` names the archive's object; ``left_out`` counts the files that are not in it.
    """

    __tablename__ = "data_exports"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index(
            "ix_data_exports_pending",
            "user_id",
            unique=True,
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_data_exports_expires_at",
            "expires_at",
            postgresql_where=text("state = 'ready'"),
        ),
        CheckConstraint("state IN ('pending', 'ready', 'failed', 'expired')", name="state"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(20), server_default="pending")
    key: Mapped[str | None] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(server_default="0")
    taken_until: Mapped[datetime | None]
    left_out: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
