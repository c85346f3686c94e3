"""What stands around a tool's workplace: the same for everybody who is not signed in, what one's
own is for whoever is, and what search engines read. And the page of one's bookmarks."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site

from funmagic.accounts.models import User
from funmagic.catalog import runs, service
from funmagic.catalog.cache import RELATED, bump
from funmagic.core.resources import Resources
from funmagic.web.handlers import bookmarks

SLUG = "background-remove"
PAGE = f"/en/tools/{SLUG}"
STRUCTURED = re.compile(r'<script type="application/ld\+json">(.*?)</script>', re.S)
KEPT = re.compile(r'<bookmark-button data-tool="([a-z0-9-]+)"')

HasRun = Callable[..., Awaitable[None]]


@pytest.fixture
def has_run(resources: Resources) -> HasRun:
    """Say that somebody has completed a run of the tool."""

    async def note(user: User) -> None:
        async with resources.db.transaction() as session:
            await runs.record_run(session, user.id, await service.id_of(session, SLUG))

    return note


def structured(page: str) -> dict[str, dict[str, Any]]:
    """The page's JSON-LD by type."""
    return {found["@type"]: found for found in map(json.loads, STRUCTURED.findall(page))}


async def alter(resources: Resources, changes: str, **values: Any) -> None:
    async with resources.db.transaction() as session:
        await bump(session)
        statement = text(f"UPDATE tools SET {changes} WHERE slug = '{SLUG}'")
        await session.execute(statement, values)


async def test_whoever_is_not_signed_in_gets_the_same_page_as_everybody(site: Site) -> None:
    """So it can be kept and shown to the next one."""
    pages = []
    for cookies, query in (
        ({}, {}),
        ({"fm_locale": "ja", "fm_session": "of nobody"}, {}),
        ({}, {"task": "01a2058e-4a48-70e6-95e6-a979c197c14f"}),
    ):
        async with site.browser() as browser:
            browser.cookies.update(cookies)
            answer = await browser.get(PAGE, params=query)
            pages.append((answer.text.replace("%3Ftask", "?task"), answer.headers))
    first, second, asking = (page for page, _ in pages)
    assert first == second
    assert "data-signed-in" not in first
    assert "data-task" not in first
    headers = [found["cache-control"] for _, found in pages]
    assert headers[0].startswith("public")
    assert headers[2].startswith("private"), "an address that names a task is somebody's"
    assert "data-task" not in asking


async def test_search_engines_are_told_of_a_product_once_somebody_has_rated_it(
    site: Site, resources: Resources, make_user: MakeUser, has_run: HasRun
) -> None:
    async with site.browser() as guest:
        found = structured((await guest.get(PAGE)).text)
        assert set(found) == {"BreadcrumbList"}, "without a rating no engine takes a product"
        crumbs = found["BreadcrumbList"]["itemListElement"]
        assert [crumb["item"] for crumb in crumbs] == [f"{site.url}/en/tools", f"{site.url}{PAGE}"]

        for email, stars in (("ada@example.com", 5), ("bo@example.com", 2)):
            user = await make_user(email)
            await has_run(user)
            async with site.browser(user) as browser:
                answer = await browser.put(f"/api/tools/{SLUG}/rating", json={"stars": stars})
                assert answer.is_success, answer.text
        page = (await guest.get(PAGE)).text
        product = structured(page)["Product"]
        assert product["name"] == "Background remover"
        assert product["url"] == f"{site.url}{PAGE}"
        assert product["image"].startswith(f"{site.url}/")
        assert product["aggregateRating"] == {
            "@type": "AggregateRating",
            "ratingValue": 3.5,
            "ratingCount": 2,
            "bestRating": 5,
            "worstRating": 1,
        }
        assert "Rated 3.5 out of 5." in page
        counts = re.findall(r'max="2" value="(\d)"', page)
        assert counts == ["1", "0", "0", "1", "0"], "five stars first"


async def test_a_title_cannot_break_out_of_the_page(site: Site, resources: Resources) -> None:
    await alter(resources, "title = :title", title="</script><script>alert(1)</script>")
    async with site.browser() as guest:
        page = (await guest.get(PAGE)).text
    assert "<script>alert" not in page
    crumbs = structured(page)["BreadcrumbList"]["itemListElement"]
    assert crumbs[-1]["name"] == "</script><script>alert(1)</script>"


async def test_stars_are_offered_to_those_who_have_run_the_tool(
    site: Site, make_user: MakeUser, has_run: HasRun
) -> None:
    ada = await make_user()
    async with site.browser(ada) as browser:
        page = (await browser.get(PAGE)).text
        assert "<rating-stars" not in page
        assert "You can rate a tool once you have used it." in page
        await has_run(ada)
        page = (await browser.get(PAGE)).text
        assert 'data-given="0"' in page
        await browser.put(f"/api/tools/{SLUG}/rating", json={"stars": 4})
        page = (await browser.get(PAGE)).text
        assert 'data-given="4"' in page
        assert re.findall(r'data-stars="(\d)"[^>]*aria-pressed="true"', page) == ["4"]
    async with site.browser(await make_user("cy@example.com")) as browser:
        assert "<rating-stars" not in (await browser.get(PAGE)).text


async def test_bookmarks_are_ones_own_newest_first_and_paged(
    site: Site, resources: Resources, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.browser() as guest:
        asked = await guest.get("/en/bookmarks")
        assert (asked.status_code, asked.headers["location"]) == (
            303,
            "/en/sign-in?next=/en/bookmarks",
        )
    async with site.browser(await make_user("cy@example.com")) as stranger:
        await stranger.put(f"/api/tools/{SLUG}/bookmark")
    async with site.browser(await make_user()) as browser:
        page = (await browser.get("/en/bookmarks")).text
        assert KEPT.findall(page) == []
        assert "Nothing bookmarked yet" in page
        for slug in (SLUG, "figme"):
            assert 'aria-pressed="false"' in (await browser.get(f"/en/tools/{slug}")).text
            answer = await browser.put(f"/api/tools/{slug}/bookmark")
            assert answer.is_success, answer.text
            assert 'aria-pressed="true"' in (await browser.get(f"/en/tools/{slug}")).text
        page = (await browser.get("/en/bookmarks")).text
        assert KEPT.findall(page) == ["figme", SLUG]

        monkeypatch.setattr(bookmarks, "PAGE_ROWS", 1)
        first = (await browser.get("/en/bookmarks")).text
        older = first.split('href="/en/bookmarks?cursor=')[1].split('"')[0]
        second = (await browser.get(f"/en/bookmarks?cursor={older}")).text
        assert KEPT.findall(first) + KEPT.findall(second) == ["figme", SLUG]
        assert (await browser.get("/en/bookmarks?cursor=nonsense")).status_code == 422

        await alter(resources, "is_active = false")
        monkeypatch.undo()
        assert KEPT.findall((await browser.get("/en/bookmarks")).text) == ["figme"]


async def test_other_tools_are_shown_and_the_kind_leads_to_more_of_it(site: Site) -> None:
    async with site.browser() as guest:
        page = (await guest.get(PAGE)).text
        related = page.split('id="related-title"')[1].split("</section>")[0]
        others = re.findall(r'href="(/en/tools/[a-z0-9-]+)"', related)
        assert len(set(others)) == len(others) == RELATED
        assert PAGE not in others
        assert 'href="/en/tools?type=photo" class="tool-kind"' in page
