"""A few true numbers of the whole house, counted when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.clock import now

# Ids are ordered by time, so the day's tasks are found by the primary key.
COUNTS = text("""
    SELECT (SELECT count(*) FROM tools WHERE is_active) AS tools_active,
           (SELECT count(*) FROM tools) AS tools,
           (SELECT count(*) FROM tasks WHERE status IN ('pending', 'queued', 'processing'))
               AS tasks_open,
           count(*) AS tasks,
           count(*) FILTER (WHERE status = 'completed') AS completed,
           count(*) FILTER (WHERE status = 'failed') AS failed
      FROM tasks
     WHERE id >= :first AND created_at >= :since
""")


@dataclass(frozen=True, slots=True)
class Overview:
    """Tools on offer and in all; the last 24 hours' tasks; tasks that wait or run now."""

    tools_active: int
    tools: int
    tasks: int
    completed: int
    failed: int
    tasks_open: int


async def overview(s: AsyncSession) -> Overview:
    """Count now."""
    since = now() - timedelta(hours=24)
    row = (await s.execute(COUNTS, {"since": since, "first": _first_id(since)})).one()
    return Overview(
        tools_active=row.tools_active,
        tools=row.tools,
        tasks=row.tasks,
        completed=row.completed,
        failed=row.failed,
        tasks_open=row.tasks_open,
    )


def _first_id(at: datetime) -> UUID:
    """The least id that can have been made at ``at``, or a little before, as clocks differ."""
    milliseconds = int((at - timedelta(minutes=5)).timestamp() * 1000)
    return UUID(int=milliseconds << 80)
