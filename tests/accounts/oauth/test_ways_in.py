"""Coming in by Google, Facebook and Apple: from the click to a session, and every way it fails."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.accounts.oauth.journey import NEXT, Journey, who
from tests.conftest import Site

from funmagic.core.resources import Resources


async def count(resources: Resources, table: str) -> int:
    async with resources.db.transaction() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@pytest.mark.parametrize(
    ("provider", "person", "email"),
    [("google", "gus", "gus@example.com"), ("apple", "mia", "mia@example.com")],
)
async def test_a_verified_address_makes_an_account_and_is_known_again(
    site: Site, journey: Journey, resources: Resources, provider: str, person: str, email: str
) -> None:
    for _ in range(2):
        async with site.browser() as browser:
            assert await journey.whole(browser, provider, person) == NEXT
            assert await who(browser) == email
            credits = (await browser.get("/api/credits")).json()
            assert credits["available"] == resources.settings.welcome_credits
            listed = (await browser.get("/api/auth/identities")).json()["items"]
            assert [(item["provider"], item["email"]) for item in listed] == [(provider, email)]
            named = (await browser.get("/api/me")).json()["name"]
            assert named in {"Gus G", "Mia Moon"}
            sessions = (await browser.get("/api/auth/sessions")).json()["items"]
            assert sessions[0]["method"] == provider
    assert await count(resources, "identities") == 1
