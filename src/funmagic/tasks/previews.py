"""Unfinished pictures for the person who waits: shown while a step works, gone soon after its end.

The event is written before the object, so that no object is ever stored that no row names; it has
the ``key`` as long as the object may exist.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from sqlalchemy import text

from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers.contract import File
from funmagic.tasks import claims, events
from funmagic.tasks.claims import Claim, LeaseLost
from funmagic.tasks.events import Event
from funmagic.toolkit import images
from funmagic.toolkit.contract import InvalidInput

log = logger(__name__)

TYPE: Final = "partial_result"
MOST: Final = 8  # of one step, however many workers resume it
SHORTEST_PAUSE_S: Final = 0.4
SHOW_LIMIT_S: Final = 5.0  # the vendor's answer waits meanwhile
SWEEP_BATCH: Final = 100

SHOWN = text(f"""
    SELECT count(*) FROM task_events
     WHERE task_id = :task_id AND type = '{TYPE}' AND data ->> 'stepId' = :step_id
""")  # noqa: S608 - our own constant
OVER = text(f"""
    SELECT event.task_id, event.seq, event.data ->> 'key' AS key
      FROM task_events AS event JOIN tasks ON tasks.id = event.task_id
     WHERE event.type = '{TYPE}' AND event.data ? 'key'
       AND tasks.status IN ('completed', 'failed')
     ORDER BY event.at LIMIT :batch
""")  # noqa: S608 - as above
FORGET = text("""
    UPDATE task_events SET data = data - 'key' WHERE task_id = :task_id AND seq = :seq
""")


class Previews:
    """Thins out a vendor's unfinished pictures: at most ``MOST`` a step, one in 0.4 s."""

    def __init__(self, resources: Resources, held: Claim, step_id: str) -> None:
        self._resources = resources
        self._held = held
        self._step_id = step_id
        self._is_full = False
        self._next_at = 0.0

    async def show(self, file: File) -> None:
        """Show the owner a small copy. What stands in the way is not the vendor's problem."""
        if self._is_full or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + SHORTEST_PAUSE_S
        small = file.path.with_name(f"{file.path.name}.preview.webp")
        try:
            async with asyncio.timeout(SHOW_LIMIT_S):
                await images.in_thread(lambda: images.thumbnail(file.path, small))
                event = await self._write_down()
                if event is None:
                    return
                key = event.data["key"]
                await self._resources.storage.put(key, small, content_type="image/webp")
                await events.publish(self._resources.redis, [event])
        except (InvalidInput, LeaseLost, TimeoutError, *OUTAGES) as error:
            log.warning("unfinished picture not shown", error=repr(error))

    async def _write_down(self) -> Event | None:
        held = self._held
        async with self._resources.db.transaction() as session:
            await claims.lock(session, held)
            values = {"task_id": held.id, "step_id": self._step_id}
            index = int(await session.scalar(SHOWN, values) or 0)
            self._is_full = index + 1 >= MOST
            if index >= MOST:
                return None
            key = f"previews/{held.user_id}/{held.id}/{self._step_id}/{index}.webp"
            return await events.append(
                session, held.id, TYPE, stepId=self._step_id, index=index, key=key
            )


async def sweep(resources: Resources) -> int:
    """Remove the unfinished pictures of tasks that have ended; returns how many.

    Safe to run twice. A storage that is away raises; the rows stay for the next round.
    """
    async with resources.db.transaction() as session:
        over = (await session.execute(OVER, {"batch": SWEEP_BATCH})).all()
    for row in over:
        await resources.storage.delete(row.key)
        async with resources.db.transaction() as session:
            await session.execute(FORGET, {"task_id": row.task_id, "seq": row.seq})
    return len(over)
