"""Pages drawn once for all visitors: what may be shared, for how long, in which form."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import brotli
import httpx
import pytest
from litestar import Litestar
from sqlalchemy import text
from tests.conftest import Absence, MakeUser, Site

from funmagic.catalog.cache import bump
from funmagic.core import log as logs
from funmagic.core.cache import Edition
from funmagic.core.resources import Resources
from funmagic.web import page_cache, templates
from funmagic.web.page_cache import PageCache

CATALOG = "/en/tools"
TOOL = "/en/tools/figme"
SHOWN_NOTICE = 'role="status" data-stale>'
RENAME = text("UPDATE tools SET title = :title WHERE slug = 'figme'")


@pytest.fixture
async def visitor(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as browser:
        yield browser


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of pages that the application was asked for."""
    asked: list[str] = []
    ask = PageCache._ask

    async def noted(layer: PageCache, scope: Any, *arguments: Any) -> Any:
        asked.append(scope["path"])
        return await ask(layer, scope, *arguments)

    monkeypatch.setattr(PageCache, "_ask", noted)
    return asked


async def rename(resources: Resources, title: str) -> None:
    async with resources.db.transaction() as session:
        await bump(session)
        await session.execute(RENAME, {"title": title})


async def test_a_page_is_drawn_once_and_says_what_may_be_done_with_it(
    site: Site, visitor: httpx.AsyncClient, drawings: list[str]
) -> None:
    for path in ("/en", CATALOG, f"{CATALOG}?sort=newest", TOOL):
        first = await visitor.get(path)
        async with site.browser() as another:
            again = await another.get(path)
        assert (first.status_code, again.text) == (200, first.text)
        assert again.headers["cache-control"] == "public, max-age=0, must-revalidate"
        assert again.headers.get_list("vary") == ["Accept-Encoding, Cookie"]
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        kept = await visitor.get(path, headers={"If-None-Match": again.headers["etag"]})
        assert (kept.status_code, kept.content) == (304, b"")
        assert kept.headers["etag"] == again.headers["etag"]
        assert kept.headers["content-security-policy"] == first.headers["content-security-policy"]
        assert drawings == [urlsplit(path).path]
        drawings.clear()


async def test_whoever_comes_is_given_what_is_theirs(
    site: Site, make_user: MakeUser, drawings: list[str]
) -> None:
    """A page drawn for a person or a program is neither kept nor taken from what is kept."""
    async with site.browser(await make_user()) as ada, site.browser() as visitor:
        own = [await ada.get(CATALOG), await ada.get(CATALOG)]
        other = await visitor.get(CATALOG)
        third = await ada.get(CATALOG)
        keyed = await visitor.get(CATALOG, headers={"Authorization": "Basic bm9ib2R5"})
    assert len(drawings) == 5
    for page in (*own, third):
        assert "ada@example.com" in page.text
        assert page.headers["cache-control"] == "private, no-cache"
        assert "etag" not in page.headers
    assert "ada@example.com" not in other.text
    assert "etag" not in keyed.headers


async def test_a_language_is_remembered_by_each_browser(site: Site) -> None:
    """Also by one whose page was drawn for another, and only where it is news."""
    for _ in range(2):
        async with site.browser() as browser:
            first = await browser.get("/de/tools")
            assert browser.cookies["fm_locale"] == "de"
            assert first.headers["set-cookie"].startswith("fm_locale=de;")
            assert "set-cookie" not in (await browser.get("/de/tools")).headers
            assert "fm_locale=zh" in (await browser.get("/zh/tools")).headers["set-cookie"]
            for other in ("fm_locale=dexx", "a=1; xfm_locale=de"):
                told = await browser.get("/de/tools", headers={"Cookie": other})
                assert "set-cookie" in told.headers


async def test_only_an_address_that_is_understood_is_kept(
    visitor: httpx.AsyncClient, drawings: list[str]
) -> None:
    """What somebody adds to one is in nobody else's page, nor fills it the memory."""
    for path in (f"{CATALOG}?from=them", f"{CATALOG}?sort=newest&sort=popular", "/en/nowhere"):
        for _ in range(2):
            assert "etag" not in (await visitor.get(path)).headers
    assert len(drawings) == 6
    assert "from=them" not in (await visitor.get(CATALOG)).text


