"""What another site may make somebody's browser send: it changes nothing and signs nobody in."""

from __future__ import annotations

import itertools

import httpx
import pytest
from tests.accounts.conftest import PASSWORD, MakeKeeper
from tests.conftest import MakeUser, Site
from tests.security.house import House, told
from tests.security.rules import Key
from tests.security.table import TABLE

from funmagic.accounts import links
from funmagic.accounts.oauth.api import APPLE_CALLBACK
from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.crypto import new_token

EVIL = "https://evil.example"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON_IN_DISGUISE = {"Content-Type": "text/plain"}  # what a form can send without being asked about
SENDS: list[Key] = sorted(key for key in TABLE if key[0] != "GET")


def from_elsewhere(url: str) -> dict[str, dict[str, str]]:
    """What requests from other places say of themselves; ``url`` is our own origin."""
    host = url.removeprefix("http://")
    return {
        "a form of another site": {"Sec-Fetch-Site": "cross-site", "Origin": EVIL, **FORM},
        "a script of another site": {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
        "a page of a neighbour": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9"},
        "an old browser's form": {"Origin": EVIL, **FORM},
        "JSON in disguise": {"Origin": EVIL, **JSON_IN_DISGUISE},
        "a frame without an origin": {"Origin": "null"},
        "no evidence at all": {},
        "an address in place of evidence": {"Referer": f"{url}/en/profile"},
        "our name before another": {"Origin": f"{url}.evil.example"},
        "our name as a user's": {"Origin": f"http://{host}@evil.example"},
        "our name by https": {"Origin": f"https://{host}"},
        "another port of ours": {"Origin": "http://127.0.0.1:9"},
        "our origin, said by another site": {"Origin": url, "Sec-Fetch-Site": "cross-site"},
        "no word we know": {"Origin": url, "Sec-Fetch-Site": "same-origin, cross-site"},
    }


@pytest.mark.hazard("U14")
async def test_no_route_that_changes_something_is_reached_from_elsewhere(house: House) -> None:
    """Every one of them, with the cookie of somebody who might do everything."""
    root = await house.visitor("super_admin")
    taken = set()
    async with httpx.AsyncClient(base_url=house.site.url, timeout=30) as browser:
        browser.cookies.set(SESSION_COOKIE, root.token or "")
        everywhere = itertools.product(SENDS, from_elsewhere(house.site.url).items())
        for (method, path), (where, headers) in everywhere:
            address = path.replace("{locale}", "en").replace("{provider}", "apple")
            answer = await browser.request(method, address, headers=headers, content=b"a=1")
            if told(answer) != "cross_site":
                taken.add((method, address, answer.status_code))
                continue
            assert answer.status_code == 403, where
            assert "set-cookie" not in answer.headers, where
    assert {(method, address) for method, address, _ in taken} == {("POST", APPLE_CALLBACK)}


@pytest.mark.parametrize("evidence", ["fetch metadata", "origin", "typed by hand", "both"])
async def test_our_own_pages_show_where_they_are_from(
    site: Site, make_user: MakeUser, evidence: str
) -> None:
    headers = {
        "fetch metadata": {"Sec-Fetch-Site": "same-origin"},
        "origin": {"Origin": site.url},
        "typed by hand": {"Sec-Fetch-Site": "none"},
        "both": {"Sec-Fetch-Site": "same-origin", "Origin": site.url},
    }[evidence]
    async with httpx.AsyncClient(base_url=site.url, headers=headers) as browser:
        browser.cookies.set(SESSION_COOKIE, await site.session_of(await make_user()))
        changed = await browser.patch("/api/me", json={"name": "Ada"})
    assert (changed.status_code, changed.json().get("name")) == (200, "Ada")


@pytest.mark.hazard("U14")
@pytest.mark.parametrize("where", ["a form of another site", "no evidence at all"])
async def test_authorization_stands_for_evidence_and_makes_the_cookie_nobodys(
    house: House, where: str
) -> None:
    """A program has no origin to show. Whose cookie comes along with it has said nothing."""
    ada = await house.visitor("owner")
    before = from_elsewhere(house.site.url)[where]
    headers = {**before, "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=house.site.url, headers=headers) as browser:
        browser.cookies.set(SESSION_COOKIE, ada.token or "")
        for authorization in ("Basic YTpi", f"Bearer fm_{'x' * 43}"):
            answer = await browser.patch(
                "/api/me", json={"name": "Mallory"}, headers={"Authorization": authorization}
            )
            assert answer.status_code == 401
        signed_in = {"Sec-Fetch-Site": "same-origin"}
        assert (await browser.get("/api/me", headers=signed_in)).json()["name"] != "Mallory"
        program = await house.program(ada, "tasks:write")
        assert program.key is not None
        asked = {"Authorization": f"Bearer {program.key.secret}"}
        made = await browser.post("/api/tasks", json={"tool": "none"}, headers=asked)
    assert (made.status_code, told(made)) == (404, "not_found"), "the key is heard"


@pytest.mark.hazard("U14")
async def test_nobody_is_signed_in_as_somebody_else_from_another_site(
    site: Site, make_keeper: MakeKeeper
) -> None:
    """Mallory's own password or link in Ada's browser would make what Ada does Mallory's."""
    await make_keeper("mallory@example.com")
    async with site.resources.db.transaction() as session:
        token = await links.make(
            session,
            purpose="sign_in",
            email="mallory@example.com",
            browser_token=new_token(),
            next_path="/",
            locale="en",
        )
    password = {"email": "mallory@example.com", "password": PASSWORD}
    tries: tuple[tuple[str, dict[str, object]], ...] = (
        ("/en/sign-in", {"data": {"way": "password", **password}}),
        ("/api/auth/login", {"json": password}),
        ("/en/sign-in/confirm", {"data": {"token": token}}),
    )
    evil = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    async with httpx.AsyncClient(base_url=site.url) as browser:
        for path, body in tries:
            refused = await browser.post(path, headers=evil, **body)  # type: ignore[arg-type]
            assert (refused.status_code, told(refused)) == (403, "cross_site")
        shown = await browser.get("/en/sign-in/confirm", params={"token": token})
        assert shown.status_code == 200, "to look is free"
        assert "mallory@example.com" in shown.text, "who presses the button knows whose it is"
        assert SESSION_COOKIE not in browser.cookies
        ours = {"Sec-Fetch-Site": "same-origin"}
        for path, body in tries:
            taken = await browser.post(path, headers=ours, **body)  # type: ignore[arg-type]
            assert SESSION_COOKIE in taken.cookies, "the same from our own pages"
