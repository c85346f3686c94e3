"""Rows of the tasks table, as bare as the books need them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

ADD_TASK = text("""
    INSERT INTO tasks (id, user_id, tool_id, status, price_credits, input, config, request_hash,
                       deadline_at)
    SELECT :id, :user_id, tools.id, :status, :price_credits, '{}', '{}', sha256(''),
           now() + interval '1 hour'
      FROM tools LIMIT 1
    RETURNING id
""")


async def add_task(
    s: AsyncSession, task_id: UUID, user_id: UUID, *, status: str, price_credits: int
) -> None:
    """A task in ``status`` at ``price_credits``, with nothing done."""
    values = {
        "id": task_id,
        "user_id": user_id,
        "status": status,
        "price_credits": price_credits,
    }
    (await s.execute(ADD_TASK, values)).one()
