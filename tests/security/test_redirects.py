"""Wherever somebody was on their way, they are led on to our own site and nowhere else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from tests.accounts.conftest import PASSWORD, MakeKeeper
from tests.conftest import MakeUser, Site

from funmagic.accounts import links, passwords
from funmagic.accounts.sessions import BROWSER_COOKIE, SESSION_COOKIE
from funmagic.core.crypto import new_token
from funmagic.core.settings import Settings

EVIL = "evil.example"
NASTY = (
    # other sites, told in full, in part and in disguise
    "https://evil.example", "HTTPS://EVIL.EXAMPLE/", "http:evil.example", "https:/evil.example",
    "https:///evil.example", "https:\\\\evil.example", "//evil.example", "///evil.example",
    "////evil.example/%2e%2e", "//evil.example/en/credits", "//evil%2eexample", "//EVIL.EXAMPLE",
    # backslashes are slashes to browsers
    "/\\evil.example", "\\/evil.example", "\\\\evil.example", "/\\/evil.example",
    "//\\evil.example",
    "/en\\..\\..\\\\evil.example", "/\\\\\\evil.example",
    # browsers drop tabs and line ends, and what is white before an address
    "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example",
    " //evil.example", "\n\n//evil.example", "/\r\n/evil.example", "\x01//evil.example",
    "\x00//evil.example", "/\x00/evil.example", "ht\ttps://evil.example",
    # who is who
    "//127.0.0.1@evil.example", "https://127.0.0.1@evil.example", "//127.0.0.1:80@evil.example/",
    "//127.0.0.1.evil.example", "//evil.example#@127.0.0.1", "//evil.example?@127.0.0.1",
    "//evil.example\\@127.0.0.1", "//[::ffff:7f00:1]@evil.example",
    # dots, slashes and spaces of other scripts
    "//evil\u3002example", "//evil\uff0eexample", "\uff0f\uff0fevil.example",
    "\ufeff//evil.example", "\u2028//evil.example", "\u00a0//evil.example",
    # what is no address of a page
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript://127.0.0.1/%0aalert(1)", "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)", "blob:https://evil.example/1", "file:///etc/passwd", "about:blank",
    # no path from the root
    "evil.example", "./evil.example", "../evil.example", "?next=//evil.example", "#//evil.example",
    "@evil.example", ":80", "",
    # a way in that would lead on from there
    "/en/sign-in?next=//evil.example", "/en/sign-in/confirm?token=x",
    "/en/register?next=//evil.example",
    # an answer with more headers than we wrote
    "/en/\r\nSet-Cookie: stolen=1", "/\r\nLocation: //evil.example",
    "/" + "a" * 3_000,
)  # fmt: skip
# Strange, but paths of ours: what matters is that they stay that.
STRANGE = (
    "/%2f/evil.example", "/%5cevil.example", "/%09/evil.example", "/.//evil.example",
    "/en/..//evil.example", "/;@evil.example", "/@evil.example", "/en/tools/x?u=//evil.example",
    "/en/#//evil.example", "/\uff0fevil.example", "/\u2028/evil.example", "/\x7f/evil.example",
    "/en/%0d%0aSet-Cookie:%20stolen=1", "/\x85/evil.example", "/\u202e/elpmaxe.live",
)  # fmt: skip
ADDRESS = re.compile(r'\s(?:href|action|formaction|src|value|data-next)="([^"]*)"')
FACEBOOK = {"facebook_client_id": "app", "facebook_client_secret": SecretStr("secret")}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the one way in by others whose start and refusal ask nobody."""
    return settings.model_copy(update=FACEBOOK)


