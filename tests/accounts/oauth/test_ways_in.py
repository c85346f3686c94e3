"""Coming in by Google, Facebook and Apple: from the click to a session, and every way it fails."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text
from tests.accounts.oauth.journey import NEXT, Journey, count, sign_in, trouble, who
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail, text_of, token_in

from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.resources import Resources

CONFIRM = "/en/sign-in/confirm"
UNVERIFY = text("UPDATE users SET email_verified_at = NULL, password_hash = 'x' WHERE id = :id")


def waiting(path: str) -> tuple[str, bool]:
    """The attempt the page that asks for an address was called with, and whether a mail is out."""
    parts = urlsplit(path)
    assert parts.path == "/en/sign-in/email", path
    query = parse_qs(parts.query)
    return query["attempt"][0], query.get("sent") == ["1"]


async def test_only_ways_with_keys_are_offered(site: Site) -> None:
    async with site.browser() as browser:
        methods = (await browser.get("/api/auth/methods")).json()
        assert methods["oauth"] == ["google", "facebook", "apple"]
        assert (await browser.get("/api/auth/oauth/linkedin")).status_code == 404


@pytest.mark.parametrize(
    ("provider", "person", "email", "name"),
    [
        ("google", "gus", "gus@example.com", "Gus G"),
        ("apple", "mia", "mia@example.com", "Mia Moon"),
    ],
)
async def test_a_verified_address_makes_an_account_that_is_known_again(
    site: Site, journey: Journey, provider: str, person: str, email: str, name: str
) -> None:
    for _ in range(2):
        async with site.browser() as browser:
            assert await journey.whole(browser, provider, person) == NEXT
            assert await who(browser) == email
            credits = (await browser.get("/api/credits")).json()
            assert credits["available"] == site.resources.settings.welcome_credits
            listed = (await browser.get("/api/auth/identities")).json()["items"]
            assert [(item["provider"], item["email"]) for item in listed] == [(provider, email)]
            assert (await browser.get("/api/me")).json()["name"] == name
            sessions = (await browser.get("/api/auth/sessions")).json()["items"]
            assert sessions[0]["method"] == provider
    assert await count(site.resources, "identities") == 1


async def test_several_ways_lead_to_the_account_of_one_verified_address(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    mia = await make_user("mia@example.com")
    assert mia.name == ""
    claims = {"email": "Mia@Example.com", "email_verified": True, "name": "Somebody"}
    await journey.elsewhere.google_says("g-mia", **claims)
    for provider, person in (("apple", "mia"), ("google", "g-mia")):
        async with site.browser() as browser:
            assert await journey.whole(browser, provider, person) == NEXT
            me = (await browser.get("/api/me")).json()
            assert (me["id"], me["name"]) == (str(mia.id), "Mia Moon")  # who had no name yet
    assert await count(site.resources, "identities") == 2


async def test_apple_may_hide_the_address(site: Site, journey: Journey) -> None:
    async with site.browser() as browser:
        assert await journey.whole(browser, "apple", "noa", email="hide") == NEXT
        relay = await who(browser)
        assert relay is not None
        assert relay.endswith("@privaterelay.appleid.com")
    async with site.browser() as again:  # Apple says the name no more, we have kept it
        assert await journey.whole(again, "apple", "noa") == NEXT
        me = (await again.get("/api/me")).json()
        assert (me["email"], me["name"]) == (relay, "Noa North")


@pytest.mark.parametrize("provider", ["google", "facebook", "apple"])
async def test_who_says_no_there_is_back_where_they_were(
    site: Site, journey: Journey, provider: str
) -> None:
    async with site.browser() as browser:
        address = await journey.leave(browser, provider)
        back = await journey.elsewhere.consent(address)
        kind, next_path = trouble(await journey.arrive(browser, back))
        assert kind == "oauth_denied"
        assert next_path == ("/" if provider == "google" else NEXT)  # which sends no state along
        assert await who(browser) is None


async def test_facebook_proves_no_address_so_a_mail_does(
    site: Site, journey: Journey, maildir: Path, make_user: MakeUser
) -> None:
    finn = await make_user("finn@example.com")
    async with site.browser() as browser, site.browser() as stranger:
        _, is_sent = waiting(await journey.whole(browser, "facebook", "finn"))
        assert is_sent
        assert await who(browser) is None
        mail = await newest_mail(maildir, "finn@example.com")
        assert "Facebook" in text_of(mail)
        link = {"token": token_in(mail)}
        await stranger.get(CONFIRM, params=link)
        await stranger.post(CONFIRM, data=link)
        assert await who(stranger) is None
        assert await count(site.resources, "identities") == 0
        opened = await browser.get(CONFIRM, params=link)
        assert opened.headers["location"] == NEXT
        me = (await browser.get("/api/me")).json()
        assert me["id"] == str(finn.id)
    async with site.browser() as again:
        assert await journey.whole(again, "facebook", "finn") == NEXT
        assert await who(again) == "finn@example.com"


@pytest.mark.parametrize(("person", "choice"), [("gil", "share"), ("finn", "keep")])
async def test_facebook_without_an_address_is_asked_for_one(
    site: Site, journey: Journey, maildir: Path, person: str, choice: str
) -> None:
    email = f"{person}-{choice}@example.com"
    async with site.browser() as browser, site.browser() as stranger:
        path = await journey.whole(browser, "facebook", person, email=choice)
        attempt, is_sent = waiting(path)
        assert not is_sent
        body = {"attempt": attempt, "email": email}
        await stranger.get("/api/auth/oauth/google")  # which gives that browser a mark of its own
        refused = await stranger.post("/api/auth/oauth/email", json=body)
        assert (refused.status_code, refused.json()["error"]["type"]) == (422, "oauth_expired")
        wrong = await browser.post("/api/auth/oauth/email", json=body | {"email": "nobody"})
        assert "email" in wrong.json()["error"]["fields"]
        asked = await browser.post("/api/auth/oauth/email", json=body)
        assert (asked.status_code, asked.json()) == (202, {"sent": True})
        link = {"token": token_in(await newest_mail(maildir, email))}
        assert (await browser.get(CONFIRM, params=link)).headers["location"] == NEXT
        assert await who(browser) == email
    async with site.browser() as again:
        assert await journey.whole(again, "facebook", person, email=choice) == NEXT
        assert await who(again) == email


@pytest.mark.hazard("U13")
async def test_an_address_google_has_not_verified_opens_nothing(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    await make_user("victim@example.com")
    claims = {"email": "victim@example.com", "email_verified": False, "name": "Mallory"}
    await journey.elsewhere.google_says("g-mallory", **claims)
    async with site.browser() as browser:
        _, is_sent = waiting(await journey.whole(browser, "google", "g-mallory"))
        assert is_sent
        assert await who(browser) is None
    assert await count(site.resources, "sessions") == 0
    assert await count(site.resources, "identities") == 0


@pytest.mark.hazard("U13")
async def test_an_account_made_before_its_owner_came_is_emptied(
    site: Site, journey: Journey, make_user: MakeUser, resources: Resources
) -> None:
    squatted = await make_user("gus@example.com")
    squatters = await site.session_of(squatted)
    async with resources.db.transaction() as session:
        await session.execute(UNVERIFY, {"id": squatted.id})
        await session.execute(
            text(
                "INSERT INTO identities (id, user_id, provider, subject)"
                " VALUES (:id, :id, 'google', 'g-squatter'), (:other, :id, 'apple', 'squatter')"
            ),
            {"id": squatted.id, "other": "00000000-0000-7000-8000-000000000001"},
        )
    async with site.browser() as owner, site.browser() as squatter:
        assert await journey.whole(owner, "google", "gus") == NEXT
        assert await who(owner) == "gus@example.com"
        listed = (await owner.get("/api/auth/identities")).json()["items"]
        assert [item["provider"] for item in listed] == ["google"]
        assert (await owner.get("/api/me")).json()["hasPassword"] is False
        squatter.cookies.set(SESSION_COOKIE, squatters)
        assert await who(squatter) is None
        await journey.elsewhere.google_says("g-squatter", email="other@example.com")
        waiting(await journey.whole(squatter, "google", "g-squatter"))
        assert await who(squatter) is None


async def test_a_recycled_address_does_not_replace_who_is_connected(
    site: Site, journey: Journey
) -> None:
    async with site.browser() as browser:
        assert await journey.whole(browser, "google", "gus") == NEXT
    claims = {"email": "gus@example.com", "email_verified": True}
    await journey.elsewhere.google_says("g-another", **claims)
    async with site.browser() as browser:
        kind, _ = trouble(await journey.whole(browser, "google", "g-another"))
        assert kind == "oauth_taken"
        assert await who(browser) is None


@pytest.mark.hazard("U12")
async def test_a_session_somebody_planted_is_not_the_one_signed_in(
    site: Site, journey: Journey, make_user: MakeUser
) -> None:
    mallory = await make_user("mallory@example.com")
    async with site.browser() as browser, site.browser() as thief:
        await sign_in(site, browser, mallory)
        planted = browser.cookies[SESSION_COOKIE]
        assert await journey.whole(browser, "apple", "mia") == NEXT
        assert await who(browser) == "mia@example.com"
        thief.cookies.set(SESSION_COOKIE, planted)
        assert await who(thief) is None


async def test_what_facebook_says_wrong_signs_nobody_in(site: Site, journey: Journey) -> None:
    expired = {"error": {"message": "expired", "type": "OAuthException", "code": 190}}
    profile = {"id": "1", "name": "Nobody"}
    huge = '{"id": "1", "name": "' + "x" * (1 << 20) + '"}'
    faults: tuple[dict[str, object], ...] = (
        {"at": "token", "status": 500},
        {"at": "token", "status": 302, "headers": {"location": "http://127.0.0.1:9/"}},
        {"at": "token", "status": 200, "body": "not json"},
        {"at": "token", "status": 200, "body": {"access_token": 1}},
        {"at": "token", "cut": "before"},
        {"at": "me", "status": 400, "body": expired},
        {"at": "me", "status": 200, "body": {"name": "Nobody"}},
        {"at": "me", "status": 200, "body": ["a list"]},
        {"at": "me", "status": 200, "body": huge},
        {"at": "me", "status": 200, "headers": {"content-encoding": "x-none"}, "body": profile},
    )
    async with site.browser() as browser:
        for fault in faults:
            await journey.elsewhere.control("facebook", "faults", **fault)
            ended = trouble(await journey.whole(browser, "facebook", "finn"))
            assert ended == ("oauth_failed", NEXT), fault
            assert await who(browser) is None
        waiting(await journey.whole(browser, "facebook", "finn"))  # it was all theirs
