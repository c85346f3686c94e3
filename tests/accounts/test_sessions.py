"""Sessions: how they begin, how long they last, how their tokens change, how they are ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event, text
from tests.accounts.conftest import PASSWORD, Door, MakeKeeper
from tests.accounts.locks import until_somebody_waits
from tests.conftest import MakeUser, Site
from tests.mailbox import text_of

from funmagic.accounts import devices
from funmagic.accounts.devices import DEVICE_COOKIE
from funmagic.accounts.sessions import BROWSER_COOKIE, SESSION_COOKIE
from funmagic.core.resources import Resources

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW_KEY = {"name": "A program", "scopes": ["tasks:read"]}
PassTime = Callable[[timedelta], Awaitable[None]]


@pytest.fixture
def later(resources: Resources) -> PassTime:
    """Let time pass for every session."""
    statement = text("""
        UPDATE sessions
           SET created_at = created_at - CAST(:by AS interval),
               last_used_at = last_used_at - CAST(:by AS interval),
               rotated_at = rotated_at - CAST(:by AS interval),
               authenticated_at = authenticated_at - CAST(:by AS interval),
               expires_at = expires_at - CAST(:by AS interval)
    """)

    async def pass_time(by: timedelta) -> None:
        async with resources.db.transaction() as session:
            await session.execute(statement, {"by": by})

    return pass_time


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """What is sent to the database from here on, but for the frame of transactions."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


async def ask(site: Site, token: str) -> httpx.Response:
    """Who is signed in by this token, asked by a browser that keeps nothing."""
    async with site.browser() as browser:
        headers = {"Cookie": f"{SESSION_COOKIE}={token}"}
        return await browser.get("/api/auth/session", headers=headers)


async def make_key(site: Site, token: str) -> httpx.Response:
    """Something that wants recent proof, asked with this token."""
    async with site.browser() as browser:
        headers = {"Cookie": f"{SESSION_COOKIE}={token}"}
        return await browser.post("/api/me/keys", json=NEW_KEY, headers=headers)


@asynccontextmanager
async def held_up(resources: Resources, *, waiters: int) -> AsyncIterator[None]:
    """Let everybody who wants to write a session wait, until so many do."""
    async with resources.db.transaction() as session:
        await session.execute(text("SELECT FROM sessions FOR UPDATE"))
        yield
        await until_somebody_waits(session, waiters)


def is_in(answer: httpx.Response) -> bool:
    return answer.json()["user"] is not None


async def signed_in(door: Door, browser: httpx.AsyncClient, email: str = "ada@example.com") -> str:
    """Sign in by password; the session's token."""
    answer = await door.log_in(browser, email, PASSWORD)
    assert answer.status_code == 200, answer.text
    return browser.cookies[SESSION_COOKIE]


