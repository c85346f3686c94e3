"""What puts right what a crash left behind. Every worker runs it; running it twice is harmless."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final
from uuid import UUID

from funmagic.assets import service as assets
from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs.queue import Queue
from funmagic.jobs.schedule import each
from funmagic.providers import abandoned
from funmagic.tasks import attempts, events, media, previews, settlement
from funmagic.tasks.engine import Engine

log = logger(__name__)

BATCH: Final = 100
LAST_QUESTIONS: Final = 8  # asked at once in one round: each may download a result


async def reconcile(resources: Resources, queue: Queue) -> None:
    """One round of what needs our own servers: deadlines, leases, lost jobs, left-over files."""
    await each(
        partial(_end_overdue, resources),
        partial(attempts.requeue_dead, resources, BATCH),
        partial(attempts.requeue_lost, resources, queue, BATCH),
        partial(assets.sweep, resources),
        partial(previews.sweep, resources),
        partial(media.expire_now_and_then, resources),
    )


async def ask_vendors(resources: Resources, engine: Engine) -> None:
    """One round of what waits for vendors: last questions, and what abandoned calls cost."""
    await each(partial(_ask_last, resources, engine), partial(abandoned.book_costs, resources))


async def _end_overdue(resources: Resources) -> None:
    for task_id in await _overdue(resources, may_be_ready=False):
        try:
            await _fail(resources, task_id)
        except OUTAGES:
            raise
        except Exception as error:  # one task must not keep the others waiting
            log.error("a task was not ended", task_id=str(task_id), exc_info=error)


async def _ask_last(resources: Resources, engine: Engine) -> None:
    askable = await _overdue(resources, may_be_ready=True)
    asking = [engine.ask_last(task_id) for task_id in askable[:LAST_QUESTIONS]]
    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.warning("a task past its deadline was not ended", error=repr(outcome))


async def _overdue(resources: Resources, *, may_be_ready: bool) -> list[UUID]:
    async with resources.db.transaction() as session:
        found = await settlement.overdue(session, BATCH)
    return [task_id for task_id, is_askable in found if is_askable == may_be_ready]


async def _fail(resources: Resources, task_id: UUID) -> None:
    async with resources.db.transaction() as session:
        told = await settlement.fail_overdue(session, task_id)
    if told:
        log.warning("task ended by its deadline", task_id=str(task_id))
        await events.publish(resources.redis, told)
