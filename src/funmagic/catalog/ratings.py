"""One to five stars for a tool, from those who have run it: one rating each, changed at will.

How many gave a tool how many stars is kept beside the tool by a trigger on ``tool_ratings``.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog import runs, service, shelf
from funmagic.catalog.shelf import Rating
from funmagic.core.errors import Forbidden, Invalid
from funmagic.core.i18n import N_
from funmagic.jobs import editions

NEEDS_RUN: Final = N_("You can rate a tool once you have used it.")
ONE_TO_FIVE: Final = N_("Choose one to five stars.")

RATE: Final = text("""
    INSERT INTO tool_ratings (user_id, tool_id, stars) VALUES (:user_id, :tool_id, :stars)
    ON CONFLICT (user_id, tool_id)
    DO UPDATE SET stars = excluded.stars, updated_at = now()
     WHERE tool_ratings.stars <> excluded.stars
""")
TAKE_BACK: Final = text("DELETE FROM tool_ratings WHERE user_id = :user_id AND tool_id = :tool_id")


async def rate(s: AsyncSession, user_id: UUID, slug: str, stars: int) -> Rating:
    """Give a tool on offer one to five stars, in place of those given before; what all think now.

    Raises :class:`NotFound`, :class:`Invalid`, and :class:`Forbidden` (``rating_needs_run``) for
    somebody who has not completed a run of it.
    """
    if not 1 <= stars <= 5:
        raise Invalid(ONE_TO_FIVE, fields={"stars": ONE_TO_FIVE})
    tool = await service.tool_by_slug(s, slug)
    if not (await runs.standing(s, user_id, tool.id)).has_run:
        raise Forbidden(NEEDS_RUN, type="rating_needs_run")
    await s.execute(RATE, {"user_id": user_id, "tool_id": tool.id, "stars": stars})
    await editions.bump(s)
    return await shelf.rating_of(s, slug)


async def take_back(s: AsyncSession, user_id: UUID, slug: str) -> Rating:
    """Remove somebody's rating, if any; what the others think. Raises :class:`NotFound`."""
    tool_id = await service.id_of(s, slug)
    await s.execute(TAKE_BACK, {"user_id": user_id, "tool_id": tool_id})
    await editions.bump(s)
    return await shelf.rating_of(s, slug)
