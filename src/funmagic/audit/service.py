"""Writing acts down, and reading them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.audit.models import Act
from funmagic.core import log as logs
from funmagic.core.ids import new_id

FORGET = text("""
    UPDATE audit_log SET data = '{}'
     WHERE actor_id = :user_id
        OR (subject_type = 'user' AND subject_id = CAST(CAST(:user_id AS uuid) AS text))
""")


async def record(
    session: AsyncSession,
    *,
    actor_id: UUID | None,
    action: str,
    subject_type: str,
    subject_id: object,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write one act into the caller's transaction: it is on record if and only if it happened.

    ``action`` is ``noun.verb`` in the past tense (``role.changed``); ``data`` is JSON and holds no
    secret. The id of the request is taken from the log's context.
    """
    session.add(
        Act(
            id=new_id(),
            actor_id=actor_id,
            action=action,
            subject_type=subject_type,
            subject_id=str(subject_id),
            data=dict(data or {}),
            request_id=logs.request_id() or "",
        )
    )


async def record_own(
    session: AsyncSession, user_id: UUID, action: str, data: Mapping[str, Any] | None = None
) -> None:
    """Write down what somebody did to their own account, as :func:`record` does."""
    await record(
        session,
        actor_id=user_id,
        action=action,
        subject_type="user",
        subject_id=user_id,
        data=data,
    )


async def forget(session: AsyncSession, user_id: UUID) -> None:
    """Take the particulars out of what a person did and of what was done to them: that it was done,
    and when, stays."""
    await session.execute(FORGET, {"user_id": user_id})


async def about(
    session: AsyncSession, subject_type: str, subject_id: object, *, limit: int
) -> Sequence[Act]:
    """The newest acts done to somebody or something, newest first."""
    found = await session.scalars(
        select(Act)
        .where(Act.subject_type == subject_type, Act.subject_id == str(subject_id))
        .order_by(Act.id.desc())
        .limit(limit)
    )
    return found.all()


async def by(session: AsyncSession, actor_id: UUID, *, limit: int) -> Sequence[Act]:
    """The newest acts of one person that were not about themselves, newest first."""
    found = await session.scalars(
        select(Act)
        .where(Act.actor_id == actor_id, Act.subject_id != str(actor_id))
        .order_by(Act.id.desc())
        .limit(limit)
    )
    return found.all()
