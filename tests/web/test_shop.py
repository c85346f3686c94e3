"""The home page and the catalog as visitors get them: banners, cards, orders, words, pages."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import delete
from tests.catalog.conftest import Put
from tests.conftest import Absence, MakeUser, Site

from funmagic.catalog.shelf import CatalogQuery
from funmagic.content.models import BannerRow
from funmagic.core.clock import now
from funmagic.core.db import Database
from funmagic.web.shop_contexts import Slide, catalog_path

CARD = re.compile(r'class="tool-card-title"><a href="([^"]+)">([^<]*)</a>')
LINK = re.compile(r'<a id="([a-z_0-9-]+)" href="([^"]+)"')
NEXT = re.compile(r'<a href="([^"]+)"[^>]* rel="next"')
STALE = 'role="status" data-stale>'  # the notice, where it is not hidden


@pytest.fixture
async def banners(db: Database) -> Any:
    """Put up banners in place of all others; each is given by what differs from a plain one."""

    async def put_up(*rows: dict[str, Any]) -> None:
        async with db.transaction() as session:
            await session.execute(delete(BannerRow))
            for position, row in enumerate(rows):
                plain = {"placement": "main", "link": "/tools/figme", "position": position}
                session.add(BannerRow(**plain | row))

    return put_up


async def test_the_home_page_shows_the_banners_of_the_moment_in_order_and_in_its_language(
    site: Site, banners: Any
) -> None:
    soon, before = now() + timedelta(hours=1), now() - timedelta(hours=1)
    german = {"title": "Zweites", "linkLabel": "Los"}
    await banners(
        {"title": "Second", "position": 2, "link_label": "Go", "translations": {"de": german}},
        {"title": "First", "position": 1, "badge": "New <b>", "text": "A & B"},
        {"title": "Not yet", "starts_at": soon},
        {"title": "Over", "ends_at": before},
        {"title": "Off", "is_active": False},
        {"title": "Beside", "placement": "side", "link": "https://example.org/x?a=1&b=2"},
    )
    async with site.browser() as browser:
        text = await _page(browser, "/en")
        assert re.findall(r'class="slide-title">([^<]+)<', text) == ["First", "Second"]
        assert "New &lt;b&gt;" in text
        assert "A &amp; B" in text
        assert text.count("data-dot") == 2
        assert '<a href="https://example.org/x?a=1&amp;b=2" rel="noopener">Beside</a>' in text
        for absent in ("Not yet", "Over", ">Off<"):
            assert absent not in text
        text = await _page(browser, "/de")
        assert re.findall(r'class="slide-title">([^<]+)<', text) == ["First", "Zweites"]
        assert 'href="/de/tools/figme"' in text
        assert "<span>Los</span>" in text


async def test_without_banners_the_home_page_says_what_this_is(site: Site, banners: Any) -> None:
    await banners()
    async with site.browser() as browser:
        text = await _page(browser, "/en")
    assert "<banner-carousel" not in text
    assert text.count("<h1") == 1
    assert "<before-after" in text


async def test_one_banner_needs_nothing_to_move_it(site: Site, banners: Any) -> None:
    await banners({"title": "Only"})
    async with site.browser() as browser:
        text = await _page(browser, "/en")
    assert "Only" in text
    assert "slide-controls" not in text


async def test_the_home_page_shows_at_most_eight_featured_tools_and_ways_to_all(
    site: Site, put: Put
) -> None:
    for number in range(10):
        await put(f"tool-{number}", is_featured=number > 0, usage_count=number)
    async with site.browser() as browser:
        text = await _page(browser, "/en")
        found = [path for path, _ in CARD.findall(text)]
        assert found == [f"/en/tools/tool-{number}" for number in range(9, 1, -1)]
        ways = _ways(text)
        assert ways["kind-all"] == "/en/tools"
        assert ways["kind-photo"] == "/en/tools?type=photo"
        assert "kind-3d" not in ways  # it would lead to nothing
        assert 'href="/en/tools" class="more-link"' in text


async def test_where_nothing_is_featured_the_most_used_are_shown(site: Site, put: Put) -> None:
    for number in range(9):
        await put(f"tool-{number}", usage_count=number)
    async with site.browser() as browser:
        found = CARD.findall(await _page(browser, "/en"))
    assert [path for path, _ in found] == [f"/en/tools/tool-{number}" for number in range(8, 0, -1)]


async def test_a_card_tells_title_price_and_rating_in_the_pages_language(
    site: Site, put: Put
) -> None:
    german = {"de": {"title": "Ausgeschnitten & gut"}}
    await put("one", "Cut <out>", translations=german, stars=(5, 4, 4), usage_count=1234)
    await put("none", "Unrated")
    async with site.browser() as browser:
        english = await _page(browser, "/en/tools")
        assert ("/en/tools/one", "Cut &lt;out&gt;") in CARD.findall(english)
        assert "5 credits" in english
        assert "Rated 4.3 out of 5. 3 ratings" in english
        assert "Used 1,234 times" in english
        assert "No ratings yet" in english
        german_page = await _page(browser, "/de/tools")
    assert ("/de/tools/one", "Ausgeschnitten &amp; gut") in CARD.findall(german_page)
    assert ">4,3</span> (3)" in german_page


async def test_kind_order_and_words_are_in_the_address_and_keep_each_other(
    site: Site, put: Put
) -> None:
    await put("cut", "Sunrise cutter", usage_count=1, stars=(5,) * 30)
    await put("sun", "Sunrise solid", type="3d", usage_count=3)
    await put("blur", "Blur", usage_count=2, stars=(4,))
    async with site.browser() as browser:
        for path, found in {
            "/en/tools": ["sun", "blur", "cut"],
            "/en/tools?sort=newest": ["blur", "sun", "cut"],
            "/en/tools?sort=top_rated": ["cut", "blur", "sun"],
            "/en/tools?type=photo": ["blur", "cut"],
            "/en/tools?q=sunrise": ["sun", "cut"],
            "/en/tools?type=photo&sort=newest&q=sunrise": ["cut"],
        }.items():
            assert await _slugs(browser, path) == found, path
        text = await _page(browser, "/en/tools?type=photo&sort=newest&q=sunrise")
        ways = _ways(text)
        assert ways["kind-all"] == "/en/tools?sort=newest&q=sunrise"
        assert ways["kind-3d"] == "/en/tools?type=3d&sort=newest&q=sunrise"
        assert ways["sort-popular"] == "/en/tools?type=photo&q=sunrise"
        assert ways["sort-top_rated"] == "/en/tools?type=photo&sort=top_rated&q=sunrise"
        for name, value in (("type", "photo"), ("sort", "newest")):
            assert f'<input type="hidden" name="{name}" value="{value}">' in text
        assert re.findall(r'id="([^"]+)" href="[^"]+"[^>]* aria-current', text) == [
            "kind-photo",
            "sort-newest",
        ]


async def test_an_address_that_asks_in_vain_still_leads_to_tools(site: Site, put: Put) -> None:
    await put("one", usage_count=2)
    await put("two", usage_count=1)
    cursor = "bm9uc2Vuc2U"
    async with site.browser() as browser:
        for query in (
            {"type": "no-such"},
            {"sort": "price"},
            {"cursor": cursor},
            {"type": "no-such", "sort": "", "cursor": "%%", "q": " "},
            {"q": "\0"},
        ):
            answer = await browser.get("/en/tools", params=query)
            assert answer.status_code == 200, query
            assert [path for path, _ in CARD.findall(answer.text)] == [
                "/en/tools/one",
                "/en/tools/two",
            ], query
            assert 'aria-current="true"' in answer.text
        long = await browser.get("/en/tools", params={"q": "x" * 5000})
        assert long.status_code == 200
        assert 'value="' + "x" * 100 + '"' in long.text


async def test_what_is_searched_for_is_shown_as_it_is_typed(site: Site, put: Put) -> None:
    await put("one", is_featured=True)
    words = '"><script>alert(1)</script>'
    async with site.browser() as browser:
        text = (await browser.get("/en/tools", params={"q": words})).text
    assert "<script>alert" not in text
    assert 'value="&#34;&gt;&lt;script&gt;' in text
    assert "No tool matches" in text
    assert CARD.findall(text) == [("/en/tools/one", "one")]  # what may help instead


async def test_every_tool_is_on_exactly_one_page(site: Site, put: Put) -> None:
    for number in range(53):
        await put(f"tool-{number}", usage_count=number // 10)
    async with site.browser() as browser:
        for sort in ("popular", "newest"):
            path = f"/en/tools?sort={sort}"
            seen: list[str] = []
            sizes: list[int] = []
            while path:
                text = await _page(browser, path)
                found = [way.rsplit("/", 1)[1] for way, _ in CARD.findall(text)]
                sizes.append(len(found))
                seen += found
                following = NEXT.search(text)
                path = unescape(following[1]) if following else ""
            assert sizes == [24, 24, 5]
            assert len(set(seen)) == 53
        assert 'rel="first"' in text
        assert unescape(re.findall(r'<a href="([^"]+)"[^>]* rel="first"', text)[0]) == (
            "/en/tools?sort=newest"
        )


async def test_a_cursor_of_another_order_leads_to_the_first_page(site: Site, put: Put) -> None:
    for number in range(25):
        await put(f"tool-{number}", usage_count=number)
    async with site.browser() as browser:
        first = await _page(browser, "/en/tools")
        following = NEXT.search(first)
        assert following
        cursor = following[1].rsplit("cursor=", 1)[1]
        other = await _page(browser, f"/en/tools?sort=newest&cursor={cursor}")
        assert 'rel="first"' not in other
        assert CARD.findall(other)[0][1] == "tool-24"


async def test_pages_for_visitors_hold_nothing_of_one(
    site: Site, put: Put, make_user: MakeUser
) -> None:
    await put("one")
    ada = await make_user()
    for path in ("/en", "/en/tools"):
        async with site.browser() as visitor, site.browser(ada) as signed_in:
            own = (await signed_in.get(path)).text
            answer = await visitor.get(path)
            assert answer.headers["cache-control"].startswith("public")
            assert ada.email in own
            assert "for new accounts" not in own
            assert ada.email not in answer.text
            assert "data-sign-in" in answer.text
            assert ("free credits for new accounts" in answer.text) is (path == "/en")
            again = (await signed_in.get(path)).text
            assert ada.email in again


async def test_in_an_outage_the_catalog_is_shown_as_it_was_and_says_so(
    site: Site, put: Put, no_database: Absence
) -> None:
    await put("one")
    async with site.browser() as browser:
        before = await _page(browser, "/en/tools")
        assert STALE not in before
        await site.resources.redis.delete("catalog:version")
        async with no_database():
            answer = await browser.get("/en/tools")
            assert answer.status_code == 200
            assert CARD.findall(answer.text) == [("/en/tools/one", "one")]
            drawn_now = await _page(browser, "/en/tools?sort=popular")
            assert CARD.findall(drawn_now) == [("/en/tools/one", "one")]
            assert STALE in drawn_now


def test_the_catalog_has_one_address_for_each_question() -> None:
    assert catalog_path("de", CatalogQuery()) == "/de/tools"
    asked = CatalogQuery(type="3d", sort="newest", q="a&b ü", cursor="x=")
    assert catalog_path("de", asked) == "/de/tools?type=3d&sort=newest&q=a%26b+%C3%BC&cursor=x%3D"


@pytest.mark.parametrize(
    ("title", "is_long"),
    [
        ("Small tools that make pictures better", False),
        ("Hintergrundentfernung", True),
        ("One short word after another, until there are too many", True),
        ("", False),
    ],
)
def test_long_titles_of_banners_get_smaller_letters(title: str, is_long: bool) -> None:
    assert Slide("banner-1", title, "", "", "/en", "", None).is_long is is_long


async def _page(browser: httpx.AsyncClient, path: str) -> str:
    answer = await browser.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.text


async def _slugs(browser: httpx.AsyncClient, path: str) -> list[str]:
    return [way.rsplit("/", 1)[1] for way, _ in CARD.findall(await _page(browser, path))]


def _ways(text: str) -> dict[str, str]:
    return {name: unescape(path) for name, path in LINK.findall(text)}
