"""What a worker does with mail: send what is queued, and find what got lost.

A mail is sent once, but for one case: where a worker dies, or its database goes, between the
server's yes and our note of it, another worker sends it a second time. Both carry the same message
id, by which a mailbox can tell.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from funmagic.core.crypto import SealBroken
from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.mail import MailError, MailRefused
from funmagic.core.resources import Resources
from funmagic.jobs.queue import Queue
from funmagic.mail import service
from funmagic.mail.service import Claim

log = logger(__name__)

AT_ONCE: Final = 4  # mails one worker sends side by side
BATCH: Final = 100


async def deliver(resources: Resources, mail_id: UUID) -> None:
    """Send one mail, unless it is not due, sent, or in other hands; what fails is tried again."""
    async with resources.db.transaction() as session:
        held = await service.claim(session, mail_id)
    if held is None:
        return
    about = {"mail_id": str(held.id), "kind": held.kind, "attempts": held.attempts}
    try:
        await _send(resources, held)
    except (MailRefused, SealBroken) as error:
        log.error("mail given up", **about, error=str(error))
        async with resources.db.transaction() as session:
            await service.give_up(session, held, str(error))
    except MailError as error:
        log.warning("mail not accepted, to be sent again", **about, error=str(error))
        async with resources.db.transaction() as session:
            await service.postpone(session, held, str(error))
    else:
        async with resources.db.transaction() as session:
            await service.note_sent(session, held)
        log.info("mail sent", **about)


async def sweep(resources: Resources, queue: Queue) -> None:
    """One round: empty what is too late, queue again what was lost, forget what is old."""
    try:
        await _expire(resources)
        await _requeue_lost(resources, queue)
    except OUTAGES as error:
        log.warning("a round of looking after mail was cut short", error=repr(error))


async def _send(resources: Resources, held: Claim) -> None:
    mail = service.unseal(resources.vault, held)
    await resources.mailer.send(mail, name=str(held.id))


async def _expire(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        for row in (await session.execute(service.EXPIRE, {"batch": BATCH})).all():
            about = {"mail_id": str(row.id), "kind": row.kind, "attempts": row.attempts}
            log.error("mail given up, too late", **about, error=row.last_error)
        await session.execute(service.PURGE, {"keep": service.KEEP, "batch": BATCH})


async def _requeue_lost(resources: Resources, queue: Queue) -> None:
    values = {"lost_after_s": service.LOST_AFTER_S, "batch": BATCH}
    async with resources.db.transaction() as session:
        overdue = (await session.execute(service.OVERDUE, values)).all()
    for mail_id, attempts in overdue:
        if await queue.has(service.job_id(mail_id, attempts + 1)):
            continue
        async with resources.db.transaction() as session:
            if await service.requeue(session, mail_id, attempts):
                log.warning("job lost by the queue, mail queued again", mail_id=str(mail_id))