@pytest.mark.hazard("S13")
async def test_after_an_edit_the_page_before_it_is_gone(
    site: Site, visitor: httpx.AsyncClient
) -> None:
    for title in ("First words", "Second words"):
        await rename(site.resources, title)
        pages = [await visitor.get(path) for path in (CATALOG, TOOL, CATALOG)]
        assert all(title in page.text for page in pages)
        assert pages[0].headers["etag"] == pages[2].headers["etag"]


@pytest.mark.hazard("S13")
async def test_a_page_drawn_during_an_edit_is_not_kept(
    site: Site, visitor: httpx.AsyncClient
) -> None:
    """It was read before the commit, and asked for again right after it."""
    async with site.resources.db.transaction() as session:
        await bump(session)
        await session.execute(RENAME, {"title": "New words"})
        assert "New words" not in (await visitor.get(TOOL)).text
    assert "New words" in (await visitor.get(TOOL)).text


@pytest.mark.hazard("S13")
async def test_a_page_begun_before_an_edit_is_not_kept_after_it(
    site: Site, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is drawn of the old row, and ready when the edit is long over."""
    drawn, edited = asyncio.Event(), asyncio.Event()
    ask = PageCache._ask

    async def slow(*arguments: Any) -> Any:
        answer = await ask(*arguments)
        drawn.set()
        await edited.wait()
        return answer

    monkeypatch.setattr(PageCache, "_ask", slow)
    early = asyncio.create_task(visitor.get(TOOL))
    await drawn.wait()
    await rename(site.resources, "New words")
    edited.set()
    assert "New words" not in (await early).text
    assert "New words" in (await visitor.get(TOOL)).text


@pytest.mark.hazard("S12")
async def test_an_outage_shows_the_last_page_marked_or_an_error_page(
    site: Site, visitor: httpx.AsyncClient, application: Litestar, no_database: Absence
) -> None:
    """First drawn of what is kept of the catalog; then, where nothing of it is, the page itself."""
    seen = (await visitor.get(CATALOG)).text
    assert SHOWN_NOTICE not in seen
    assert "x-stale-since" not in (await visitor.get("/api/tools")).headers
    await site.resources.edition.withdraw("writer")
    await site.resources.edition.put_out("writer")
    await site.resources.redis.flushall()
    async with no_database():
        listed = await visitor.get("/api/tools")
        assert datetime.fromisoformat(listed.headers["x-stale-since"]).tzinfo is not None
        for _ in range(3):
            page = await visitor.get(CATALOG)
            application.state["catalog"]._copies._mine.clear()
            assert page.status_code == 200
            assert "figme" in page.text
            assert datetime.fromisoformat(page.headers["x-stale-since"]).tzinfo is not None
            assert SHOWN_NOTICE in page.text
        for path in ("/en", TOOL, f"{CATALOG}?q=photo"):
            lost = await visitor.get(path)
            assert (lost.status_code, int(lost.headers["retry-after"]) > 0) == (503, True)
            assert lost.headers["cache-control"] != "public, max-age=0, must-revalidate"
        assert (await visitor.get("/api/tools?q=photo")).status_code == 503
    page = await visitor.get(CATALOG)
    assert (page.text, page.headers.get("x-stale-since")) == (seen, None)
    assert (await visitor.get("/en")).status_code == 200


async def test_a_page_drawn_for_several_is_logged_by_the_id_of_one_who_waits(
    site: Site, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, str | None]] = []
    layers: list[PageCache] = []
    began, go = asyncio.Event(), asyncio.Event()
    ask = PageCache._ask

    async def noted(layer: PageCache, scope: Any, *arguments: Any) -> Any:
        own = next(value for name, value in scope["headers"] if name == b"x-request-id")
        drawn.append((own.decode(), logs.request_id()))
        layers.append(layer)
        began.set()
        await go.wait()
        return await ask(layer, scope, *arguments)

    def asked(request_id: str) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(visitor.get(CATALOG, headers={"X-Request-Id": request_id}))

    await visitor.get(CATALOG)
    monkeypatch.setattr(PageCache, "_ask", noted)
    await rename(site.resources, "Edit 1")
    first = asked("request-1")
    await began.wait()
    await rename(site.resources, "Edit 2")
    others = [asked("request-2"), asked("request-3")]
    while sum(map(len, layers[0]._together._waiting.values())) < len(others):  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # nobody tells
    go.set()
    await asyncio.gather(first, *others)
    assert len(drawn) == 2
    assert all(own == written for own, written in drawn), drawn


async def test_a_page_of_many_copies_asks_once_whether_they_are_good(
    site: Site, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visitor.get("/en")
    await rename(site.resources, "Edit 1")
    asked: list[str | None] = []
    ask = Edition._ask

    async def noted(edition: Edition) -> str | None:
        asked.append(await ask(edition))
        return asked[-1]

    monkeypatch.setattr(Edition, "_ask", noted)
    assert "Edit 1" in (await visitor.get("/en")).text
    assert len(asked) == 1


async def test_what_anybody_can_make_up_is_kept_in_no_part_of_a_page(
    visitor: httpx.AsyncClient,
) -> None:
    """A part holds its page's address for each language, so a few long ones would be a lot."""
    await visitor.get(CATALOG)
    before = set(templates._parts)
    for path in (f"{CATALOG}?q={'x' * 250}", f"/en/{'x' * 90}", f"/en/tools/{'x' * 90}"):
        await visitor.get(path)
    assert set(templates._parts) == before


async def test_each_takes_the_shortest_form_it_understands(visitor: httpx.AsyncClient) -> None:
    """Of kept pages, of pages that are not kept, of JSON and of files."""
    css = next(
        piece for piece in (await visitor.get("/en")).text.split('"') if piece.endswith(".css")
    )
    for path in (CATALOG, "/en/sign-in", "/api/docs/openapi.json", css):
        plain = await visitor.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        forms = {"br": brotli.decompress, "gzip": gzip.decompress}
        for accepted, encoding in (("gzip, deflate, br", "br"), ("gzip, br;q=0", "gzip")):
            async with visitor.stream("GET", path, headers={"Accept-Encoding": accepted}) as answer:
                raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            assert answer.headers["content-encoding"] == encoding, path
            assert "Accept-Encoding" in answer.headers["vary"]
            assert len(raw) == int(answer.headers["content-length"]) < len(plain.content) / 2
            if path != "/en/sign-in":
                assert forms[encoding](raw) == plain.content


async def test_a_page_is_compressed_thoroughly_for_who_comes_later(
    visitor: httpx.AsyncClient, drawings: list[str]
) -> None:
    """Once, and its text and its tag stay what they were."""

    async def asked(encoding: str) -> tuple[int, str, bytes]:
        answer = await visitor.get(CATALOG, headers={"Accept-Encoding": encoding})
        return int(answer.headers["content-length"]), answer.headers["etag"], answer.content

    for encoding in ("br", "gzip"):
        first, *known = await asked(encoding)
        assert await asked(encoding) == (first, *known)
        async with asyncio.timeout(10):
            while (later := await asked(encoding))[0] == first:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.01)
        assert later[0] < first * 0.95
        assert list(later[1:]) == known
        assert await asked(encoding) == later
    assert drawings == [CATALOG]


async def test_small_answers_and_pictures_go_as_they_are(visitor: httpx.AsyncClient) -> None:
    picture = next(
        piece for piece in (await visitor.get("/en")).text.split('"') if piece.endswith(".webp")
    )
    for path in ("/healthz", picture):
        assert "content-encoding" not in (await visitor.get(path)).headers


async def test_pages_have_a_limit(
    visitor: httpx.AsyncClient, drawings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not asked for the longest goes first."""
    size = 2 * len((await visitor.get(CATALOG)).content)
    monkeypatch.setattr(page_cache, "MOST_BYTES", int(size * 2.5))
    for locale in ("en", "de", "en", "fr", "en", "de"):
        await visitor.get(f"/{locale}/tools")
    assert drawings == ["/en/tools", "/de/tools", "/fr/tools", "/de/tools"]
