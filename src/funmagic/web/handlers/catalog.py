"""The catalog: every tool on offer, by kind, in an order, by words, all of it by address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from funmagic.catalog.cache import CatalogCache
from funmagic.catalog.search import MAX_Q_CHARS
from funmagic.catalog.shelf import Card, CatalogQuery, Kind, Page
from funmagic.core.cache import Cached
from funmagic.core.errors import Invalid
from funmagic.core.i18n import N_, translate
from funmagic.web.page_cache import shared
from funmagic.web.pages import AnyRequest, drawn, known_locale, page_of
from funmagic.web.shop_contexts import (
    SORTS,
    CatalogView,
    card_of,
    catalog_address,
    catalog_path,
    kind_chips,
    sort_chips,
)
from funmagic.web.visits import Visit

EVERYTHING: Final = N_("All tools")
MOST_SUGGESTED: Final = 4


@get("/{locale:str}/tools", include_in_schema=False)
async def show_catalog(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
    type: FromQuery[str | None] = None,
    sort: FromQuery[str | None] = None,
    q: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
) -> Template:
    """A page of the catalog. What an address asks for in vain is left out of it: a link that has
    grown old still leads to tools."""
    known_locale(locale)
    if type or q or cursor:
        kinds = await visit.catalog.kinds()
        wanted = _query(kinds.value, type, sort, q, cursor)
        found, asked = await _page(visit.catalog, wanted)
    else:
        asked = _query((), None, sort, None, None)
        front = await visit.catalog.front(asked.sort)
        kinds, found = front.part(front.value.kinds), front.part(front.value.page)
    made_of: list[Cached[Any]] = [kinds, found]
    suggested: tuple[Card, ...] = ()
    if not found.value.cards:
        made_of.append(featured := await visit.catalog.featured())
        suggested = featured.value[:MOST_SUGGESTED]
    viewer = await visit.viewer()
    if viewer is None:
        shared(request, *made_of, query=("type", "sort", "q", "cursor"))
    first = CatalogQuery(type=asked.type, sort=asked.sort, q=asked.q)
    following = CatalogQuery(
        type=asked.type, sort=asked.sort, q=asked.q, cursor=found.value.next_cursor
    )
    names = {kind.name: kind.name_in(locale) for kind in kinds.value}
    view = CatalogView(
        title=names[asked.type] if asked.type else translate(locale, EVERYTHING),
        q=asked.q,
        kind=asked.type,
        sort=asked.sort if asked.sort != "popular" else None,
        chips=kind_chips(kinds.value, locale, asked),
        orders=sort_chips(locale, asked),
        cards=tuple(card_of(card, locale) for card in found.value.cards),
        next_path=catalog_path(locale, following) if following.cursor else None,
        first_path=catalog_path(locale, first) if asked.cursor else None,
        clear_path=catalog_path(locale, CatalogQuery(sort=asked.sort)),
        suggested=tuple(card_of(card, locale) for card in suggested),
        is_stale=any(copy.stale_since for copy in made_of),
    )
    # A kind of tools is a page of its own; what only orders, finds or pages leads to the whole.
    page = page_of(request, viewer, public=catalog_address(CatalogQuery(type=asked.type)))
    return drawn(request, "pages/catalog.html", page, view)


def _query(
    kinds: Sequence[Kind], type: str | None, sort: str | None, q: str | None, cursor: str | None
) -> CatalogQuery:
    """What of an address the catalog knows."""
    words = " ".join((q or "").replace("\0", " ").split())[:MAX_Q_CHARS]
    return CatalogQuery(
        type=type if any(kind.name == type for kind in kinds) else None,
        sort=next((known for known in SORTS if known == sort), "popular"),
        q=words,
        cursor=cursor or None,
    )


async def _page(
    catalog_cache: CatalogCache, wanted: CatalogQuery
) -> tuple[Cached[Page], CatalogQuery]:
    """The page, and what it was asked by: without a cursor that is none, or another list's."""
    try:
        return await catalog_cache.page(wanted), wanted
    except Invalid:
        if wanted.cursor is None:
            raise
    asked = CatalogQuery(type=wanted.type, sort=wanted.sort, q=wanted.q)
    return await catalog_cache.page(asked), asked
