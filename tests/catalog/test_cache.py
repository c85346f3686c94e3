"""What everybody is shown of the catalog: as it is after a change, and in an outage as it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.conftest import Absence

from funmagic.catalog.cache import CatalogCache, bump
from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.cache import Edition
from funmagic.core.db import ENDINGS, DatabaseAway
from funmagic.core.errors import NotFound
from funmagic.core.resources import Resources, open_resources
from funmagic.jobs import editions
from funmagic.jobs.outbox import Relay
from funmagic.jobs.queue import Consumer

RACES = 40  # a thousand are run without a database: tests/core/test_cache.py
AT_ONCE = 4  # readers of each race
PATIENCE_S = 20
ACTIVE = "tools:active:popular:"
NEWER = '"implementation":"of-tomorrow"'
RENAME = text("UPDATE tools SET title = :title, updated_at = now() WHERE slug = 'figme'")


@pytest.fixture
def cache(resources: Resources) -> CatalogCache:
    return CatalogCache(resources)


@pytest.fixture
async def elsewhere(resources: Resources) -> AsyncIterator[CatalogCache]:
    """Another process's."""
    async with open_resources(resources.settings) as others:
        yield CatalogCache(others)


async def rename(resources: Resources, title: str | None) -> None:
    async with resources.db.transaction() as session:
        await bump(session)
        await bump(session)  # twice is as good as once
        await session.execute(RENAME, {"title": title})


async def title(cache: CatalogCache) -> str:
    return (await cache.tool("figme")).value.title


async def test_what_is_kept_is_what_the_database_says(
    resources: Resources, cache: CatalogCache, elsewhere: CatalogCache
) -> None:
    """In this process, and as another one finds it in Valkey."""
    for process in (cache, elsewhere):
        page = (await process.page(CatalogQuery(sort="newest"))).value
        assert {card.slug for card in page.cards} >= {"figme", "background-remove"}
        tool = (await process.tool("figme")).value
        assert tool.plugin.key == "figme"
        assert tool.config.steps.keys() == {step.id for step in tool.plugin.steps}
        shown = (await process.shown("figme")).value
        assert (shown.tool, shown.rating.count) == (tool, 0)
        assert "figme" not in {card.slug for card in shown.related}
        assert {kind.name for kind in (await process.kinds()).value}
        await process.board()
        await process.featured()
    await cache.edition.settle()
    assert await resources.redis.exists("tool:slug:figme", "tools:active:newest:")


async def test_nobody_fills_valkey_with_what_is_not_there(
    resources: Resources, cache: CatalogCache
) -> None:
    before = set(await resources.redis.keys("tool*"))
    with pytest.raises(NotFound):
        await cache.tool("invented")
    assert not (await cache.page(CatalogQuery(type="invented"))).value.cards
    await cache.page(CatalogQuery(q="photo"))
    await cache.edition.settle()
    assert set(await resources.redis.keys("tool*")) - before == {"tools:kinds"}


