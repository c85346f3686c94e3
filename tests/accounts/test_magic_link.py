"""Signing in by a mailed link: once, within ten minutes, by the asking browser or by a click."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail, text_of, token_in

from funmagic.accounts import links, service
from funmagic.accounts.models import User
from funmagic.accounts.sessions import BROWSER_COOKIE, SESSION_COOKIE
from funmagic.core.errors import Invalid
from funmagic.core.resources import Resources

CONFIRM = "/en/sign-in/confirm"


async def ask(browser: httpx.AsyncClient, email: str, next_path: str = "/en/credits") -> None:
    answer = await browser.post("/api/auth/magic-link", json={"email": email, "next": next_path})
    assert answer.status_code == 202, answer.text


async def who(browser: httpx.AsyncClient) -> str | None:
    person = (await browser.get("/api/auth/session")).json()["user"]
    return person["email"] if person else None


async def test_the_browser_that_asked_is_signed_in_by_the_link(site: Site, maildir: Path) -> None:
    async with site.browser() as browser:
        await ask(browser, "Dora@Example.com ")
        mail = await newest_mail(maildir, "dora@example.com")
        assert "10 minutes" in text_of(mail)
        answer = await browser.get(CONFIRM, params={"token": token_in(mail)})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/en/credits"
        assert await who(browser) == "dora@example.com"
        credits = (await browser.get("/api/credits")).json()
        assert credits["available"] == site.resources.settings.welcome_credits


@pytest.mark.hazard("U1")
async def test_a_get_from_elsewhere_uses_nothing_up_and_asks_for_a_click(
    site: Site, maildir: Path
) -> None:
    async with site.browser() as asking, site.browser() as scanner:
        await ask(asking, "eve1@example.com")
        token = token_in(await newest_mail(maildir, "eve1@example.com"))
        for _ in range(3):
            shown = await scanner.get(CONFIRM, params={"token": token})
            assert shown.status_code == 200
            assert "eve1@example.com" in shown.text
            assert await who(scanner) is None
        clicked = await scanner.post(CONFIRM, data={"token": token})
        assert clicked.status_code == 303
        assert await who(scanner) == "eve1@example.com"


@pytest.mark.hazard("U1")
async def test_fifty_simultaneous_uses_of_one_link_make_one_session(
    site: Site, maildir: Path, resources: Resources
) -> None:
    async with site.browser() as asking:
        await ask(asking, "race@example.com")
    token = token_in(await newest_mail(maildir, "race@example.com"))

    async def use() -> int:
        async with site.browser() as browser:
            return (await browser.post(CONFIRM, data={"token": token})).status_code

    statuses = await asyncio.gather(*(use() for _ in range(50)))
    assert statuses.count(303) == 1
    async with resources.db.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM sessions")) == 1


@pytest.mark.hazard("U1")
async def test_a_link_dies_after_ten_minutes_and_after_its_use(
    resources: Resources, site: Site, maildir: Path
) -> None:
    async with site.browser() as asking:
        await ask(asking, "late@example.com")
    token = token_in(await newest_mail(maildir, "late@example.com"))
    async with resources.db.transaction() as session:
        left_s = await session.scalar(
            text("SELECT extract(epoch FROM expires_at - now()) FROM mailed_links")
        )
        assert 590 < float(left_s) <= 600
        await session.execute(
            text("UPDATE mailed_links SET expires_at = now() - interval '1 second'")
        )
    async with resources.db.transaction() as session:
        with pytest.raises(Invalid, match="expired"):
            await service.redeem_magic_link(session, token)
    async with site.browser() as browser:
        assert (await browser.post(CONFIRM, data={"token": token})).status_code == 410
        assert await who(browser) is None
    async with resources.db.transaction() as session:
        await session.execute(
            text("UPDATE mailed_links SET expires_at = now() + interval '1 hour'")
        )
    async with resources.db.transaction() as session:
        await service.redeem_magic_link(session, token)
    async with resources.db.transaction() as session:
        with pytest.raises(Invalid) as refused:
            await service.redeem_magic_link(session, token)
        assert refused.value.type == "link_unusable"


@pytest.mark.hazard("U12")
async def test_signing_in_always_makes_a_new_session_id(
    site: Site, maildir: Path, make_user: MakeUser
) -> None:
    mallory: User = await make_user("mallory@example.com")
    planted = {"unknown": "A" * 43, "mallorys own": await site.session_of(mallory)}
    for number, token in enumerate(planted.values()):
        email = f"victim{number}@example.com"
        async with site.browser() as browser:
            browser.cookies.set(SESSION_COOKIE, token)
            await ask(browser, email)
            link = token_in(await newest_mail(maildir, email))
            answer = await browser.get(CONFIRM, params={"token": link})
            assert answer.status_code == 303
            fresh = answer.cookies[SESSION_COOKIE]
            assert fresh != token
        async with site.browser() as thief:
            thief.cookies.set(SESSION_COOKIE, token)
            assert await who(thief) is None
        async with site.browser() as owner:
            owner.cookies.set(SESSION_COOKIE, fresh)
            assert await who(owner) == email


async def test_cookies_are_for_our_pages_only(site: Site, maildir: Path) -> None:
    async with site.browser() as browser:
        answer = await browser.post("/api/auth/magic-link", json={"email": "flags@example.com"})
        link = token_in(await newest_mail(maildir, "flags@example.com"))
        signed_in = await browser.get(CONFIRM, params={"token": link})
    for response, name in ((answer, BROWSER_COOKIE), (signed_in, SESSION_COOKIE)):
        cookie = next(
            value for value in response.headers.get_list("set-cookie") if value.startswith(name)
        )
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/" in cookie
        assert response.headers["cache-control"] == "no-store"


async def test_signing_out_ends_the_session_for_good(site: Site, make_user: MakeUser) -> None:
    ada = await make_user()
    token = await site.session_of(ada)
    async with site.browser() as browser:
        browser.cookies.set(SESSION_COOKIE, token)
        assert await who(browser) == "ada@example.com"
        assert (await browser.post("/api/auth/logout")).status_code == 204
    async with site.browser() as again:
        again.cookies.set(SESSION_COOKIE, token)
        assert await who(again) is None


@pytest.mark.parametrize(
    "email",
    [
        "",
        "nobody",
        "a@b",
        "a b@c.de",
        "a@c.de\r\nBcc: x@y.zz",
        "a@" + "x" * 300 + ".de",
        "|@[`.ab",
        "a@[b.cd",
        "a\x00b@example.com",
    ],
)
async def test_an_address_that_is_none_is_refused_with_its_field_named(
    site: Site, email: str
) -> None:
    async with site.browser() as browser:
        answer = await browser.post("/api/auth/magic-link", json={"email": email})
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] == "invalid_input"
    assert "email" in answer.json()["error"]["fields"]


async def test_the_sixth_mail_to_one_address_has_to_wait(site: Site) -> None:
    async with site.browser() as browser:
        for _ in range(5):
            await ask(browser, "often@example.com")
        answer = await browser.post("/api/auth/magic-link", json={"email": "often@example.com"})
        assert answer.status_code == 429
        assert answer.json()["error"]["message"] == "Too many requests. Please wait."
        assert 0 < int(answer.headers["retry-after"]) <= 900


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/en/tools/background-remove?task=1", "/en/tools/background-remove?task=1"),
        ("/en/sign-in/confirm?token=secret", "/"),
        ("/zh/sign-in", "/"),
        ("/en/reset-password?token=secret", "/"),
        ("/en/verify-email?token=secret", "/"),
        ("/en/keep-email", "/"),
        ("/en/sign-in-art", "/en/sign-in-art"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        (None, "/"),
    ],
)
def test_the_way_back_stays_on_this_site(given: str | None, taken: str) -> None:
    assert links.safe_next(given) == taken


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
    ],
)
async def test_a_request_from_another_site_is_refused(
    site: Site, make_user: MakeUser, headers: dict[str, str], status: int
) -> None:
    ada = await make_user()
    async with httpx.AsyncClient(base_url=site.url, headers=headers) as browser:
        browser.cookies.set(SESSION_COOKIE, await site.session_of(ada))
        assert (await browser.post("/api/auth/logout")).status_code == status
