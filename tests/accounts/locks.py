"""Meetings at a row: tests of races hold it until the others wait for it."""

from __future__ import annotations

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def until_somebody_waits(session: AsyncSession, people: int = 1) -> None:
    """Return when so many wait for a lock. ``session`` is the one that holds it."""
    for _ in range(5_000):
        if (await session.scalar(WAITING) or 0) >= people:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")
