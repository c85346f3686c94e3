"""Who works on a task: claim, renew. One conditional UPDATE decides each.

A lease is a promise that expires; a fence is a number that grows with every claim. Whoever holds
the newest fence may write, whatever older workers believe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

CLAIM = text("""
    UPDATE tasks
       SET status = 'processing',
           fence = fence + 1,
           lease_owner = :owner,
           lease_expires_at = now() + make_interval(secs => :lease_s),
           deadline_at = CASE WHEN started_at IS NULL
                              THEN now() + make_interval(secs => (config ->> 'deadlineS')::float)
                              ELSE deadline_at END,
           started_at = coalesce(started_at, now())
     WHERE id = :task_id
       AND attempt = :attempt
       AND (status IN ('pending', 'queued')
            OR (status = 'processing' AND (lease_owner IS NULL OR lease_expires_at < now())))
    RETURNING id, user_id, tool_id, parent_task_id, fence, price_credits, input, config,
              deadline_at, request_id, cancel_requested_at IS NOT NULL AS is_cancelling
""")
CLAIM_OVERDUE = text("""
    UPDATE tasks
       SET status = 'processing',
           fence = fence + 1,
           lease_owner = :owner,
           lease_expires_at = now() + make_interval(secs => :lease_s)
     WHERE id = :task_id
       AND started_at IS NOT NULL
       AND status IN ('queued', 'processing')
       AND deadline_at < now()
       AND (lease_expires_at IS NULL OR lease_expires_at < now())
    RETURNING id, user_id, tool_id, parent_task_id, fence, price_credits, input, config,
              deadline_at, request_id, cancel_requested_at IS NOT NULL AS is_cancelling
""")
RENEW = text("""
    UPDATE tasks SET lease_expires_at = now() + make_interval(secs => :lease_s)
     WHERE id = :task_id AND fence = :fence AND status = 'processing'
    RETURNING cancel_requested_at IS NOT NULL AS is_cancelling
""")
LOCK_FENCED = text("""
    SELECT id FROM tasks
     WHERE id = :task_id AND fence = :fence AND status = 'processing'
       FOR UPDATE
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one task until the lease runs out.

    With ``is_cancelling`` its owner had asked for its end before.
    """

    id: UUID
    user_id: UUID
    tool_id: UUID
    parent_task_id: UUID | None
    fence: int
    price_credits: int
    input: dict[str, Any]
    config: dict[str, Any]
    deadline_at: datetime
    request_id: str | None
    is_cancelling: bool = False


class LeaseLost(Exception):
    """Another worker has the task, or it has ended. Whatever is in hand is dropped."""


async def claim(
    session: AsyncSession,
    task_id: UUID,
    attempt: int,
    *,
    owner: str,
    lease_s: float,
) -> Claim | None:
    """Take the task, or None where it ended, is held by a live worker, or this job is outdated."""
    values = {
        "task_id": task_id,
        "attempt": attempt,
        "owner": owner,
        "lease_s": lease_s,
    }
    row = (await session.execute(CLAIM, values)).one_or_none()
    return None if row is None else Claim(*row)


async def claim_overdue(
    session: AsyncSession, task_id: UUID, *, owner: str, lease_s: float
) -> Claim | None:
    """Take a task whose deadline has passed, for one last question to its vendor; or None."""
    values = {"task_id": task_id, "owner": owner, "lease_s": lease_s}
    row = (await session.execute(CLAIM_OVERDUE, values)).one_or_none()
    return None if row is None else Claim(*row)


async def renew(session: AsyncSession, held: Claim, lease_s: float) -> bool:
    """Promise again; True where the owner wants the task to end. Raises :class:`LeaseLost`."""
    values = {"task_id": held.id, "fence": held.fence, "lease_s": lease_s}
    row = (await session.execute(RENEW, values)).one_or_none()
    if row is None:
        raise LeaseLost
    return bool(row.is_cancelling)


async def lock(session: AsyncSession, held: Claim) -> None:
    """Lock the task's row for a write that only the holder may make. Raises :class:`LeaseLost`."""
    values = {"task_id": held.id, "fence": held.fence}
    if (await session.execute(LOCK_FENCED, values)).one_or_none() is None:
        raise LeaseLost
