"""What the owner sees while a step works: its start, and percentages that only grow."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.tasks import claims, events
from funmagic.tasks.claims import Claim
from funmagic.tasks.events import Event

log = logger(__name__)

SHORTEST_PAUSE_S: Final = 0.4
HIGHEST_BEFORE_END: Final = 99

START_STEP = text("""
    UPDATE task_steps SET status = 'processing', started_at = now()
     WHERE task_id = :task_id AND step_id = :step_id AND status = 'pending'
    RETURNING step_id
""")
ADVANCE = text("""
    UPDATE task_steps SET progress = :progress
     WHERE task_id = :task_id AND step_id = :step_id AND progress < :progress
       AND status = 'processing'
    RETURNING progress
""")


async def start_step(session: AsyncSession, held: Claim, step_id: str) -> list[Event]:
    """Mark the step as running and say so, once however many workers resume it."""
    await claims.lock(session, held)
    values = {"task_id": held.id, "step_id": step_id}
    if (await session.execute(START_STEP, values)).one_or_none() is None:
        return []
    return [await events.append(session, held.id, "step_started", stepId=step_id)]


class ProgressReporter:
    """Thins out a vendor's reports: at most one event in ``SHORTEST_PAUSE_S``, never backwards."""

    def __init__(self, resources: Resources, held: Claim, step_id: str) -> None:
        self._resources = resources
        self._held = held
        self._step_id = step_id
        self._highest = 0
        self._next_at = 0.0

    async def report(self, percent: int) -> None:
        """Tell the owner. An outage is not the vendor's problem: the report is dropped."""
        percent = min(max(percent, 0), HIGHEST_BEFORE_END)
        if percent <= self._highest or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + SHORTEST_PAUSE_S
        self._highest = percent
        values = {"task_id": self._held.id, "step_id": self._step_id, "progress": percent}
        try:
            async with self._resources.db.transaction() as session:
                await claims.lock(session, self._held)
                if (await session.execute(ADVANCE, values)).one_or_none() is None:
                    return
                event = await events.append(
                    session, self._held.id, "progress", stepId=self._step_id, progress=percent
                )
        except OUTAGES as error:
            log.warning("progress not written", error=str(error))
            return
        await events.publish(self._resources.redis, [event])
