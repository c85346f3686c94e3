"""Everybody, for admins: found by address, name or role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import keys, sessions
from funmagic.accounts.models import ROLES, Identity, User
from funmagic.accounts.roles import NO_SUCH_ROLE
from funmagic.core.errors import Invalid, NotFound
from funmagic.core.paging import DEFAULT_LIMIT, newest


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How a person gets in: browsers signed in, keys that are good, accounts elsewhere."""

    sessions: int
    last_seen_at: datetime | None
    keys: int
    providers: tuple[str, ...]


async def page(
    session: AsyncSession,
    *,
    q: str = "",
    role: str | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> tuple[list[User], str | None]:
    """People, the newest first, and the next page's cursor; ``q`` is part of address or name.

    Raises :class:`Invalid`.
    """
    query = select(User).where(User.erased_at.is_(None))
    if role is not None:
        if role not in ROLES:
            raise Invalid(NO_SUCH_ROLE, fields={"role": NO_SUCH_ROLE})
        query = query.where(User.role == role)
    if words := q.strip():
        query = query.where(
            User.email.icontains(words, autoescape=True)
            | User.name.icontains(words, autoescape=True)
        )
    return await newest(session, query, User.id, limit=limit, cursor=cursor)


async def one(session: AsyncSession, user_id: UUID) -> User:
    """One person who is not erased. Raises :class:`NotFound`."""
    found = await session.get(User, user_id)
    if found is None or found.erased_at is not None:
        raise NotFound
    return found


async def ways_in(session: AsyncSession, user_id: UUID) -> WaysIn:
    """How this person gets in, counted."""
    open_sessions = await sessions.listed(session, user_id)
    providers = await session.scalars(
        select(Identity.provider).where(Identity.user_id == user_id).order_by(Identity.provider)
    )
    return WaysIn(
        sessions=len(open_sessions),
        last_seen_at=open_sessions[0].last_used_at if open_sessions else None,
        keys=len(await keys.listed(session, user_id)),
        providers=tuple(providers),
    )


async def addresses(session: AsyncSession, user_ids: Iterable[UUID]) -> Mapping[UUID, str]:
    """The e-mail address of each of these people, where they are still there."""
    found = await session.execute(select(User.id, User.email).where(User.id.in_(set(user_ids))))
    return {row.id: row.email for row in found}