@pytest.mark.hazard("S13")
async def test_after_an_edit_nobody_reads_the_row_before_it(
    resources: Resources, cache: CatalogCache, elsewhere: CatalogCache
) -> None:
    """Each edit is raced by readers of two processes, which may be slow to store."""
    order = random.Random(13)
    for number in range(RACES):
        readers = [
            asyncio.create_task(late(order.random() * 0.004, title, process))
            for process in (cache, elsewhere)
            for _ in range(AT_ONCE // 2)
        ]
        await rename(resources, f"Edit {number}")
        assert await title(elsewhere) == await title(cache) == f"Edit {number}"
        await asyncio.gather(*readers)
    assert await title(elsewhere) == await title(cache) == f"Edit {RACES - 1}"


async def late(
    wait_s: float, read: Callable[[CatalogCache], Awaitable[str]], cache: CatalogCache
) -> str:
    await asyncio.sleep(wait_s)
    return await read(cache)


@pytest.mark.hazard("S13")
async def test_a_writer_that_dies_after_its_commit_leaves_nothing_old(
    resources: Resources, cache: CatalogCache, elsewhere: CatalogCache
) -> None:
    """Nothing is shown of before it; and a worker lets copies be kept again."""
    assert await title(cache) == await title(elsewhere) != "New"
    async with resources.db.transaction() as session:
        await bump(session)
        await session.execute(RENAME, {"title": "New"})
        session.info.pop(ENDINGS)
    assert await title(cache) == await title(elsewhere) == "New"
    assert await resources.edition.current() is None
    await carried_out(resources)
    assert await resources.edition.current() is not None
    assert await title(cache) == await title(elsewhere) == "New"


@pytest.mark.hazard("S13")
async def test_a_writer_without_valkey_is_followed_by_the_outbox(
    resources: Resources, cache: CatalogCache
) -> None:
    before = await title(cache)
    async with resources.db.transaction() as session:
        session.info.pop(Edition)
        await bump(session)
        await session.execute(RENAME, {"title": "New"})
    assert await title(cache) == before  # nobody has been told yet
    await carried_out(resources)
    assert await title(cache) == "New"


async def test_a_change_told_at_once_is_not_told_again(resources: Resources) -> None:
    await rename(resources, "New")
    edition = await resources.edition.current()
    await carried_out(resources)
    assert edition == await resources.edition.current()


async def test_a_change_that_came_to_nothing_lets_copies_be_kept_again(
    resources: Resources, cache: CatalogCache
) -> None:
    before = await title(cache)
    with pytest.raises(IntegrityError):
        await rename(resources, None)
    assert await resources.edition.current() is not None
    assert await title(cache) == before


@pytest.mark.hazard("S12")
async def test_an_outage_shows_what_was_shown_before_or_says_that_it_is_one(
    cache: CatalogCache, elsewhere: CatalogCache, resources: Resources, no_database: Absence
) -> None:
    """It is no empty list, for a process that has seen the tools as little as for any other."""
    seen = (await cache.page(CatalogQuery())).value
    await cache.edition.settle()
    await resources.edition.withdraw("writer")
    await resources.edition.put_out("writer")
    async with no_database():
        for process in (cache, elsewhere):
            shown = await process.page(CatalogQuery())
            assert shown.value == seen
            assert shown.stale_since is not None
            for never_read in (process.featured(), process.page(CatalogQuery(q="photo"))):
                with pytest.raises(DatabaseAway):
                    await never_read
    assert (await elsewhere.featured()).value
    shown = await elsewhere.page(CatalogQuery())
    assert (shown.value, shown.stale_since) == (seen, None)


async def test_another_releases_tools_are_not_shown_by_this_one(
    resources: Resources, cache: CatalogCache, elsewhere: CatalogCache
) -> None:
    """Which has kept them while both are at work."""
    seen = (await cache.page(CatalogQuery())).value
    await cache.shown("figme")
    await cache.edition.settle()
    for key, new in (("tool:slug:figme", "tool:slug:newer"), (ACTIVE, ACTIVE)):
        kept = str(await resources.redis.get(key))
        await resources.redis.set(new, kept.replace('"implementation":"figme"', NEWER))
    assert NEWER in str(await resources.redis.get(ACTIVE))
    assert (await elsewhere.page(CatalogQuery())).value == seen
    with pytest.raises(NotFound):
        await elsewhere.shown("newer")


async def carried_out(resources: Resources) -> None:
    """The outbox is sent, and a worker does what it asks for."""
    stop = asyncio.Event()
    waiting = await Relay(resources).send_due()  # what the seed changed, too

    async def publish(job: dict[str, Any]) -> None:
        nonlocal waiting
        await editions.carry_out(resources.edition, job)
        waiting -= 1
        if not waiting:
            stop.set()

    consumer = Consumer(resources.settings, editions.QUEUE, publish, concurrency=1)
    async with asyncio.timeout(PATIENCE_S):
        await consumer.run(stop)
        await consumer.drain(PATIENCE_S)
