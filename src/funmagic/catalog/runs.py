"""Who has completed runs of which tool: only they may rate it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.jobs import editions

RECORD: Final = text("""
    INSERT INTO tool_runs (user_id, tool_id) VALUES (:user_id, :tool_id)
    ON CONFLICT (user_id, tool_id)
    DO UPDATE SET run_count = tool_runs.run_count + 1, last_run_at = now()
""")
STANDING: Final = text("""
    SELECT (SELECT stars FROM tool_ratings WHERE user_id = :user_id AND tool_id = :tool_id),
           EXISTS (SELECT FROM tool_runs WHERE user_id = :user_id AND tool_id = :tool_id),
           EXISTS (SELECT FROM tool_bookmarks WHERE user_id = :user_id AND tool_id = :tool_id)
""")
# In the order of the tools, so that two who leave at once do not wait for each other.
ERASE: Final = (
    text("""
        SELECT FROM tools
         WHERE id IN (SELECT tool_id FROM tool_ratings WHERE user_id = :user_id)
         ORDER BY id FOR NO KEY UPDATE
    """),
    text("DELETE FROM tool_ratings WHERE user_id = :user_id"),
    text("DELETE FROM tool_bookmarks WHERE user_id = :user_id"),
    text("DELETE FROM tool_runs WHERE user_id = :user_id"),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has to do with a tool: the stars they gave it, 1 to 5, or None."""

    stars: int | None = None
    has_run: bool = False
    is_bookmarked: bool = False


async def record_run(s: AsyncSession, user_id: UUID, tool_id: UUID) -> None:
    """Note a completed run, in the transaction that completes it."""
    await s.execute(RECORD, {"user_id": user_id, "tool_id": tool_id})


async def standing(s: AsyncSession, user_id: UUID, tool_id: UUID) -> Standing:
    """What somebody has to do with a tool."""
    found = await s.execute(STANDING, {"user_id": user_id, "tool_id": tool_id})
    return Standing(*found.one())


async def erase(s: AsyncSession, user_id: UUID) -> None:
    """Take out what tools somebody ran, rated and kept; the tools' ratings follow."""
    for statement in ERASE:
        await s.execute(statement, {"user_id": user_id})
    await editions.bump(s)
