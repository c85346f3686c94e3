"""People on their way in: what they are told, and who they are then."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail, token_in

from funmagic.accounts import passwords
from funmagic.accounts.models import User
from funmagic.core.resources import Resources

PASSWORD = "purple elephants sing"
MakeKeeper = Callable[..., Awaitable[User]]


@pytest.fixture
def maildir(resources: Resources) -> Path:
    assert resources.settings.dev_inbox_dir is not None
    return resources.settings.dev_inbox_dir


@pytest.fixture
def make_keeper(make_user: MakeUser, resources: Resources) -> MakeKeeper:
    """Bring somebody in who has a password."""

    async def make(email: str = "ada@example.com", password: str = PASSWORD) -> User:
        user = await make_user(email)
        kept = await passwords.hash_of(password)
        async with resources.db.transaction() as session:
            await passwords.write(session, user.id, kept)
        return user

    return make


@dataclass(frozen=True)
class Door:
    """The ways in as a program uses them, with the mail at hand."""

    site: Site
    maildir: Path
    dora: str
    """Somebody new whose address no other test has mailed."""

    async def mail(self, email: str, *, mails: int = 1) -> Message:
        """The newest mail to ``email``, once there are so many."""
        return await newest_mail(self.maildir, email, mails=mails)

    async def token(self, email: str, *, mails: int = 1) -> str:
        """The token in that mail."""
        return token_in(await self.mail(email, mails=mails))

    async def ask(self, browser: httpx.AsyncClient, way: str, **body: Any) -> None:
        """Ask for a mail by ``/api/auth/{way}``."""
        answer = await browser.post(f"/api/auth/{way}", json=body)
        assert (answer.status_code, answer.json()) == (202, {"sent": True}), answer.text

    async def log_in(self, browser: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
        body = {"email": email, "password": password}
        return await browser.post("/api/auth/login", json=body)

    async def who(self, browser: httpx.AsyncClient) -> str | None:
        """Who is signed in there."""
        person = (await browser.get("/api/auth/session")).json()["user"]
        return person["email"] if person else None

    async def count(self, table: str) -> int:
        async with self.site.resources.db.transaction() as session:
            return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@pytest.fixture
def door(site: Site, maildir: Path) -> Door:
    return Door(site, maildir, f"dora-{secrets.token_hex(4)}@example.com")
