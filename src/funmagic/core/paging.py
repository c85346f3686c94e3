"""Keyset pages: a cursor names the last row seen, so page one and page thousand cost the same."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from funmagic.core.errors import Invalid
from funmagic.core.http import CamelModel
from funmagic.core.i18n import N_

T = TypeVar("T")

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
MAX_CURSOR_CHARS = 400


class Page(CamelModel, Generic[T]):
    """Rows and the cursor of the next page; ``nextCursor`` is null at the end."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(*key: str | int) -> str:
    """An opaque cursor from the last row's sort key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> tuple[Any, ...]:
    """The sort key, checked against ``types``. Raises :class:`Invalid`."""
    try:
        if len(cursor) > MAX_CURSOR_CHARS:
            raise ValueError
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(key, list) or len(key) != len(types):
            raise ValueError
        if any(type(part) is not kind for part, kind in zip(key, types, strict=True)):
            raise ValueError
        if any(isinstance(part, int) and abs(part) >= 1 << 63 for part in key):
            raise ValueError
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise bad_cursor() from None
    return tuple(key)


def decode_id(cursor: str) -> UUID:
    """The id of the last row, where rows are sorted by it. Raises :class:`Invalid`."""
    (last,) = decode_cursor(cursor, str)
    try:
        return UUID(last)
    except ValueError:
        raise bad_cursor() from None


async def newest(
    session: AsyncSession,
    query: Select[T],
    row_id: InstrumentedAttribute[UUID],
    *,
    limit: int,
    cursor: str | None,
) -> tuple[list[T], str | None]:
    """The query's rows, newest first, and the next page's cursor. Raises :class:`Invalid`.

    Rows are met in the order of their ids, by the primary key: a page costs what it takes to find
    its rows, wherever it begins.
    """
    check_limit(limit)
    if cursor is not None:
        query = query.where(row_id < decode_id(cursor))
    found = list(await session.scalars(query.order_by(row_id.desc()).limit(limit + 1)))
    if len(found) <= limit:
        return found, None
    return found[:limit], encode_cursor(str(getattr(found[limit - 1], row_id.key)))


def check_limit(limit: int) -> int:
    """``limit`` where it is 1..100. Raises :class:`Invalid`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(
            N_("A page has between 1 and 100 rows."), fields={"limit": "must be 1 to 100"}
        )
    return limit


def bad_cursor() -> Invalid:
    """What is raised for a cursor that is none, or another list's."""
    return Invalid(N_("This page link is not valid."), fields={"cursor": "invalid"})
