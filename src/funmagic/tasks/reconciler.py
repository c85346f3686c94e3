"""What puts right what a crash left behind. Every worker runs it; running it twice is harmless."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from funmagic.assets import service as assets
from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs.queue import Queue
from funmagic.providers import abandoned
from funmagic.tasks import attempts, events, settlement
from funmagic.tasks.engine import Engine

log = logger(__name__)

BATCH: Final = 100
LAST_QUESTIONS: Final = 8  # asked at once in one round: each may download a result


async def reconcile(resources: Resources, queue: Queue, engine: Engine) -> None:
    """One round: deadlines, dead leases, forgotten jobs, unfinished uploads, abandoned calls."""
    for act in (
        _end_overdue(resources, engine),
        attempts.requeue_dead(resources, BATCH),
        attempts.requeue_lost(resources, queue, BATCH),
        _sweep_uploads(resources),
        abandoned.book_costs(resources),
    ):
        try:
            await act
        except OUTAGES as error:
            # The others may not need what is away.
            log.warning("a round of reconciling was cut short", error=repr(error))


async def _sweep_uploads(resources: Resources) -> None:
    await assets.sweep(resources)


async def _end_overdue(resources: Resources, engine: Engine) -> None:
    async with resources.db.transaction() as session:
        overdue = await settlement.overdue(session, BATCH)
    for task_id in (task_id for task_id, may_be_ready in overdue if not may_be_ready):
        await _fail(resources, task_id)
    askable = [task_id for task_id, may_be_ready in overdue if may_be_ready]
    asking = [engine.ask_last(task_id) for task_id in askable[:LAST_QUESTIONS]]
    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        if isinstance(outcome, BaseException):
            log.warning("a task past its deadline was not ended", error=repr(outcome))


async def _fail(resources: Resources, task_id: UUID) -> None:
    async with resources.db.transaction() as session:
        told = await settlement.fail_overdue(session, task_id)
    if told:
        log.warning("task ended by its deadline", task_id=str(task_id))
        await events.publish(resources.redis, told)
