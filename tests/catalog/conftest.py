"""A shelf of this test's own: nothing on it but what the test puts there."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from funmagic.catalog.shelf import Card
from funmagic.core.db import Database
from funmagic.core.ids import new_id

Put = Callable[..., Awaitable[None]]

REMOVE = {"priceCredits": 5, "providers": [{"provider": "local", "model": "u2netp"}]}
CONFIG = json.dumps({"steps": {"remove": REMOVE}})
BRACES = str.maketrans("[]", "{}")
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

PUT = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, translations,
                       is_featured, usage_count, rating_counts, config, created_at)
    SELECT :id, :slug, 'background-remove', id, :title, :description,
           CAST(:translations AS jsonb), :is_featured, :usage_count,
           CAST(CAST(:rating_counts AS text) AS integer[]), CAST(:config AS jsonb), :created_at
      FROM tool_types WHERE name = :type
""")
PUT_MANY = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, usage_count,
                       rating_counts, is_featured, config, created_at)
    SELECT gen_random_uuid(), 'tool-' || n, 'background-remove',
           (SELECT id FROM tool_types WHERE name = CASE WHEN n % 50 = 0 THEN '3d' ELSE 'photo' END),
           'Tool ' || md5(n::text) || CASE WHEN n % 5 = 0 THEN ' sunrise' ELSE '' END
               || CASE WHEN n <= 3 THEN ' zebra' ELSE '' END,
           'Makes pictures better.', n % 97, ARRAY[0, 0, n % 3, n % 5, n % 7], n % 100 = 0,
           CAST(:config AS jsonb), now() - make_interval(mins => n)
      FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n
""")


@pytest.fixture
async def put(db: Database) -> Put:
    """Put one tool on the shelf, which was empty before; each is newer than the one before it."""
    async with db.transaction() as s:
        await s.execute(text("UPDATE tools SET is_active = false"))
    counted = 0

    async def one(slug: str, title: str | None = None, **more: Any) -> None:
        nonlocal counted
        counted += 1
        stars = more.pop("stars", ())
        values: dict[str, Any] = {
            "id": new_id(),
            "slug": slug,
            "title": title or slug,
            "description": "Makes pictures better.",
            "type": "photo",
            "is_featured": False,
            "usage_count": 0,
            "rating_counts": str([stars.count(n) for n in range(1, 6)]).translate(BRACES),
            "config": CONFIG,
            "created_at": FIRST_DAY + timedelta(days=counted),
            **more,
        }
        values["translations"] = json.dumps(more.get("translations", {}))
        async with db.transaction() as s:
            await s.execute(PUT, values)

    return one


@pytest.fixture
async def fill(db: Database, put: Put) -> Callable[[int], Awaitable[None]]:
    """Fill the shelf up to so many tools. One in five has «sunrise» in its title, three «zebra»."""
    there = 0

    async def up_to(count: int) -> None:
        nonlocal there
        async with db.transaction() as s:
            await s.execute(PUT_MANY, {"first": there + 1, "last": count, "config": CONFIG})
        there = count
        async with db.engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.execute(text("VACUUM ANALYZE tools"))

    return up_to


@pytest.fixture
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What this process asks the database, with its parameters, as it asks."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


def slugs(cards: tuple[Card, ...]) -> list[str]:
    return [card.slug for card in cards]
