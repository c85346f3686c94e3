"""What puts right what a crash left behind. Every worker runs it; running it twice is harmless."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets import service as assets
from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs import outbox
from funmagic.jobs.queue import Queue
from funmagic.tasks import events, settlement
from funmagic.tasks.service import QUEUE, job_id

log = logger(__name__)

BATCH: Final = 100

# Queued again, a task waits like any other: until the queue has forgotten its job, nobody else
# queues it once more.
REQUEUE_DEAD = text("""
    UPDATE tasks
       SET status = 'queued', attempt = attempt + 1, queued_at = now(),
           lease_owner = NULL, lease_expires_at = NULL
     WHERE id IN (SELECT id FROM tasks
                   WHERE status = 'processing' AND lease_expires_at < now()
                     AND deadline_at > now()
                   ORDER BY lease_expires_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING id, attempt
""")
WAITING_LONG = text("""
    SELECT id, attempt FROM tasks
     WHERE status = 'queued' AND queued_at < now() - make_interval(secs => :lease_s)
     ORDER BY queued_at LIMIT :batch
""")
REQUEUE_LOST = text("""
    UPDATE tasks SET attempt = attempt + 1, queued_at = now()
     WHERE id = :task_id AND attempt = :attempt AND status = 'queued'
    RETURNING id, attempt
""")


async def reconcile(resources: Resources, queue: Queue) -> None:
    """One round: deadlines passed, leases run out, jobs forgotten, uploads never finished."""
    for act in (
        _end_overdue(resources),
        _requeue_dead(resources),
        _requeue_lost(resources, queue),
        _sweep_uploads(resources),
    ):
        try:
            await act
        except OUTAGES as error:
            # The others may not need what is away.
            log.warning("a round of reconciling was cut short", error=repr(error))


async def _sweep_uploads(resources: Resources) -> None:
    await assets.sweep(resources)


async def _end_overdue(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        overdue = await settlement.overdue(session, BATCH)
    for task_id in overdue:
        async with resources.db.transaction() as session:
            told = await settlement.fail_overdue(session, task_id)
        if told:
            log.warning("task ended by its deadline", task_id=str(task_id))
            await events.publish(resources.redis, told)


async def _requeue_dead(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        for row in (await session.execute(REQUEUE_DEAD, {"batch": BATCH})).all():
            log.warning("lease ran out, new attempt", task_id=str(row.id), attempt=row.attempt)
            await _enqueue(session, row.id, row.attempt)


async def _requeue_lost(resources: Resources, queue: Queue) -> None:
    values = {"lease_s": resources.settings.lease_s, "batch": BATCH}
    async with resources.db.transaction() as session:
        waiting = (await session.execute(WAITING_LONG, values)).all()
    for task_id, attempt in waiting:
        if await queue.has(job_id(task_id, attempt)):
            continue
        async with resources.db.transaction() as session:
            lost = {"task_id": task_id, "attempt": attempt}
            row = (await session.execute(REQUEUE_LOST, lost)).one_or_none()
            if row is not None:
                log.warning("job lost by the queue, new attempt", task_id=str(task_id))
                await _enqueue(session, row.id, row.attempt)


async def _enqueue(session: AsyncSession, task_id: UUID, attempt: int) -> None:
    await outbox.enqueue(
        session,
        QUEUE,
        job_id(task_id, attempt),
        {"taskId": str(task_id), "attempt": attempt},
    )
