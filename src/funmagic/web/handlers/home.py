"""The first page: what is new, what is best, and the ways into the catalog."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.http import request_locale
from funmagic.web.page_cache import shared
from funmagic.web.pages import AnyRequest, drawn, known_locale, page_of
from funmagic.web.shop_contexts import HomeView, card_of, kind_chips, slide_of
from funmagic.web.visits import Visit

MOST_SIDES: Final = 2
MOST_CARDS: Final = 8


@get("/", include_in_schema=False)
async def send_to_language(request: AnyRequest) -> Redirect:
    """``/`` leads to the person's language: chosen before, else what the browser asks for."""
    return Redirect(
        f"/{request_locale(request)}/",
        status_code=302,
        headers={"Vary": "Accept-Language, Cookie", "Cache-Control": "private, no-cache"},
    )


@get("/{locale:str}", include_in_schema=False)
async def show_home(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
) -> Template:
    """Banners, the tools put in front (the most used ones where none is), the kinds there are."""
    known_locale(locale)
    board = await visit.catalog.board()
    kinds = await visit.catalog.kinds()
    featured = await visit.catalog.featured()
    popular = await visit.catalog.page(CatalogQuery())
    cards = featured.value or popular.value.cards[:MOST_CARDS]
    viewer = await visit.viewer()
    if viewer is None:
        shared(request, board, kinds, featured, popular)
    view = HomeView(
        slides=tuple(slide_of(banner, locale) for banner in board.value.main),
        sides=tuple(slide_of(banner, locale) for banner in board.value.side[:MOST_SIDES]),
        chips=kind_chips(kinds.value, locale, CatalogQuery()),
        cards=tuple(card_of(card, locale) for card in cards),
        welcome_credits=visit.settings.welcome_credits,
        is_stale=any(kept.stale_since for kept in (board, kinds, featured, popular)),
    )
    return drawn(request, "pages/home.html", page_of(request, viewer, public="/"), view)
