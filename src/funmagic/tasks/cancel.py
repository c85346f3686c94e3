"""Cancelling: a waiting task ends at once; a running one by what becomes of its vendor's job.

What counts is written in the task's row. The worker hears of it by Valkey at once, and by its next
renewal of the lease where that is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs.schedule import pause
from funmagic.tasks import events, settlement
from funmagic.tasks.messages import CANCELLED
from funmagic.tasks.models import ENDED, WAITING
from funmagic.tasks.service import NO_TASK
from funmagic.tasks.settlement import Failure

log = logger(__name__)

CHANNEL: Final = "cancellations"
LISTEN_S: Final = 1.0
RETRY_S: Final = 2.0

LOCK_OWN = text("SELECT status FROM tasks WHERE id = :task_id AND user_id = :user_id FOR UPDATE")
IS_ASKED = text("""
    SELECT EXISTS (SELECT FROM provider_calls
                    WHERE task_id = :task_id AND state IN ('intent', 'submitted'))
""")
REQUEST = text("""
    UPDATE tasks SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE id = :task_id
""")


async def request(session: AsyncSession, user_id: UUID, task_id: UUID) -> list[events.Event]:
    """Ask for the end of one's own task; what there is to tell where that was its end.

    A task that waits is ended here, unless a vendor already works for it. Raises
    :class:`errors.NotFound`, and :class:`errors.Conflict` for a task that has ended.
    """
    status = await session.scalar(LOCK_OWN, {"task_id": task_id, "user_id": user_id})
    if status is None:
        raise errors.NotFound(NO_TASK)
    if status in ENDED:
        raise errors.Conflict(N_("This task has already ended."), type="already_ended")
    if status in WAITING and not await session.scalar(IS_ASKED, {"task_id": task_id}):
        return await settlement.end_unfinished(session, task_id, Failure(*CANCELLED))
    await session.execute(REQUEST, {"task_id": task_id})
    return []


async def tell(resources: Resources, task_id: UUID, told: list[events.Event]) -> None:
    """After the commit: tell the listeners of its end, or the worker of the wish. Never raises."""
    if told:
        await events.publish(resources.redis, told)
        return
    with suppress(RedisError, OSError):
        await resources.redis.publish(CHANNEL, str(task_id))


async def listen(resources: Resources, heard: Callable[[UUID], None], stop: asyncio.Event) -> None:
    """Hear which tasks are to end, until ``stop`` is set; what is missed the lease tells later."""
    while not stop.is_set():
        try:
            await _hear(resources, heard, stop)
        except Exception as error:  # nothing that happens here may end the listening
            log.warning("cancellations not heard", error=repr(error))
            await pause(stop, RETRY_S)


async def _hear(resources: Resources, heard: Callable[[UUID], None], stop: asyncio.Event) -> None:
    async with resources.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(CHANNEL)
        while not stop.is_set():
            message = await pubsub.get_message(timeout=LISTEN_S)
            if message is not None:
                heard(UUID(str(message["data"])))
