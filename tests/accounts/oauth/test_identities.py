"""Accounts elsewhere that are connected to one here: by whom, to whom, and how they go again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from tests.accounts.oauth.journey import NEXT, Journey, count, sign_in, trouble, who
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail

from funmagic.accounts.sessions import SESSION_COOKIE

LONG_AGO = text("UPDATE sessions SET authenticated_at = now() - interval '20 minutes'")


async def grow_old(site: Site) -> None:
    """Everybody signed in proved who they are twenty minutes ago."""
    async with site.resources.db.transaction() as session:
        await session.execute(LONG_AGO)


async def connected(browser: httpx.AsyncClient) -> list[str]:
    """The providers one's account is connected to."""
    answer = await browser.get("/api/auth/identities")
    return [item["provider"] for item in answer.json()["items"]]


async def test_a_person_signed_in_connects_an_account_of_another_address(
    site: Site, journey: Journey, make_user: MakeUser, maildir: Path
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        for provider, person in (("google", "gus"), ("facebook", "gil"), ("apple", "mia")):
            assert await journey.whole(browser, provider, person, purpose="link") == NEXT
        assert await journey.whole(browser, "google", "gus", purpose="link") == NEXT  # again
        assert await connected(browser) == ["google", "facebook", "apple"]
        told = await newest_mail(maildir, "bo@example.com", mails=3)
        assert "now signs in to your FunMagic account" in str(told["Subject"])
        assert await who(browser) == "bo@example.com"
    for provider, person in (("google", "gus"), ("facebook", "gil"), ("apple", "mia")):
        async with site.browser() as browser:
            assert await journey.whole(browser, provider, person) == NEXT
            assert await who(browser) == "bo@example.com"
    async with site.resources.db.transaction() as session:
        acts = await session.scalars(text("SELECT action FROM audit_log ORDER BY id"))
        assert acts.all().count("identity.connected") == 3


async def test_connecting_needs_a_proof_that_is_recent(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    bo = await make_user("bo@example.com")
    query = {"purpose": "link", "next": NEXT}
    async with site.browser() as browser:
        answer = await browser.get("/api/auth/oauth/google", params=query)
        assert trouble(answer.headers["location"]) == ("unauthenticated", NEXT)
    async with site.browser(bo) as browser:
        await grow_old(site)
        answer = await browser.get("/api/auth/oauth/google", params=query)
        assert trouble(answer.headers["location"]) == ("reauthentication_required", NEXT)
    assert await count(site.resources, "oauth_attempts") == 0


@pytest.mark.hazard("U14")
async def test_what_is_connected_to_somebody_else_stays_theirs(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    bo, cy = await make_user("bo@example.com"), await make_user("cy@example.com")
    await journey.elsewhere.google_says("g-second", email="second@example.com")
    async with site.browser() as his, site.browser() as hers:
        await sign_in(site, his, bo)
        await sign_in(site, hers, cy)
        assert await journey.whole(his, "google", "gus", purpose="link") == NEXT
        taken = await journey.whole(hers, "google", "gus", purpose="link")
        assert trouble(taken) == ("oauth_taken", NEXT)
        assert await connected(hers) == []
        second = await journey.whole(his, "google", "g-second", purpose="link")
        assert trouble(second) == ("oauth_taken", NEXT)
        assert await connected(his) == ["google"]
        back = await journey.consent(hers, "facebook", "gil", purpose="link")
        await sign_in(site, hers, bo)
        assert trouble(await journey.arrive(hers, back)) == ("oauth_expired", NEXT)
        back = await journey.consent(his, "facebook", "gil", purpose="link")
        his.cookies.delete(SESSION_COOKIE)
        assert trouble(await journey.arrive(his, back)) == ("oauth_expired", NEXT)
    assert await count(site.resources, "identities") == 1


async def test_a_connected_account_proves_again_who_one_is_and_no_other(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser() as browser:
        await sign_in(site, browser, bo)
        await journey.whole(browser, "apple", "mia", purpose="link")
        await grow_old(site)
        assert (await browser.delete("/api/auth/identities/google")).status_code == 403
        stranger = await journey.whole(browser, "apple", "noa", purpose="reauthenticate")
        assert trouble(stranger) == ("oauth_failed", NEXT)
        assert (await browser.delete("/api/auth/identities/google")).status_code == 403
        before = browser.cookies[SESSION_COOKIE]
        assert await journey.whole(browser, "apple", "mia", purpose="reauthenticate") == NEXT
        assert browser.cookies[SESSION_COOKIE] != before
        assert (await browser.delete("/api/auth/identities/google")).status_code == 404


async def test_a_disconnected_account_does_not_sign_in_to_it_any_more(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    bo, cy = await make_user("bo@example.com"), await make_user("cy@example.com")
    async with site.browser() as his, site.browser() as hers, site.browser() as stranger:
        await sign_in(site, his, bo)
        await sign_in(site, hers, cy)
        await journey.whole(his, "google", "gus", purpose="link")
        await journey.whole(hers, "apple", "mia", purpose="link")
        assert (await stranger.delete("/api/auth/identities/google")).status_code == 401
        assert (await hers.delete("/api/auth/identities/google")).status_code == 404
        await grow_old(site)
        refused = await his.delete("/api/auth/identities/google")
        assert refused.status_code == 403
        assert refused.json()["error"]["type"] == "reauthentication_required"
        await journey.whole(hers, "apple", "mia", purpose="reauthenticate")
        assert (await hers.delete("/api/auth/identities/apple")).status_code == 204
        assert await connected(hers) == []
        assert await connected(his) == ["google"]
        assert await journey.whole(stranger, "apple", "mia") == NEXT
        assert await who(stranger) == "mia@example.com"