@pytest.mark.hazard("U12")
async def test_a_token_brought_along_is_never_the_one_signed_in_by(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper()
    planted = "A" * 43
    async with door.site.browser() as browser:
        headers = {"Cookie": f"{SESSION_COOKIE}={planted}"}
        body = {"email": "ada@example.com", "password": PASSWORD}
        first = await browser.post("/api/auth/login", json=body, headers=headers)
        token = first.cookies[SESSION_COOKIE]
        assert token != planted
        assert not is_in(await ask(door.site, planted))
        second = await browser.post("/api/auth/login", json=body)
        assert second.cookies[SESSION_COOKIE] not in {token, planted}
    assert not is_in(await ask(door.site, token)), "the session before the sign-in goes on"
    assert await door.count("sessions") == 1


async def test_a_session_ends_fourteen_days_after_its_last_use(
    door: Door, make_keeper: MakeKeeper, later: PassTime
) -> None:
    await make_keeper()
    async with door.site.browser() as browser:
        await signed_in(door, browser)
        for _ in range(2):
            await later(timedelta(days=13))
            assert await door.who(browser) == "ada@example.com"
        await later(timedelta(days=14, seconds=1))
        assert await door.who(browser) is None


async def test_a_session_ends_ninety_days_after_it_began_however_much_it_is_used(
    door: Door, make_keeper: MakeKeeper, later: PassTime
) -> None:
    await make_keeper()
    async with door.site.browser() as browser:
        await signed_in(door, browser)
        for _ in range(8):
            await later(timedelta(days=11))
            assert await door.who(browser) == "ada@example.com"
        await later(timedelta(days=2, seconds=1))
        assert await door.who(browser) is None
        await signed_in(door, browser)
    assert await door.count("sessions") == 1, "what has ended is swept away by the next sign-in"


async def test_a_token_is_exchanged_once_a_day_and_the_one_before_ends_soon_after(
    door: Door, make_keeper: MakeKeeper, later: PassTime
) -> None:
    await make_keeper()
    site = door.site
    async with site.browser() as browser:
        old = await signed_in(door, browser)
        await later(timedelta(hours=23))
        assert SESSION_COOKIE not in (await ask(site, old)).cookies
        await later(timedelta(hours=1))
        async with held_up(site.resources, waiters=3):
            asking = [asyncio.create_task(ask(site, old)) for _ in range(3)]
        answers = await asyncio.gather(*asking)
    assert all(is_in(answer) for answer in answers)
    given = [answer.cookies[SESSION_COOKIE] for answer in answers if answer.cookies]
    assert len(given) == 1, "of simultaneous requests one exchanges"
    (new,) = given
    assert is_in(await ask(site, new))
    assert is_in(await ask(site, old)), "a request under way"
    await later(timedelta(seconds=61))
    assert not is_in(await ask(site, old))
    await later(timedelta(minutes=5))
    assert is_in(await ask(site, new))
    assert not is_in(await ask(site, old)), "a later use of the new one brings it back"


async def test_an_answer_that_is_lost_signs_nobody_out(
    door: Door, make_keeper: MakeKeeper, later: PassTime
) -> None:
    await make_keeper()
    site = door.site
    async with site.browser() as browser:
        old = await signed_in(door, browser)
    await later(timedelta(days=1))
    lost = (await ask(site, old)).cookies[SESSION_COOKIE]
    await later(timedelta(hours=2))
    again = await ask(site, old)
    assert is_in(again)
    new = again.cookies[SESSION_COOKIE]
    assert new not in {old, lost}
    assert is_in(await ask(site, new))
    assert not is_in(await ask(site, lost))


async def test_who_asks_costs_one_query(
    door: Door, make_keeper: MakeKeeper, later: PassTime, statements: list[str]
) -> None:
    await make_keeper()
    async with door.site.browser() as browser:
        token = await signed_in(door, browser)
    await later(timedelta(minutes=4))
    statements.clear()
    assert is_in(await ask(door.site, token))
    assert [each.split()[0] for each in statements] == ["SELECT"], statements
    await later(timedelta(minutes=2))
    statements.clear()
    await asyncio.gather(*(ask(door.site, token) for _ in range(3)))
    async with door.site.resources.db.transaction() as session:
        aged = text("SELECT now() - last_used_at < interval '1 minute' FROM sessions")
        assert await session.scalar(aged), "its use is noted every five minutes"
    statements.clear()
    assert is_in(await ask(door.site, token))
    assert len(statements) == 1, statements


async def test_what_matters_wants_proof_that_is_not_old(
    door: Door, make_keeper: MakeKeeper, later: PassTime
) -> None:
    await make_keeper()
    async with door.site.browser() as browser:
        await signed_in(door, browser)
        assert (await browser.post("/api/me/keys", json=NEW_KEY)).status_code == 201
        await later(timedelta(minutes=15, seconds=1))
        before = browser.cookies[SESSION_COOKIE]
        refused = await browser.post("/api/me/keys", json=NEW_KEY)
        assert refused.status_code == 403
        assert refused.json()["error"]["type"] == "reauthentication_required"
        wrong = await browser.post("/api/auth/reauthenticate", json={"password": "not the one"})
        assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "wrong_credentials")
        right = await browser.post("/api/auth/reauthenticate", json={"password": PASSWORD})
        assert right.status_code == 204
        assert browser.cookies[SESSION_COOKIE] != before, "more rights, another token"
    assert is_in(await ask(door.site, before)), "a request under way"
    tried = await make_key(door.site, before)
    assert tried.json()["error"]["type"] == "reauthentication_required"
    await later(timedelta(seconds=61))
    late = (await ask(door.site, before)).cookies[SESSION_COOKIE]
    tried = await make_key(door.site, late)
    assert tried.status_code == 403, "the old token grew into the new rights"
    assert await door.count("api_keys") == 1


async def test_the_proof_serves_the_browser_that_gave_it(
    door: Door, make_keeper: MakeKeeper, later: PassTime
) -> None:
    await make_keeper()
    async with door.site.browser() as browser:
        await signed_in(door, browser)
        await later(timedelta(minutes=16))
        await browser.post("/api/auth/reauthenticate", json={"password": PASSWORD})
        assert (await browser.post("/api/me/keys", json=NEW_KEY)).status_code == 201


async def test_a_mailed_link_proves_it_in_the_browser_that_asked(
    door: Door, make_keeper: MakeKeeper, make_user: MakeUser, later: PassTime
) -> None:
    await make_keeper(door.dora)
    cy = await make_user("cy@example.com")
    async with door.site.browser() as browser, door.site.browser() as other:
        for each in (browser, other):
            await signed_in(door, each, door.dora)
        mails = await door.count("mails")
        await later(timedelta(minutes=16))
        await door.ask(browser, "reauthenticate/link", next="/en/profile/keys")
        token = await door.token(door.dora, mails=mails + 1)
        page = f"/en/sign-in/confirm?token={token}"
        assert (await other.get(page)).status_code == 403
        pressed = await other.post("/en/sign-in/confirm", data={"token": token})
        assert pressed.status_code == 403
        with_cys = {
            "Cookie": "; ".join(
                f"{name}={value}"
                for name, value in (
                    (SESSION_COOKIE, await door.site.session_of(cy)),
                    (BROWSER_COOKIE, browser.cookies[BROWSER_COOKIE]),
                )
            )
        }
        async with door.site.browser() as shared:
            assert (await shared.get(page, headers=with_cys)).status_code == 403
        refused = await browser.post("/api/me/keys", json=NEW_KEY)
        assert refused.json()["error"]["type"] == "reauthentication_required"
        opened = await browser.get(page)
        assert opened.headers["location"] == "/en/profile/keys"
        assert (await browser.post("/api/me/keys", json=NEW_KEY)).status_code == 201
        assert (await other.post("/api/me/keys", json=NEW_KEY)).status_code == 403
        assert (await browser.get(page)).status_code == 410


