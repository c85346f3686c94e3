"""A round trip belongs to one browser, ends once, and leads nowhere but back here."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from limits import parse
from sqlalchemy import text
from tests.accounts.oauth.journey import CROSS_SITE, NEXT, Journey, count, trouble, who
from tests.conftest import Site

from funmagic.accounts.oauth import api
from funmagic.accounts.sessions import BROWSER_COOKIE

AGE = text("UPDATE oauth_attempts SET expires_at = now() - interval '1 second'")
CALLBACK = "/api/auth/oauth/{}/callback"


@pytest.mark.hazard("U14")
@pytest.mark.parametrize("provider", ["google", "facebook", "apple"])
async def test_the_answer_to_another_browser_signs_nobody_in(
    site: Site, journey: Journey, provider: str
) -> None:
    person = {"google": "gus", "facebook": "finn", "apple": "mia"}[provider]
    async with site.browser() as mallory, site.browser() as victim, site.browser() as fresh:
        back = await journey.consent(mallory, provider, person)
        await journey.leave(victim, provider)  # so it has a mark of its own
        for browser in (victim, fresh):
            kind, _ = trouble(await journey.arrive(browser, back))
            assert kind == "oauth_expired"
            assert await who(browser) is None
        assert await count(site.resources, "sessions") == 0
        assert "error=" not in await journey.arrive(mallory, back)  # nothing was used up


@pytest.mark.hazard("U14")
@pytest.mark.parametrize("provider", ["google", "apple"])
async def test_an_answer_counts_once(site: Site, journey: Journey, provider: str) -> None:
    person = {"google": "gus", "apple": "mia"}[provider]
    async with site.browser() as browser, site.browser() as later:
        back = await journey.consent(browser, provider, person)
        assert await journey.arrive(browser, back) == NEXT
        assert await journey.arrive(browser, back) == NEXT  # the page loaded again: still in
        mark = browser.cookies[BROWSER_COOKIE]
        later.cookies.set(BROWSER_COOKIE, mark)
        assert trouble(await journey.arrive(later, back)) == ("oauth_expired", NEXT)
        assert await who(later) is None
    assert await count(site.resources, "sessions") == 1
    async with site.resources.db.transaction() as session:
        kept = await session.execute(text("SELECT sealed, answer FROM oauth_attempts"))
        assert kept.all() == [(b"", None)]


@pytest.mark.hazard("U14")
async def test_twenty_simultaneous_answers_make_one_session(site: Site, journey: Journey) -> None:
    async with site.browser() as browser:
        back = await journey.consent(browser, "google", "gus")
        paths = await asyncio.gather(*(journey.arrive(browser, back) for _ in range(20)))
    assert NEXT in paths
    assert await count(site.resources, "sessions") == 1
    assert await count(site.resources, "identities") == 1


@pytest.mark.hazard("U14")
async def test_an_answer_counts_for_its_own_provider_and_for_ten_minutes(
    site: Site, journey: Journey
) -> None:
    async with site.browser() as browser:
        back = await journey.consent(browser, "google", "gus")
        query = urlsplit(back).query
        mixed_up = f"{CALLBACK.format('facebook')}?{query}"
        assert trouble(await journey.arrive(browser, mixed_up)) == ("oauth_expired", NEXT)
        posted = f"{CALLBACK.format('apple')}?{query}"
        assert trouble(await journey.arrive(browser, posted)) == ("oauth_expired", NEXT)
        async with site.resources.db.transaction() as session:
            lived = "SELECT extract(epoch FROM expires_at - now()) FROM oauth_attempts"
            assert 500 < float(await session.scalar(text(lived)) or 0) <= 600
            await session.execute(AGE)
        assert trouble(await journey.arrive(browser, back)) == ("oauth_expired", NEXT)
        unknown = f"{CALLBACK.format('google')}?code=c&state=never"
        assert trouble(await journey.arrive(browser, unknown)) == ("oauth_expired", "/")
        back = await journey.consent(browser, "google", "gus")
        other_issuer = f"{back}&{urlencode({'iss': 'https://evil.example'})}"
        assert trouble(await journey.arrive(browser, other_issuer)) == ("oauth_failed", NEXT)
        assert await who(browser) is None


async def test_two_tabs_do_not_disturb_each_other(site: Site, journey: Journey) -> None:
    async with site.browser() as browser:
        first = await journey.consent(browser, "google", "gus")
        second = await journey.consent(browser, "apple", "mia")
        assert await journey.arrive(browser, second) == NEXT
        assert await who(browser) == "mia@example.com"
        assert await journey.arrive(browser, first) == NEXT
        assert await who(browser) == "gus@example.com"
    assert await count(site.resources, "sessions") == 1


@pytest.mark.hazard("U14")
async def test_apples_form_decides_nothing_by_itself(site: Site, journey: Journey) -> None:
    elsewhere = journey.elsewhere
    async with site.browser() as browser:
        address = await journey.leave(browser, "apple")
        too_early = f"{CALLBACK.format('apple')}?{urlencode({'state': state_in(address)})}"
        assert trouble(await journey.arrive(browser, too_early)) == ("oauth_expired", NEXT)
        page = await elsewhere.page(address, person="mia")
        back = await elsewhere.post(page)
        assert await count(site.resources, "sessions") == 0
        await elsewhere.post(page, code="another")  # the first one counts
        assert await journey.arrive(browser, back) == NEXT
        assert await who(browser) == "mia@example.com"
    async with site.browser() as browser:
        address = await journey.leave(browser, "apple")
        page = await elsewhere.page(address, person="mia")
        back = await elsewhere.post(page, code="c" * 5_000)
        assert trouble(await journey.arrive(browser, back)) == ("oauth_failed", NEXT)


@pytest.mark.hazard("U14")
async def test_no_other_address_takes_a_form_from_another_site(site: Site) -> None:
    form = {"state": "s", "code": "c"}
    apple = CALLBACK.format("apple")
    async with httpx.AsyncClient(base_url=site.url, headers=CROSS_SITE) as evil:
        assert (await evil.post(apple, data=form)).status_code == 303
        for path in (
            f"{apple}/",
            f"{apple}/x",
            f"{apple}x",
            CALLBACK.format("google"),
            "/api/auth/oauth/email",
            "/api/auth/logout",
        ):
            refused = await evil.post(path, data=form)
            assert (refused.status_code, refused.json()["error"]["type"]) == (403, "cross_site")
        for method in ("PUT", "PATCH", "DELETE"):
            assert (await evil.request(method, apple, data=form)).status_code == 403


@pytest.mark.hazard("U14")
async def test_the_way_begins_here_and_leads_back_here(site: Site, journey: Journey) -> None:
    async with site.browser() as browser:
        for where in ("cross-site", "same-site"):
            headers = {"Sec-Fetch-Site": where}
            refused = await browser.get("/api/auth/oauth/google", headers=headers)
            assert (refused.status_code, refused.json()["error"]["type"]) == (403, "cross_site")
        for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"):
            address = await journey.leave(browser, "apple", next=evil)
            back = await journey.elsewhere.consent(address, person="mia")
            assert await journey.arrive(browser, back) == "/"
        asked = parse_qs(urlsplit(address).query)
        assert asked["redirect_uri"] == [f"{site.url}{CALLBACK.format('apple')}"]
        assert asked["code_challenge_method"] == ["S256"]
        refused = await browser.get("/api/auth/oauth/google", params={"purpose": "steal"})
        assert refused.status_code == 422


def state_in(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


@pytest.mark.hazard("U4")
async def test_ways_and_mails_are_counted(
    site: Site, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.browser() as browser:
        path = await journey.whole(browser, "facebook", "gil")
        body = {"attempt": parse_qs(urlsplit(path).query)["attempt"][0], "email": "gil@example.com"}
        answers = [await browser.post("/api/auth/oauth/email", json=body) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 5 + [429]
        monkeypatch.setattr(api, "STARTS", parse("2 per minute"))
        answers = [await browser.get("/api/auth/oauth/google") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [303, 303, 429]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
