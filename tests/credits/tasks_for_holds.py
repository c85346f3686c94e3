"""Rows of the tasks table, as bare as the books need them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def add_task(
    s: AsyncSession, task_id: UUID, user_id: UUID, *, status: str, price_credits: int
) -> None:
    """A task in ``status`` at ``price_credits``, with nothing done."""
    await s.execute(
        text("INSERT INTO tasks (id, user_id, status, price_credits) VALUES (:id, :u, :s, :p)"),
        {"id": task_id, "u": user_id, "s": status, "p": price_credits},
    )