async def test_somebody_sees_where_they_are_signed_in_and_ends_it(
    door: Door, make_keeper: MakeKeeper, make_user: MakeUser, later: PassTime
) -> None:
    await make_keeper()
    cy = await make_user("cy@example.com")
    async with (
        door.site.browser() as here,
        door.site.browser() as phone,
        door.site.browser() as laptop,
        door.site.browser(cy) as stranger,
    ):
        laptop.headers["user-agent"] = FIREFOX
        phone.headers["user-agent"] = "curl/8"
        for browser in (laptop, phone, here):
            await signed_in(door, browser)
        items = (await here.get("/api/auth/sessions")).json()["items"]
        assert [(each["device"], each["isCurrent"]) for each in items] == [
            ("Unknown device", True),
            ("Unknown device", False),
            ("Firefox on Linux", False),
        ]
        assert {each["method"] for each in items} == {"password"}
        address = f"/api/auth/sessions/{items[2]['id']}"
        assert (await stranger.delete(address)).status_code == 404
        assert await door.who(laptop) == "ada@example.com"
        assert (await here.delete(address)).status_code == 204
        assert (await here.delete(address)).status_code == 404
        assert await door.who(laptop) is None
        assert (await here.delete("/api/auth/sessions")).status_code == 204
        assert await door.who(phone) is None
        assert await door.who(here) == "ada@example.com"
        assert await door.who(stranger) == "cy@example.com"
        ended = await here.delete(f"/api/auth/sessions/{items[0]['id']}")
        assert ended.status_code == 204
        assert await door.who(here) is None
    async with door.site.resources.db.transaction() as session:
        acts = text("SELECT action FROM audit_log WHERE action LIKE 'session.%' ORDER BY id")
        assert list(await session.scalars(acts)) == ["session.started"] * 3 + ["session.ended"] * 2


async def test_a_sign_in_with_another_browser_is_told_by_mail(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper(door.dora)
    async with door.site.browser() as known, door.site.browser() as other:
        other.headers["user-agent"] = FIREFOX
        for _ in range(2):
            await signed_in(door, known, door.dora)
            await known.post("/api/auth/logout")
        assert await door.count("mails") == 0, "told of the first sign-in, or of a known browser"
        await signed_in(door, other, door.dora)
        told = text_of(await door.mail(door.dora))
        assert "Firefox on Linux" in told
        assert f"{door.site.url}/en/forgot-password" in told
        await signed_in(door, other, door.dora)
        assert await door.count("mails") == 1


async def test_a_device_is_known_for_whom_it_was_made(door: Door, make_keeper: MakeKeeper) -> None:
    ada, mallory = f"ada-{door.dora}", f"mallory-{door.dora}"
    for email in (ada, mallory):
        await make_keeper(email)
    async with door.site.browser() as shared:
        for email in (ada, mallory, ada, mallory):
            await signed_in(door, shared, email)
        assert await door.count("mails") == 0, "people who share a browser are known in it"
    async with door.site.browser() as own, door.site.browser() as stolen:
        await signed_in(door, own, mallory)
        planted = own.cookies[DEVICE_COOKIE]
        stolen.cookies.set(DEVICE_COOKIE, planted, domain="127.0.0.1", path="/")
        await signed_in(door, stolen, ada)
        told = await door.mail(ada)
        assert "New sign-in" in str(told["Subject"])
    assert await door.count("devices") == 4


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, ("Firefox", "Linux")),
        ("(Windows NT 10.0) Chrome/141.0 Safari/537.36 Edg/141.0", ("Edge", "Windows")),
        ("(Macintosh; Intel Mac OS X 10_15_7) Version/18.5 Safari/605", ("Safari", "macOS")),
        ("(iPhone; CPU iPhone OS 18_5 like Mac OS X) CriOS/141 Safari/604", ("Chrome", "iPhone")),
        (
            "(Linux; Android 14) SamsungBrowser/28.0 Chrome/130.0 Safari/537.36",
            ("Samsung Internet", "Android"),
        ),
        ("<script>alert(1)</script>", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_browser_is_named_by_what_it_says_it_is(user_agent: str, words: tuple[str, str]) -> None:
    assert devices.words(user_agent) == words
