"""From our site to a provider and back, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
from sqlalchemy import text
from tests.accounts.oauth_stage import Elsewhere
from tests.conftest import Site

from funmagic.accounts.models import User
from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.resources import Resources

CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}
NEXT = "/en/tools/background-remove?style=2"


@dataclass(frozen=True)
class Journey:
    """Where it begins, and who is met on the way."""

    site: Site
    elsewhere: Elsewhere

    async def leave(
        self,
        browser: httpx.AsyncClient,
        provider: str,
        *,
        purpose: str = "sign_in",
        next: str = NEXT,
    ) -> str:
        """Where our site sends the browser."""
        query = {"next": next, "purpose": purpose}
        answer = await browser.get(f"/api/auth/oauth/{provider}", params=query)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def consent(
        self, browser: httpx.AsyncClient, provider: str, person: str, **options: str
    ) -> str:
        """Leave, choose a person there; answers where the browser is sent back to."""
        purpose = options.pop("purpose", "sign_in")
        address = await self.leave(browser, provider, purpose=purpose)
        return await self.elsewhere.consent(address, person=person, **options)

    async def arrive(self, browser: httpx.AsyncClient, address: str) -> str:
        """Come back; answers the path our site goes on to."""
        answer = await browser.get(address, headers=CROSS_SITE)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def whole(
        self, browser: httpx.AsyncClient, provider: str, person: str, **options: str
    ) -> str:
        """All of it; answers the path it ends at."""
        back = await self.consent(browser, provider, person, **options)
        return await self.arrive(browser, back)


async def sign_in(site: Site, browser: httpx.AsyncClient, user: User) -> None:
    """Give this browser a session of ``user``, in place of the one it has."""
    host = urlsplit(site.url).hostname or ""
    browser.cookies.set(SESSION_COOKIE, await site.session_of(user), domain=host)


async def who(browser: httpx.AsyncClient) -> str | None:
    """The address of whom the browser is signed in as."""
    person = (await browser.get("/api/auth/session")).json()["user"]
    return person["email"] if person else None


async def count(resources: Resources, table: str) -> int:
    """How many rows there are."""
    async with resources.db.transaction() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


def trouble(path: str) -> tuple[str, str | None]:
    """The kind of trouble a sign-in page is told of, and where it leads on to."""
    parts = urlsplit(path)
    assert parts.path == "/en/sign-in", path
    query = parse_qs(parts.query)
    return query["error"][0], query.get("next", [None])[0]
