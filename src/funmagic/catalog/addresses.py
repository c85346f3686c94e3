"""Where all tools on offer are found: what a sitemap lists, in parts of a bounded size."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# The first tool of each part. Ids alone are read, once for all parts.
PARTS = text("""
    SELECT id
      FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM tools WHERE is_active) AS t
     WHERE place % :size = 0
     ORDER BY id
""")
PART = text("""
    SELECT slug, updated_at
      FROM tools
     WHERE is_active AND id >= :first
     ORDER BY id
     LIMIT :size
""")


class ToolAddress(NamedTuple):
    """A tool's slug, and when what its page says was last changed."""

    slug: str
    updated_at: datetime


async def parts(session: AsyncSession, size: int) -> tuple[UUID, ...]:
    """The first id of every ``size`` tools on offer, in the order of ids."""
    return tuple((await session.scalars(PARTS, {"size": size})).all())


async def part(session: AsyncSession, first: UUID, size: int) -> tuple[ToolAddress, ...]:
    """Up to ``size`` tools from ``first`` on."""
    found = await session.execute(PART, {"first": first, "size": size})
    return tuple(ToolAddress(row.slug, row.updated_at) for row in found)
