"""What the templates of the home page and the catalog may read, and how it is made of the shelf's
rows: in the page's language, with the addresses of its own links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from funmagic.catalog.shelf import Card, CatalogQuery, Kind, Sort
from funmagic.content.service import Banner
from funmagic.core.i18n import N_, translate
from funmagic.web.pictures import ShopPicture, banner_picture, picture_for

SORTS: Final[dict[Sort, str]] = {
    "popular": N_("Popular"),
    "newest": N_("Newest"),
    "top_rated": N_("Top rated"),
}
EVERY_KIND: Final = N_("All")
LONG_TITLE_CHARS: Final = 44
LONG_WORD_CHARS: Final = 13


@dataclass(frozen=True, slots=True)
class ShopCard:
    """A tool on offer. ``price_credits`` is what its first step costs, of ``total_steps``;
    ``rating_average`` is None where nobody has rated it."""

    slug: str
    path: str
    title: str
    description: str
    price_credits: int
    total_steps: int
    rating_average: float | None
    rating_count: int
    usage_count: int
    picture: ShopPicture | None


@dataclass(frozen=True, slots=True)
class Chip:
    """One choice among links; ``count`` is how many tools it leads to, where that is told."""

    id: str
    label: str
    path: str
    is_current: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Slide:
    """A banner. ``path`` is an address of this site in the page's language, or another site's."""

    id: str
    title: str
    text: str
    badge: str
    path: str
    link_label: str
    picture: ShopPicture | None

    @property
    def is_long(self) -> bool:
        """Whether the title needs smaller letters: it is long, or a word of it is."""
        words = [len(word) for word in self.title.split()]
        return sum(words) > LONG_TITLE_CHARS or max(words, default=0) > LONG_WORD_CHARS


@dataclass(frozen=True, slots=True)
class HomeView:
    """The first page. ``is_stale`` where the database is away and this was kept."""

    slides: tuple[Slide, ...]
    sides: tuple[Slide, ...]
    chips: tuple[Chip, ...]
    cards: tuple[ShopCard, ...]
    welcome_credits: int
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class CatalogView:
    """The catalog. ``kind`` and ``sort`` are what its search form sends along, where they are not
    what they are anyway; ``next_path`` leads on, ``first_path`` back to the first page."""

    title: str
    q: str
    kind: str | None
    sort: str | None
    chips: tuple[Chip, ...]
    orders: tuple[Chip, ...]
    cards: tuple[ShopCard, ...]
    next_path: str | None
    first_path: str | None
    clear_path: str
    suggested: tuple[ShopCard, ...] = ()
    is_stale: bool = False


def card_of(card: Card, locale: str) -> ShopCard:
    """A tool's card in ``locale``."""
    return ShopCard(
        slug=card.slug,
        path=f"/{locale}/tools/{card.slug}",
        title=card.title_in(locale),
        description=card.description_in(locale),
        price_credits=card.price_credits,
        total_steps=card.total_steps,
        rating_average=card.rating_average,
        rating_count=card.rating_count,
        usage_count=card.usage_count,
        picture=picture_for(card.implementation, card.thumbnail),
    )


def slide_of(banner: Banner, locale: str) -> Slide:
    """A banner in ``locale``."""
    is_here = banner.link.startswith("/")
    return Slide(
        id=f"banner-{banner.id}",
        title=banner.title_in(locale),
        text=banner.text_in(locale),
        badge=banner.badge_in(locale),
        path=f"/{locale}{banner.link}" if is_here else banner.link,
        link_label=banner.link_label_in(locale),
        picture=banner_picture(banner.picture),
    )


def kind_chips(kinds: Sequence[Kind], locale: str, asked: CatalogQuery) -> tuple[Chip, ...]:
    """All tools, then each kind that has any; each keeps what is searched for and the order."""
    total = sum(kind.tool_count for kind in kinds)
    rows: list[tuple[str | None, str, int]] = [(None, translate(locale, EVERY_KIND), total)]
    rows += [(kind.name, kind.name_in(locale), kind.tool_count) for kind in kinds]
    return tuple(
        Chip(
            id=f"kind-{name or 'all'}",
            label=label,
            path=catalog_path(locale, CatalogQuery(type=name, sort=asked.sort, q=asked.q)),
            is_current=name == asked.type,
            count=None if asked.q else count,
        )
        for name, label, count in rows
        if count or name == asked.type
    )


def sort_chips(locale: str, asked: CatalogQuery) -> tuple[Chip, ...]:
    """The orders the catalog can be in; each keeps the kind and what is searched for."""
    return tuple(
        Chip(
            id=f"sort-{sort}",
            label=translate(locale, label),
            path=catalog_path(locale, CatalogQuery(type=asked.type, sort=sort, q=asked.q)),
            is_current=sort == asked.sort,
        )
        for sort, label in SORTS.items()
    )


def catalog_path(locale: str, query: CatalogQuery) -> str:
    """The catalog's one address for ``query``."""
    return f"/{locale}{catalog_address(query)}"


def catalog_address(query: CatalogQuery) -> str:
    """The same without a language: what goes without saying is left out."""
    named = {
        "type": query.type,
        "sort": query.sort if query.sort != "popular" else None,
        "q": query.q,
        "cursor": query.cursor,
    }
    said = urlencode({name: value for name, value in named.items() if value})
    return f"/tools?{said}" if said else "/tools"
