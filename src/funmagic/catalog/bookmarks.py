"""Tools somebody wants to find again."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog import search, service, shelf
from funmagic.catalog.models import Tool, ToolBookmark
from funmagic.catalog.shelf import PAGE_SIZE, Page
from funmagic.core.paging import bad_cursor, check_limit, decode_cursor, encode_cursor

ADD: Final = text("""
    INSERT INTO tool_bookmarks (user_id, tool_id) VALUES (:user_id, :tool_id)
    ON CONFLICT (user_id, tool_id) DO NOTHING
""")
REMOVE: Final = text("DELETE FROM tool_bookmarks WHERE user_id = :user_id AND tool_id = :tool_id")


async def add(s: AsyncSession, user_id: UUID, slug: str) -> None:
    """Keep a tool on offer. Doing it again changes nothing. Raises :class:`NotFound`."""
    tool = await service.tool_by_slug(s, slug)
    await s.execute(ADD, {"user_id": user_id, "tool_id": tool.id})


async def remove(s: AsyncSession, user_id: UUID, slug: str) -> None:
    """Keep a tool no longer, offered or not. Raises :class:`NotFound` for one there never was."""
    tool_id = await service.id_of(s, slug)
    await s.execute(REMOVE, {"user_id": user_id, "tool_id": tool_id})


async def page(
    s: AsyncSession, user_id: UUID, *, cursor: str | None = None, limit: int = PAGE_SIZE
) -> Page:
    """What somebody keeps and is on offer, the last kept first. Raises :class:`Invalid`."""
    check_limit(limit)
    query = (
        shelf.offered()
        .add_columns(ToolBookmark.created_at.label("kept_at"))
        .join(ToolBookmark, ToolBookmark.tool_id == Tool.id)
        .where(ToolBookmark.user_id == user_id)
        .order_by(ToolBookmark.created_at.desc(), ToolBookmark.tool_id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        kept = tuple_(ToolBookmark.created_at, ToolBookmark.tool_id)
        query = query.where(kept < tuple_(*_place(cursor)))
    rows = (await s.execute(query)).all()
    if len(rows) <= limit:
        return Page(await shelf.cards(s, rows), None)
    last = rows[limit - 1]
    following = encode_cursor(search.microseconds(last.kept_at), str(last.id))
    return Page(await shelf.cards(s, rows[:limit]), following)


def _place(cursor: str) -> tuple[datetime, UUID]:
    kept_at, tool_id = decode_cursor(cursor, int, str)
    try:
        return search.moment(kept_at), UUID(tool_id)
    except (ValueError, OverflowError):
        raise bad_cursor() from None