@pytest.fixture
async def stranger(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as browser:
        yield browser


def is_ours(address: str) -> bool:
    """Whether a browser on our site that is sent to this address stays there (WHATWG URL)."""
    read = re.sub(r"[\t\n\r]", "", address.strip("".join(map(chr, range(33))))).replace("\\", "/")
    return re.match(r"/(?!/)", read) is not None


def led(answer: httpx.Response, *, status: int = 303) -> str:
    assert answer.status_code == status, (answer.status_code, answer.text[:200])
    assert "stolen" not in answer.headers.get("set-cookie", "")
    return answer.headers["location"]


def test_there_are_enough_nasty_addresses_and_the_judge_knows_them() -> None:
    assert len(set(NASTY)) >= 60
    from_elsewhere = [
        each for each in NASTY if EVIL in each.lower() and not each.startswith("/en/")
    ]
    assert sum(not is_ours(each) for each in from_elsewhere) > 30
    assert all(map(is_ours, STRANGE))


@pytest.mark.hazard("U14")
@pytest.mark.parametrize("page", ["/en/sign-in", "/en/register", "/en/sign-in/email"])
async def test_who_is_signed_in_already_is_led_on_here(
    site: Site, make_user: MakeUser, page: str
) -> None:
    async with site.browser(await make_user()) as browser:
        for address in NASTY:
            to = led(await browser.get(page, params={"next": address}))
            assert to == "/en/", repr(address)
        for address in STRANGE:
            assert is_ours(led(await browser.get(page, params={"next": address}))), repr(address)


@pytest.mark.hazard("U14")
@pytest.mark.parametrize("page", ["/en/sign-in", "/en/register", "/en/forgot-password"])
async def test_no_page_of_a_stranger_names_another_site(
    stranger: httpx.AsyncClient, page: str
) -> None:
    """In no link, form or hidden field: what leads to another language carries the query along."""
    for address in (*NASTY, *STRANGE):
        shown = await stranger.get(page, params={"next": address})
        assert shown.status_code == 200, repr(address)
        for found in map(unescape, ADDRESS.findall(shown.text)):
            assert is_ours(found) or EVIL not in found.lower(), (address, found)
            assert "script:" not in found.lower().partition("?")[0], (address, found)


@pytest.mark.hazard("U14")
async def test_every_way_in_leads_on_here(
    site: Site, stranger: httpx.AsyncClient, make_keeper: MakeKeeper
) -> None:
    """By link, by password, by a confirmed account, by a new password: a sample of each kind of
    address, since the way on is judged in one place."""
    ada = await make_keeper()
    mark = new_token()
    stranger.cookies.set(BROWSER_COOKIE, mark)
    data = {"passwordHash": await passwords.hash_of(PASSWORD), "name": ""}

    async def token(purpose: str, email: str, next_path: str) -> str:
        async with site.resources.db.transaction() as session:
            return await links.make(
                session,
                purpose=purpose,
                email=email,
                user_id=ada.id if purpose == "reset_password" else None,
                browser_token=mark,
                next_path=next_path,
                locale="en",
                data=data,
            )

    for number, address in enumerate((*NASTY, *STRANGE)[::3]):
        stranger.cookies.delete(SESSION_COOKIE) if number else None
        link = {"token": await token("sign_in", ada.email, address)}
        opened = await stranger.get("/en/sign-in/confirm", params=link)
        assert is_ours(led(opened)), repr(address)
        if number % 3:
            continue  # a password takes its time to be looked at, and the way on is the same
        await site.resources.redis.flushall()
        form = {"way": "password", "email": ada.email, "password": PASSWORD, "next": address}
        assert is_ours(led(await stranger.post("/en/sign-in", data=form))), repr(address)
        for way, purpose, email in (
            ("verify-email", "confirm_account", f"new{number}@example.com"),
            ("reset-password", "reset_password", ada.email),
        ):
            body = {"token": await token(purpose, email, address)}
            body |= {"password": PASSWORD} if way == "reset-password" else {}
            done = await stranger.post(f"/api/auth/{way}", json=body)
            assert is_ours(done.json()["next"]), repr(address)


@pytest.mark.hazard("U14")
async def test_the_way_by_others_leads_back_here(site: Site, stranger: httpx.AsyncClient) -> None:
    for address in (*NASTY, *STRANGE)[::2]:
        away = await stranger.get("/api/auth/oauth/facebook", params={"next": address})
        state = parse_qs(urlsplit(led(away)).query)["state"][0]
        denied = {"state": state, "error": "access_denied"}
        back = led(await stranger.get("/api/auth/oauth/facebook/callback", params=denied))
        assert back.startswith("/en/sign-in?next="), repr(address)
        assert is_ours(parse_qs(urlsplit(back).query)["next"][0]), repr(address)
        await site.resources.redis.flushall()


@pytest.mark.hazard("U14")
@pytest.mark.parametrize(
    "page", ["/en/credits", "/en/profile", "/en/dashboard", "/en/profile/keys"]
)
async def test_who_is_asked_in_comes_back_here(
    site: Site, stranger: httpx.AsyncClient, page: str
) -> None:
    for address in (f"{page}?x=//{EVIL}", f"/{page}", f"{page}?next={quote('//' + EVIL)}"):
        answer = await stranger.get(site.url + address)
        if answer.status_code == 303:
            to = led(answer)
            assert is_ours(to), address
            assert is_ours(parse_qs(urlsplit(to).query)["next"][0]), address


@pytest.mark.hazard("U14")
async def test_no_path_of_ours_is_read_as_another_site(
    site: Site, stranger: httpx.AsyncClient
) -> None:
    """A browser resolves what we answer against the address it asked, two slashes included."""
    for path in (f"//{EVIL}", f"//{EVIL}/en", f"/\\{EVIL}", f"///{EVIL}/..", f"/en//{EVIL}", "//"):
        answer = await stranger.get(site.url + path)
        assert answer.status_code in {302, 303, 404}, path
        assert is_ours(answer.headers.get("location", "/")), path
        for found in map(unescape, ADDRESS.findall(answer.text)):
            assert is_ours(found) or EVIL not in found, (path, found)
