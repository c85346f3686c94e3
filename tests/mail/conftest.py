"""A mail server that does as it is told, and mail to send through it."""

from __future__ import annotations

import asyncio
import email
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, Envelope
from pydantic import SecretStr
from sqlalchemy import select, text

from funmagic.core.clock import now
from funmagic.core.mail import Mail
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.mail import service
from funmagic.mail.models import OutgoingMail

TOKEN = "c4nary-T0ken_that-signs-in-0123456789abcdefgh"
MAIL = Mail(
    to="dora@example.com",
    subject="Your link",
    text=f"https://example.com/en/verify-email?token={TOKEN}",
    html=f'<a href="https://example.com/en/verify-email?token={TOKEN}">Go on</a>',
)


@dataclass
class Office:
    """Takes every mail, but for the replies it was told to give first, once ``is_open``."""

    port: int = 0
    to_recipients: deque[str] = field(default_factory=deque)
    to_messages: deque[str] = field(default_factory=deque)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    kept: list[Message] = field(default_factory=list)

    # The names and the arguments are aiosmtpd's hooks.
    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.to_recipients:
            return self.to_recipients.popleft()
        envelope.rcpt_tos.append(address)
        return "250 known here"

    async def handle_DATA(self, _: SMTP, __: Any, envelope: Envelope) -> str:
        self.reached.set()
        await self.is_open.wait()
        if self.to_messages:
            return self.to_messages.popleft()
        assert isinstance(envelope.content, bytes)
        self.kept.append(email.message_from_bytes(envelope.content))
        return "250 kept"


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    opened = Office()
    opened.is_open.set()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(opened, hostname="localhost"), "127.0.0.1", 0
    )
    opened.port = server.sockets[0].getsockname()[1]
    yield opened
    opened.is_open.set()
    server.close()
    await server.wait_closed()


@pytest.fixture
def settings(settings: Settings, office: Office, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The house sends by this office, and tries again soon."""
    monkeypatch.setattr(service, "RETRY_S", 0.05)
    address = SecretStr(f"smtp://127.0.0.1:{office.port}")
    return settings.model_copy(update={"smtp_url": address, "log_level": "DEBUG"})


Post = Callable[..., Awaitable[UUID]]


@pytest.fixture
def post(resources: Resources) -> Post:
    """Post the one mail; its id."""

    async def post(lifetime: timedelta = timedelta(minutes=10), **changed: str) -> UUID:
        mail = Mail(**{name: getattr(MAIL, name) for name in Mail.__slots__} | changed)
        async with resources.db.transaction() as session:
            await service.post(
                session, resources.vault, mail, kind="sign_in", expires_at=now() + lifetime
            )
            newest = select(OutgoingMail.id).order_by(OutgoingMail.id.desc()).limit(1)
            return (await session.scalars(newest)).one()

    return post


async def row_of(resources: Resources, mail_id: UUID) -> OutgoingMail:
    """The mail as it is on record now."""
    async with resources.db.transaction() as session:
        return await session.get_one(OutgoingMail, mail_id)


async def ended(resources: Resources, mail_id: UUID) -> OutgoingMail:
    """The mail once it is sent or given up."""
    async with asyncio.timeout(60):
        while True:
            row = await row_of(resources, mail_id)
            if row.sealed is None:
                return row
            await asyncio.sleep(0.02)


async def let_pass(resources: Resources, seconds: float) -> None:
    """So much time goes by for all mail."""
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                UPDATE mails
                   SET created_at = created_at - make_interval(secs => :seconds),
                       due_at = due_at - make_interval(secs => :seconds),
                       expires_at = expires_at - make_interval(secs => :seconds)
            """),
            {"seconds": seconds},
        )


async def jobs_of(resources: Resources) -> list[str]:
    """Ids of all jobs the mails had, the oldest first."""
    async with resources.db.transaction() as session:
        found = await session.scalars(
            text("SELECT job_id FROM outbox WHERE queue = 'mail' ORDER BY id")
        )
        return [str(job_id) for job_id in found]
