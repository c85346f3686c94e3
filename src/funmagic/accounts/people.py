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
from funmagic.core.paging import DEFAULT_LIMIT, check_limit, decode_id, encode_cursor


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

    Rows are met in the order of their ids, by the primary key: a page costs what it takes to find
    its rows, wherever it begins. Raises :class:`Invalid`.
    """
    check_limit(limit)
    query = select(User).where(User.erased_at.is_(None))
    if role is not None:
        if role not in ROLES:
            raise Invalid(NO_SUCH_ROLE, fields={"role": NO_SUCH_ROLE})
        query = query.where(User.role == role)
    if cursor is not None:
        query = query.where(User.id < decode_id(cursor))
    if words := q.strip():
        query = query.where(
            User.email.icontains(words, autoescape=True)
            | User.name.icontains(words, autoescape=True)
        )
    found = list(await session.scalars(query.order_by(User.id.desc()).limit(limit + 1)))
    if len(found) <= limit:
        return found, None
    return found[:limit], encode_cursor(str(found[limit - 1].id))


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
