"""Tools somebody keeps, to find them again."""

from __future__ import annotations

import asyncio

from sqlalchemy import text
from tests.catalog.conftest import Put
from tests.conftest import MakeUser, Site

from funmagic.core.db import Database


async def test_what_is_kept_is_found_again_by_whoever_kept_it(
    site: Site, db: Database, put: Put, make_user: MakeUser
) -> None:
    names = [f"tool-{number}" for number in range(5)]
    for name in names:
        await put(name)
    ada, bo = await make_user(), await make_user("bo@example.com")
    async with site.browser(ada) as browser, site.browser(bo) as stranger:
        for name in names:
            kept = await browser.put(f"/api/tools/{name}/bookmark")
            assert (kept.status_code, kept.json()) == (200, {"isBookmarked": True})
        again = await asyncio.gather(*(browser.put("/api/tools/tool-0/bookmark") for _ in range(3)))
        assert {answer.status_code for answer in again} == {200}
        assert (await browser.put("/api/tools/no-such/bookmark")).status_code == 404
        assert (await stranger.get("/api/bookmarks")).json()["items"] == []
        # the last kept first, page by page; keeping again moves nothing
        seen: list[str] = []
        asked: dict[str, str] = {"limit": "2"}
        while asked:
            page = (await browser.get("/api/bookmarks", params=asked)).json()
            seen += [item["slug"] for item in page["items"]]
            asked = {"limit": "2", "cursor": page["nextCursor"]} if page["nextCursor"] else {}
        assert seen == names[::-1]
        for wrong in ("x", "WzEsImEiXQ", "WzkyMjMzNzIwMzY4NTQ3NzU4MDcsImEiXQ"):
            bad = await browser.get("/api/bookmarks", params={"cursor": wrong})
            assert bad.status_code == 422, wrong
        # what is no longer offered is not shown, and can be given up all the same
        async with db.transaction() as s:
            await s.execute(text("UPDATE tools SET is_active = false WHERE slug = 'tool-4'"))
        for _ in range(2):
            gone = await browser.delete("/api/tools/tool-4/bookmark")
            assert (gone.status_code, gone.json()) == (200, {"isBookmarked": False})
        await browser.delete("/api/tools/tool-1/bookmark")
        left = (await browser.get("/api/bookmarks")).json()["items"]
        assert [item["slug"] for item in left] == ["tool-3", "tool-2", "tool-0"]
        refused = await browser.put("/api/tools/tool-4/bookmark")
        assert refused.status_code == 404
