"""One's own account as JSON."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.core.http import CamelModel
from funmagic.credits import service as credits


class MyCreditsView(CamelModel):
    """Whole credits. ``available`` is what can be spent: balance less what is reserved."""

    available: int
    balance: int
    reserved: int


class MeView(CamelModel):
    """Whoever is signed in. ``avatarUrl`` is an address on this site, null without a picture;
    ``deletionDueAt`` is when the account will be erased, null unless that was asked for."""

    id: UUID
    email: str
    name: str
    role: str
    avatar_url: str | None
    has_password: bool
    theme: str
    accent: str
    locale: str
    credits: MyCreditsView
    deletion_due_at: datetime | None
    created_at: datetime


async def me_view(session: AsyncSession, user: User) -> MeView:
    """The person with what they can spend."""
    found = await credits.balance_of(session, user.id)
    return MeView(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        avatar_url=avatar_url(user),
        has_password=user.password_hash is not None,
        theme=user.theme,
        accent=user.accent,
        locale=user.locale,
        credits=MyCreditsView(
            available=found.available, balance=found.balance, reserved=found.reserved
        ),
        deletion_due_at=user.deletion_due_at,
        created_at=user.created_at,
    )


def avatar_url(user: User) -> str | None:
    """Where one's own picture is. Another picture has another address: answers may be kept."""
    if user.avatar_key is None:
        return None
    version = user.avatar_key.rpartition("/")[2].removesuffix(".webp")
    return f"/api/me/avatar?v={version}"
