"""A catalog that grows costs no more to look at: what is counted is what the database reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.conftest import MakeUser, Site

from funmagic.catalog import bookmarks, search, shelf
from funmagic.catalog.shelf import CatalogQuery, Sort
from funmagic.core.db import Database
from funmagic.core.paging import encode_cursor

Fill = Callable[[int], Awaitable[None]]
Asked = list[tuple[str, Any]]
Read = Callable[[AsyncSession], Awaitable[Any]]

FEW, MANY = 100, 3_000
KEEP_ALL = text("""
    INSERT INTO tool_bookmarks SELECT :user_id, id, created_at FROM tools WHERE is_active
""")
LISTS = ("/api/tools?", "/api/tools?q=pictures&", "/api/tools?type=photo&")
SORTS: tuple[Sort, ...] = ("popular", "newest", "top_rated")


def first_pages() -> dict[str, Read]:
    """What is asked for most."""

    def page(**query: Any) -> Read:
        return lambda s: shelf.page(s, CatalogQuery(**query))

    return {
        **{f"by {sort}": page(sort=sort) for sort in SORTS},
        **{f"of a kind by {sort}": page(sort=sort, type="3d", limit=2) for sort in SORTS},
        "featured": shelf.featured,
        "related": lambda s: shelf.related(s, "tool-7"),
        "a word of few titles": page(q="zebra"),
        "a word of many titles": page(q="sunrise"),
        "a word of all descriptions": page(q="pictures"),
        "a word mistyped": page(q="sunrsie"),
    }


async def rows_read(s: AsyncSession, statements: Asked, read: Read) -> float:
    """How many rows the statements of ``read`` take into their hands."""
    del statements[:]
    await read(s)
    total = 0.0
    for statement, parameters in list(statements):
        if "set_config" not in statement:
            total += taken(await explained(s, statement, parameters, "ANALYZE, FORMAT JSON"))
    return total


async def explained(s: AsyncSession, statement: str, parameters: Any, how: str) -> dict[str, Any]:
    connection = await s.connection()
    found = await connection.exec_driver_sql(f"EXPLAIN ({how}) {statement}", parameters)
    (plan,) = found.scalar_one()
    root: dict[str, Any] = plan["Plan"]
    return root


def expected(node: dict[str, Any]) -> float:
    """How many tools a plan reckons with."""
    if node.get("Relation Name") == "tools":
        return float(node["Plan Rows"])
    return max((expected(child) for child in node.get("Plans", ())), default=0)


def taken(node: dict[str, Any]) -> float:
    """Rows that a plan's scans have looked at, those thrown away among them; index entries that a
    bitmap is made of are no rows."""
    rows = 0.0
    if "Relation Name" in node:
        thrown = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
        rows = (node["Actual Rows"] + thrown) * node["Actual Loops"]
    return rows + sum(taken(child) for child in node.get("Plans", ()))


@pytest.mark.hazard("P3")
async def test_the_first_page_of_many_tools_reads_no_more_than_that_of_few(
    db: Database, fill: Fill, statements: Asked
) -> None:
    async def measured() -> dict[str, float]:
        async with db.transaction() as s:
            return {
                name: await rows_read(s, statements, read) for name, read in first_pages().items()
            }

    await fill(FEW)
    few = await measured()
    await fill(MANY)
    many = await measured()
    for name in few:
        assert many[name] <= 3 * few[name], (name, few[name], many[name])


@pytest.mark.hazard("P2")
async def test_a_page_far_behind_reads_no_more_than_the_first(
    db: Database, fill: Fill, statements: Asked, make_user: MakeUser
) -> None:
    await fill(MANY)
    ada = await make_user()
    async with db.transaction() as s:
        await s.execute(KEEP_ALL, {"user_id": ada.id})
        await s.execute(text("ANALYZE tool_bookmarks"))

    def of_catalog(**query: Any) -> Callable[[str | None], Read]:
        return lambda cursor: lambda s: shelf.page(s, CatalogQuery(cursor=cursor, **query))

    def kept(cursor: str | None) -> Read:
        return lambda s: bookmarks.page(s, ada.id, cursor=cursor)

    lists: dict[str, Callable[[str | None], Read]] = {
        **{sort: of_catalog(sort=sort, limit=100) for sort in SORTS},
        "found": of_catalog(q="pictures", limit=100),
        "kept": kept,
    }
    for name, at in lists.items():
        async with db.transaction() as s:
            first = await rows_read(s, statements, at(None))
            cursor: str | None = None
            for _ in range(20):
                cursor = (await at(cursor)(s)).next_cursor
                assert cursor is not None
            assert await rows_read(s, statements, at(cursor)) <= 1.5 * first, name


@pytest.mark.hazard("P2")
async def test_a_place_in_the_catalog_is_no_guess_at_how_much_follows(
    db: Database, fill: Fill, statements: Asked
) -> None:
    """Of the first of many equals at the end a planner may believe that nothing follows it, and
    sort all that does: of 10,000 tools a page far behind took five times as long."""
    await fill(MANY)
    async with db.transaction() as s:
        await s.execute(text("UPDATE tools SET usage_count = greatest(1, hashtext(slug) % 1000)"))
        await s.execute(text("ANALYZE tools"))
    for q, part in (("", search.EVERYTHING), ("pictures", search.ANYWHERE)):
        cursor = encode_cursor("popular", part, 1, str(UUID(int=2**128 - 1)))
        async with db.transaction() as s:
            del statements[:]
            found = await shelf.page(s, CatalogQuery(q=q, cursor=cursor, limit=100))
            assert len(found.cards) == 100
            plan = await explained(s, *statements[-1], "FORMAT JSON")
            assert expected(plan) >= MANY / 10, (q, plan)


@pytest.mark.hazard("P4")
async def test_a_longer_page_asks_the_database_no_more_often(
    site: Site, fill: Fill, statements: Asked, make_user: MakeUser, db: Database
) -> None:
    await fill(FEW)
    ada = await make_user()
    async with db.transaction() as s:
        await s.execute(KEEP_ALL, {"user_id": ada.id})
    async with site.browser(ada) as browser:
        for path in (*LISTS, "/api/bookmarks?"):
            counts = []
            for limit in (2, 2, 90):  # the first time something may have to be read for later
                del statements[:]
                page = await browser.get(f"{path}limit={limit}")
                assert len(page.json()["items"]) == limit, page.text[:200]
                counts.append(len(statements))
            assert counts[2] == counts[1], (path, counts)
        # a search's page is drawn anew each time: three cards, three again, then twenty
        for path in ("/en/tools", "/de/tools"):
            counts = []
            for word in ("zebra", "zebra", "sunrise"):
                del statements[:]
                page = await browser.get(path, params={"q": word})
                assert page.text.count(word) >= (3 if word == "zebra" else 20)
                counts.append(len(statements))
            assert counts[2] == counts[1], (path, counts)
