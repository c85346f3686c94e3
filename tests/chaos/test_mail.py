"""A worker killed over a mail: it arrives all the same, a second time at worst."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Nursery, Point
from tests.mailbox import mails_to

from funmagic.core.clock import now
from funmagic.core.mail import Mail
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.mail import service

SENT_AT = text("SELECT sent_at FROM mails")
TIME_PASSES = text("UPDATE mails SET due_at = due_at - make_interval(secs => :seconds)")
POINTS = (
    (Point("claimed, not committed", "funmagic.mail.service:claim", "after"), 1),
    (Point("claimed, not sent", "funmagic.mail.delivery:_send"), 1),
    (Point("sent, not noted", "funmagic.mail.delivery:_send", "after"), 2),
    (Point("noted, not committed", "funmagic.mail.service:note_sent", "after"), 2),
)


@pytest.mark.parametrize(("point", "arrives"), POINTS, ids=[point.name for point, _ in POINTS])
async def test_a_mail_arrives_whose_worker_was_killed(
    point: Point, arrives: int, nursery: Nursery, settings: Settings, resources: Resources
) -> None:
    name = f"{point.name.replace(' ', '-').replace(',', '')}@example.com"
    mail = Mail(to=name, subject="Your link", text="Go on", html="<p>Go on</p>")
    async with resources.db.transaction() as session:
        expires_at = now() + service.KEEP
        await service.post(session, resources.vault, mail, kind="tests", expires_at=expires_at)
    assert (await nursery.wait(await nursery.start(settings, point))).killed, "no mail came by"
    async with resources.db.transaction() as session:
        assert await session.scalar(SENT_AT) is None
        passed_s = service.CLAIM_S + service.LOST_AFTER_S
        await session.execute(TIME_PASSES, {"seconds": passed_s})
    async with nursery.worker(settings), asyncio.timeout(60):
        while True:
            async with resources.db.transaction() as session:
                if await session.scalar(SENT_AT) is not None:
                    break
            await asyncio.sleep(0.05)
    assert settings.dev_inbox_dir is not None
    arrived = mails_to(settings.dev_inbox_dir, name)
    assert len(arrived) == arrives
    assert len({message["Message-ID"] for message in arrived}) == 1
