"""New attempts: a task whose worker died, stopped, or whose job the queue lost is queued again.

Each new attempt has a number and with it a job id of its own, since the queue swallows an id that
it has seen; number and outbox row are written in one transaction. Jobs of older attempts find
nothing to do.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs import outbox
from funmagic.jobs.queue import Queue
from funmagic.tasks.claims import Claim
from funmagic.tasks.service import QUEUE, job_id, job_of

log = logger(__name__)

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
HAND_OVER = text("""
    UPDATE tasks
       SET status = 'queued', attempt = attempt + 1, queued_at = now(),
           lease_owner = NULL, lease_expires_at = NULL
     WHERE id = :task_id AND fence = :fence AND status = 'processing'
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


async def hand_over(session: AsyncSession, held: Claim) -> None:
    """Give a task to the next worker at once; nothing where it is no longer ours to give."""
    values = {"task_id": held.id, "fence": held.fence}
    row = (await session.execute(HAND_OVER, values)).one_or_none()
    if row is not None:
        log.info("task handed over", task_id=str(row.id), attempt=row.attempt)
        await _enqueue(session, row.id, row.attempt)


async def requeue_dead(resources: Resources, batch: int) -> None:
    """Queue again what a silent worker held."""
    async with resources.db.transaction() as session:
        for row in (await session.execute(REQUEUE_DEAD, {"batch": batch})).all():
            log.warning("lease ran out, new attempt", task_id=str(row.id), attempt=row.attempt)
            await _enqueue(session, row.id, row.attempt)


async def requeue_lost(resources: Resources, queue: Queue, batch: int) -> None:
    """Queue again what waits for a job that the queue does not have."""
    values = {"lease_s": resources.settings.lease_s, "batch": batch}
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
    await outbox.enqueue(session, QUEUE, job_id(task_id, attempt), job_of(task_id, attempt))
