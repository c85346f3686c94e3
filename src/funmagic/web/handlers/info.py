"""Help, pricing, terms and privacy: the same for everybody, so drawn once for all visitors."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.i18n import N_, translate
from funmagic.web.info_contexts import (
    ArticleView,
    HelpView,
    PricingView,
    operator_of,
    section_in,
    topic_in,
)
from funmagic.web.info_texts import HELP, PRIVACY, TERMS, Section
from funmagic.web.page_cache import shared
from funmagic.web.pages import AnyRequest, drawn, known_locale, page_of
from funmagic.web.shop_contexts import card_of
from funmagic.web.visits import Visit

MOST_PRICES: Final = 12


@get("/{locale:str}/help", include_in_schema=False)
async def show_help(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
) -> Template:
    """What people ask, answered; and whom to write to."""
    known_locale(locale)
    view = HelpView(
        topics=tuple(topic_in(topic, locale) for topic in HELP),
        operator=operator_of(visit.settings),
    )
    page = page_of(request, await visit.viewer(), public="/help")
    shared(request)
    return drawn(request, "pages/help.html", page, view)


@get("/{locale:str}/pricing", include_in_schema=False)
async def show_pricing(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
) -> Template:
    """How credits are held, charged and given back, and what tools cost."""
    known_locale(locale)
    kept = await visit.catalog.page(CatalogQuery())
    cards = kept.value.cards
    view = PricingView(
        welcome_credits=visit.settings.welcome_credits,
        cards=tuple(card_of(card, locale) for card in cards[:MOST_PRICES]),
        has_more=len(cards) > MOST_PRICES or kept.value.next_cursor is not None,
        operator=operator_of(visit.settings),
        is_stale=kept.stale_since is not None,
    )
    page = page_of(request, await visit.viewer(), public="/pricing")
    shared(request, kept)
    return drawn(request, "pages/pricing.html", page, view)


@get("/{locale:str}/terms", include_in_schema=False)
async def show_terms(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
) -> Template:
    """What holds between people and whoever runs this installation."""
    title, description = N_("Terms"), N_("What you can count on here, and what we count on.")
    return await _article(request, visit, locale, title, description, TERMS, "/terms")


@get("/{locale:str}/privacy", include_in_schema=False)
async def show_privacy(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
) -> Template:
    """What is kept of people, where it goes, and how long it stays."""
    title = N_("Privacy")
    description = N_("What we keep of you, where it goes, and how long it stays.")
    return await _article(request, visit, locale, title, description, PRIVACY, "/privacy")


async def _article(
    request: AnyRequest,
    visit: Visit,
    locale: str,
    title: str,
    description: str,
    sections: tuple[Section, ...],
    public: str,
) -> Template:
    known_locale(locale)
    view = ArticleView(
        title=translate(locale, title),
        description=translate(locale, description),
        sections=tuple(section_in(section, locale) for section in sections),
        operator=operator_of(visit.settings),
    )
    page = page_of(request, await visit.viewer(), public=public)
    shared(request)
    return drawn(request, "pages/article.html", page, view)
