"""A catalog of ten thousand tools next to one of a hundred: what a page of either takes to read."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from bench.ground import Ground
from bench.measure import table
from funmagic.catalog import seed, shelf
from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.migrations import runner
from funmagic.tasks import settlement

FEW, MANY = 100, 10_000
ROUNDS = 40
DEEP = 0.7  # of the catalog lies before the page that is far behind
SYLLABLES = [c + v for c in "bcdfghklmnprstvz" for v in ("a", "e", "i", "o", "u", "an", "or")]
SIGNS = [chr(0x4E00 + number * 7) for number in range(600)]
STEP = {"priceCredits": 5, "providers": [{"provider": "local", "model": "u2netp"}]}
CONFIG = json.dumps({"steps": {"remove": STEP}})

ADD = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, translations,
                       usage_count, rating_counts, is_featured, config, created_at)
    SELECT :id, :slug, 'background-remove', id, :title, :description,
           CAST(:translations AS jsonb), :usage_count,
           ARRAY[0, :low, :low, :high, :high], :is_featured, CAST(:config AS jsonb),
           now() - make_interval(mins => :age_min)
      FROM tool_types WHERE name = :type
""")
NEXT_TOOL = text("SELECT id FROM tools ORDER BY usage_count DESC LIMIT 1")

Read = Callable[[AsyncSession], Awaitable[Any]]


async def run(ground: Ground) -> str:
    """Both catalogs on one server, asked by turns."""
    async with _catalog(ground, "few", FEW) as few, _catalog(ground, "many", MANY) as many:
        sides = [(few, await _reads(few, FEW)), (many, await _reads(many, MANY))]
        rows = []
        for name in sides[0][1]:
            took: tuple[list[float], list[float]] = ([], [])
            for _ in range(ROUNDS):
                for side, (db, reads) in enumerate(sides):
                    took[side].append(await _timed(db, reads[name]))
            ms = [statistics.median(each) * 1000 for each in took]
            rows.append([name, f"{ms[0]:.2f}", f"{ms[1]:.2f}", f"{ms[1] / ms[0]:.1f}"])
    return table(["Reading the catalog, p50", f"{FEW} tools, ms", f"{MANY:,} tools, ms", "×"], rows)


@asynccontextmanager
async def _catalog(ground: Ground, name: str, tools: int) -> AsyncIterator[Database]:
    url = make_url(ground.settings.database_url.get_secret_value()).set(database=f"growth_{name}")
    async with ground.resources.db.engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text(f"CREATE DATABASE {url.database}"))
    address = url.render_as_string(hide_password=False)
    await asyncio.to_thread(runner.upgrade, address)
    db = Database(address)
    try:
        async with db.transaction() as session:
            await seed.seed(session)
            await session.execute(text("UPDATE tools SET is_active = false"))
            await session.execute(ADD, _made_up(tools))
        async with db.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(text("VACUUM ANALYZE"))
        yield db
    finally:
        await db.close()


def _made_up(count: int) -> list[dict[str, Any]]:
    """Tools with titles of two words and descriptions of twelve, in three languages. Words are as
    unequally common as in a language; «lantern» stands in one title of twenty, «zeppelin» in two.
    """
    dice = random.Random(6)  # noqa: S311 - the same tools every time
    words = ["".join(dice.choices(SYLLABLES, k=dice.choice((2, 3, 3, 4)))) for _ in range(3_000)]
    weights = [1 / place for place in range(10, len(words) + 10)]

    def some(number: int) -> str:
        return " ".join(dice.choices(words, weights, k=number))

    def signs(number: int) -> str:
        return "".join(dice.choices(SIGNS, k=number))

    def tool(number: int) -> dict[str, Any]:
        named = " lantern" if number % 20 == 7 else " zeppelin" if number in (31, 64) else ""
        translations = {
            "de": {"title": some(2), "description": some(12)},
            "zh": {
                "title": signs(5) + ("背景" if number in (31, 64) else ""),
                "description": signs(20),
            },
        }
        return {
            "id": new_id(),
            "slug": f"tool-{number}",
            "title": some(2).capitalize() + named,
            "description": some(12) + " picture.",
            "translations": json.dumps(translations),
            "usage_count": int(dice.paretovariate(0.6)) % 1_000_000,
            "low": dice.randrange(3),
            "high": dice.randrange(40),
            "is_featured": number % 25 == 0,
            "config": CONFIG,
            "age_min": count - number,
            "type": "3d" if number % 10 == 0 else "photo",
        }

    return [tool(number) for number in range(count)]


async def _reads(db: Database, tools: int) -> dict[str, Read]:
    def page(**query: Any) -> Read:
        return lambda s: shelf.page(s, CatalogQuery(**query))

    async with db.transaction() as session:
        cursor = None
        for _ in range(int(tools * DEEP) // 24):
            cursor = (await shelf.page(session, CatalogQuery(cursor=cursor))).next_cursor
        tool_id = await session.scalar(NEXT_TOOL)
    return {
        "page 1, popular": page(),
        "page 1, newest": page(sort="newest"),
        "page 1, top rated": page(sort="top_rated"),
        "a page far behind": page(cursor=cursor),
        "one kind": page(type="3d"),
        "one kind, top rated": page(type="3d", sort="top_rated"),
        "search: a word of 2 titles": page(q="zeppelin"),
        "search: a word of 1 title in 20": page(q="lantern"),
        "search: a word of every description": page(q="picture"),
        "search: mistyped": page(q="lanetrn"),
        "search: Chinese": page(q="背景"),
        "search: nothing like it": page(q="qqqxxx"),
        "featured": shelf.featured,
        "related": lambda s: shelf.related(s, "tool-50"),
        "writing: a run counted": lambda s: settlement.count_run(s, tool_id),
    }


async def _timed(db: Database, read: Read) -> float:
    began = time.perf_counter()
    async with db.transaction() as session:
        await read(session)
    return time.perf_counter() - began
