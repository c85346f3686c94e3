"""The tools a person wants to find again."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from funmagic.accounts.models import User
from funmagic.catalog import bookmarks
from funmagic.core.resources import Resources
from funmagic.web.pages import AnyRequest, asked_in, drawn, known_locale, page_of, viewer_of
from funmagic.web.shop_contexts import card_of
from funmagic.web.tool_contexts import BookmarksView

PAGE_ROWS: Final = 24


@get("/{locale:str}/bookmarks", include_in_schema=False)
async def show_bookmarks(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    cursor: FromQuery[str | None] = None,
) -> Template | Redirect:
    """One's own bookmarks, the last kept first; whoever is not signed in is asked in."""
    known_locale(locale)
    if user_or_none is None:
        return asked_in(request, locale)
    async with resources.db.transaction() as session:
        kept = await bookmarks.page(session, user_or_none.id, cursor=cursor, limit=PAGE_ROWS)
        viewer = await viewer_of(session, user_or_none)
    view = BookmarksView(
        cards=tuple(card_of(card, locale) for card in kept.cards),
        next_path=f"/{locale}/bookmarks?cursor={kept.next_cursor}" if kept.next_cursor else None,
    )
    return drawn(request, "pages/bookmarks.html", page_of(request, viewer), view)
