"""From a committed transaction to the queue, at least once.

The relay takes rows for a few seconds (``taken_until``) and commits; then it sends; then it marks
them sent. No connection to the queue is waited for inside a transaction, two relays do not meet,
and what a dying one had taken comes up again by itself. Sending twice is harmless: the queue keeps
a job id for a day.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.ids import new_id
from funmagic.core.log import logger, request_id
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.jobs.queue import Queue
from funmagic.jobs.schedule import pause

log = logger(__name__)

BATCH: Final = 100
POLL_S: Final = 0.5
TAKEN_S: Final = 10.0  # for how long other senders leave a taken row alone
SEND_TIMEOUT_S: Final = 5.0
DISPATCH_TIMEOUT_S: Final = 2.0  # a person waits for it
RETRY_S: Final = 1.0  # pause after a failure, doubled up to the longest
LONGEST_RETRY_S: Final = 5.0
PURGE_EVERY_S: Final = 600.0
KEEP_SENT_S: Final = 86_400

OnSent = Callable[[AsyncSession, list[dict[str, Any]]], Awaitable[None]]

# Of one row, with the parameters of :func:`row`: for statements that insert more than a job.
COLUMNS: Final = "id, queue, job_id, payload, not_before"
VALUES: Final = (
    "CAST(:outbox_id AS uuid), CAST(:queue AS text), CAST(:job_id AS text),"
    " CAST(:payload AS jsonb), CAST(:not_before AS timestamptz)"
)
ENQUEUE = text(f"""
    INSERT INTO outbox ({COLUMNS}) SELECT {VALUES} ON CONFLICT (queue, job_id) DO NOTHING
""")
TAKE_DUE = text("""
    UPDATE outbox SET taken_until = clock_timestamp() + make_interval(secs => :taken_s)
     WHERE id IN (SELECT id FROM outbox
                   WHERE sent_at IS NULL
                     AND coalesce(not_before, created_at) <= clock_timestamp()
                     AND coalesce(taken_until, created_at) <= clock_timestamp()
                   ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING id, queue, job_id, payload
""")
MARK_SENT = text("UPDATE outbox SET sent_at = clock_timestamp() WHERE id = ANY(:ids)")
MARK_JOB_SENT = text("""
    UPDATE outbox SET sent_at = clock_timestamp()
     WHERE queue = :queue AND job_id = :job_id AND sent_at IS NULL
""")
GIVE_BACK = text("""
    UPDATE outbox SET taken_until = NULL WHERE id = ANY(:ids) AND sent_at IS NULL
""")
PURGE = text("""
    DELETE FROM outbox
     WHERE id IN (SELECT id FROM outbox WHERE sent_at < now() - make_interval(secs => :keep_s)
                   ORDER BY sent_at LIMIT 10000 FOR UPDATE SKIP LOCKED)
""")


async def enqueue(
    session: AsyncSession,
    queue: str,
    job_id: str,
    payload: dict[str, Any],
    *,
    not_before: datetime | None = None,
) -> None:
    """Send a job if and when the caller's transaction commits; the same id again changes nothing.

    ``payload`` carries ids only.
    """
    await session.execute(ENQUEUE, row(queue, job_id, payload, not_before=not_before))


def row(
    queue: str, job_id: str, payload: dict[str, Any], *, not_before: datetime | None = None
) -> dict[str, Any]:
    """The parameters of ``VALUES``. The id of the request that caused the job goes with it."""
    return {
        "outbox_id": new_id(),
        "queue": queue,
        "job_id": job_id,
        "payload": json.dumps(_with_cause(payload)),
        "not_before": not_before,
    }


async def dispatch_now(
    resources: Resources,
    queue: str,
    job_id: str,
    payload: dict[str, Any],
    *,
    on_sent: OnSent | None = None,
) -> None:
    """Try to send a job that was just committed at once, as it stands in the outbox.

    Never raises: the relay sends what is missed. It may also send the same job meanwhile, which
    changes nothing, so the row is not taken first and a person waits for one commit less.
    """
    data = _with_cause(payload)
    try:
        async with asyncio.timeout(DISPATCH_TIMEOUT_S):
            await _queue(resources.settings, queue, resources.redis).add(job_id, data)
            async with resources.db.transaction() as session:
                await session.execute(MARK_JOB_SENT, {"queue": queue, "job_id": job_id})
                if on_sent is not None:
                    await on_sent(session, [data])
    except Exception as error:
        log.warning("dispatch left to the relay", job=job_id, error=repr(error))


class Relay:
    """Sends what the outbox holds, for as long as the process runs. Any number may run at once.

    ``on_sent`` gets the payloads of a batch in the transaction that marks it sent.
    """

    def __init__(self, resources: Resources, *, on_sent: OnSent | None = None) -> None:
        self._resources = resources
        self._on_sent = on_sent

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop`` is set; what fails is logged and tried again."""
        retry_s = RETRY_S
        purge_at = 0.0
        while not stop.is_set():
            try:
                sent = await self.send_due()
                if asyncio.get_running_loop().time() >= purge_at:
                    await purge(self._resources)
                    purge_at = asyncio.get_running_loop().time() + PURGE_EVERY_S
            except Exception as error:
                log.warning("relay could not send", error=repr(error), retry_s=retry_s)
                await pause(stop, retry_s)
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)
                continue
            retry_s = RETRY_S
            if sent < BATCH:
                await pause(stop, POLL_S)

    async def send_due(self) -> int:
        """Send one batch of what is due; the number sent."""
        async with self._resources.db.transaction() as session:
            rows = (await session.execute(TAKE_DUE, {"taken_s": TAKEN_S, "batch": BATCH})).all()
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await _send(self._resources, rows, self._on_sent)
        return len(rows)


async def purge(resources: Resources) -> None:
    """Forget what was sent more than a day ago."""
    async with resources.db.transaction() as session:
        await session.execute(PURGE, {"keep_s": KEEP_SENT_S})


async def _send(resources: Resources, rows: Sequence[Row[Any]], on_sent: OnSent | None) -> None:
    """Send taken rows and mark them; what could not be sent is given back before raising."""
    if not rows:
        return
    sent: list[Row[Any]] = []
    try:
        for row in sorted(rows, key=lambda row: row.id.int):
            queue = _queue(resources.settings, row.queue, resources.redis)
            await queue.add(row.job_id, row.payload)
            sent.append(row)
    finally:
        unsent = [row.id for row in rows if row not in sent]
        async with resources.db.transaction() as session:
            if sent:
                await session.execute(MARK_SENT, {"ids": [row.id for row in sent]})
                if on_sent is not None:
                    await on_sent(session, [row.payload for row in sent])
            if unsent:
                await session.execute(GIVE_BACK, {"ids": unsent})


@lru_cache(maxsize=8)
def _queue(settings: Settings, name: str, redis: Redis) -> Queue:
    """A queue on the process's own connections; a new one reads all of BullMQ's scripts."""
    return Queue(settings, name, redis=redis)


def _with_cause(payload: dict[str, Any]) -> dict[str, Any]:
    cause = request_id()
    return payload if cause is None else {"requestId": cause, **payload}
