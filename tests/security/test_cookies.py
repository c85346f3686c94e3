"""Cookies and the sessions behind them: made here, new at every change of who somebody is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from litestar import Litestar
from tests.accounts.conftest import PASSWORD, Door, MakeKeeper
from tests.conftest import MakeUser, Site

from funmagic.accounts import links
from funmagic.accounts.devices import DEVICE_COOKIE
from funmagic.accounts.models import User
from funmagic.accounts.sessions import BROWSER_COOKIE, SESSION_COOKIE
from funmagic.app import with_layers
from funmagic.core.crypto import new_token
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.web.pages import LOCALE_COOKIE

HTTPS = "https://fun.example"
NEVER_SEEN = "A" * 43
# Ways in beside link, password and providers, which are tried with their other rules.
WAYS = (
    ("verify-email", "confirm_account"),
    ("reset-password", "reset_password"),
    ("keep-email", "keep_email"),
)


@asynccontextmanager
async def at_https(application: Litestar, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at the same product, served at an address with https."""
    app = with_layers(application, settings.model_copy(update={"public_url": HTTPS}))
    headers = {"Origin": HTTPS, "Sec-Fetch-Site": "same-origin"}
    transport = httpx.ASGITransport(app=app)
    async with (
        application.lifespan(),
        httpx.AsyncClient(transport=transport, base_url=HTTPS, headers=headers) as browser,
    ):
        yield browser


async def mailed(resources: Resources, user: User, purpose: str, email: str, mark: str) -> str:
    """The token of a link mailed to ``email``, asked for by the browser ``mark``."""
    is_new = purpose == "confirm_account"
    async with resources.db.transaction() as session:
        return await links.make(
            session,
            purpose=purpose,
            email=email,
            user_id=None if is_new else user.id,
            browser_token=mark,
            next_path="/",
            locale="en",
            data={"passwordHash": "none", "name": ""} if is_new else None,
        )


def attributes(answer: httpx.Response) -> dict[str, set[str]]:
    """Cookies by name, each with what is said about it in lower case."""
    found = {}
    for line in answer.headers.get_list("set-cookie"):
        first, *rest = (part.strip() for part in line.split(";"))
        found[first.partition("=")[0]] = {part.lower() for part in rest}
    return found


async def sign_in_everywhere(browser: httpx.AsyncClient, email: str) -> dict[str, set[str]]:
    """Every cookie the product gives, by name with its attributes."""
    page = await browser.get("/en")
    asked = await browser.post("/api/auth/magic-link", json={"email": email})
    inside = await browser.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    assert inside.status_code == 200, inside.text
    return {**attributes(page), **attributes(asked), **attributes(inside)}


EVERY_COOKIE = {SESSION_COOKIE, BROWSER_COOKIE, DEVICE_COOKIE, LOCALE_COOKIE}


async def test_by_https_every_cookie_is_sent_by_https_alone(
    application: Litestar, settings: Settings, make_keeper: MakeKeeper
) -> None:
    ada = await make_keeper()
    async with at_https(application, settings) as browser:
        given = await sign_in_everywhere(browser, ada.email)
        gone = attributes(await browser.post("/api/auth/logout"))[f"__Host-{SESSION_COOKIE}"]
        assert f"__Host-{SESSION_COOKIE}" not in browser.cookies
    assert set(given) == {
        LOCALE_COOKIE,
        *(f"__Host-{name}" for name in EVERY_COOKIE - {LOCALE_COOKIE}),
    }
    for name, said in given.items():
        assert {"secure", "samesite=lax", "path=/"} <= said, name
        assert not any(part.startswith("domain") for part in said), name
        assert ("httponly" in said) is (name != LOCALE_COOKIE), name
    # One that is taken away says as much as one that is given.
    assert {"max-age=0", "secure", "httponly", "samesite=lax", "path=/"} <= gone


async def test_by_https_a_planted_cookie_without_the_hosts_mark_is_nobodys(
    application: Litestar, settings: Settings, resources: Resources, make_user: MakeUser
) -> None:
    token = await Site(HTTPS, resources).session_of(await make_user())
    async with at_https(application, settings) as browser:
        planted = await browser.get("/api/auth/session", headers={"Cookie": f"fm_session={token}"})
        ours = {"Cookie": f"__Host-fm_session={token}"}
        assert planted.json() == {"user": None}
        assert (await browser.get("/api/auth/session", headers=ours)).json()["user"]


async def test_by_http_cookies_are_as_careful_as_they_can_be(
    site: Site, make_keeper: MakeKeeper
) -> None:
    ada = await make_keeper()
    async with site.browser() as browser:
        given = await sign_in_everywhere(browser, ada.email)
    assert set(given) == EVERY_COOKIE
    for name, said in given.items():
        assert {"samesite=lax", "path=/"} <= said, name
        assert "secure" not in said, "it would never come back"
        assert ("httponly" in said) is (name != LOCALE_COOKIE), name


@pytest.mark.hazard("U12")
@pytest.mark.parametrize(("way", "purpose"), WAYS)
async def test_a_session_brought_along_is_not_the_one_signed_in_by(
    door: Door, make_keeper: MakeKeeper, make_user: MakeUser, way: str, purpose: str
) -> None:
    """Neither nobody's nor, as it then turns out, somebody else's; and that one ends."""
    ada, mallory = await make_keeper(), await make_user("mallory@example.com")
    planted, mark = await door.site.session_of(mallory), new_token()
    for brought, email in ((NEVER_SEEN, "new1@example.com"), (planted, "new2@example.com")):
        email = email if purpose == "confirm_account" else ada.email
        token = await mailed(door.site.resources, ada, purpose, email, mark)
        body = {"token": token} | ({"password": PASSWORD} if way == "reset-password" else {})
        async with door.site.browser() as browser:
            browser.cookies.set(SESSION_COOKIE, brought)
            browser.cookies.set(BROWSER_COOKIE, mark)
            answer = await browser.post(f"/api/auth/{way}", json=body)
            assert answer.status_code == 200, answer.text
            fresh = answer.cookies[SESSION_COOKIE]
        assert fresh != brought
        assert await whose(door, fresh) == email
        assert await whose(door, brought) is None


@pytest.mark.hazard("U12")
async def test_a_proof_changes_the_token_and_the_one_before_proves_nothing(
    door: Door, make_keeper: MakeKeeper
) -> None:
    """Requests under way may still carry it for a minute."""
    stolen = await door.site.session_of(await make_keeper())
    async with door.site.browser() as browser, door.site.browser() as thief:
        browser.cookies.set(SESSION_COOKIE, stolen)
        thief.cookies.set(SESSION_COOKIE, stolen)
        proved = await browser.post("/api/auth/reauthenticate", json={"password": PASSWORD})
        assert proved.cookies[SESSION_COOKIE] != stolen
        key = {"name": "a", "scopes": ["tasks:read"]}
        refused = await thief.post("/api/me/keys", json=key)
        assert refused.json()["error"]["type"] == "reauthentication_required"


async def whose(door: Door, token: str) -> str | None:
    async with door.site.browser() as browser:
        browser.cookies.set(SESSION_COOKIE, token)
        return await door.who(browser)
