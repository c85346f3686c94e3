"""What stands around a tool's workplace: an example, what people think, other tools, and the same
for machines. Nothing of it is one person's, but what is said to be their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from funmagic.catalog.runs import Standing
from funmagic.catalog.service import ToolRow
from funmagic.catalog.shelf import Card, CatalogQuery, Kind, Rating
from funmagic.core.i18n import N_, translate
from funmagic.web.pictures import demo_for, picture_for
from funmagic.web.shop_contexts import card_of, catalog_path
from funmagic.web.tool_contexts import RatingLine, Ratings, Showcase

CONTEXT: Final = "https://schema.org"
BEST: Final = 5
CATALOG: Final = N_("Tools")
NOTHING: Final = Standing()


@dataclass(frozen=True, slots=True)
class Around:
    """What the catalog says beside the tool itself."""

    rating: Rating
    kinds: Sequence[Kind]
    related: Sequence[Card] = ()
    own: Standing = NOTHING
    is_stale: bool = False


def showcase(tool: ToolRow, around: Around, locale: str, origin: str) -> Showcase:
    """What the page of ``tool`` shows around the workplace; ``origin`` is our scheme and host."""
    rating = around.rating
    kinds = {kind.name: kind.name_in(locale) for kind in around.kinds}
    kind = kinds.get(tool.tool_type, "")
    picture = picture_for(tool.implementation, tool.thumbnail)
    return Showcase(
        kind=kind,
        kind_path=catalog_path(locale, CatalogQuery(type=tool.tool_type)),
        ratings=Ratings(
            average=rating.average,
            count=rating.count,
            lines=tuple(
                RatingLine(stars, rating.distribution[stars - 1]) for stars in range(BEST, 0, -1)
            ),
        ),
        usage_count=tool.usage_count,
        picture=picture,
        demo=demo_for(tool.implementation),
        related=tuple(card_of(card, locale) for card in around.related),
        structured=(
            *_product(tool, locale, origin, kind, rating, picture.url if picture else None),
            _breadcrumbs(tool, locale, origin),
        ),
        own=around.own,
        is_stale=around.is_stale,
    )


def _product(
    tool: ToolRow, locale: str, origin: str, kind: str, rating: Rating, picture_url: str | None
) -> tuple[dict[str, Any], ...]:
    """The tool for search engines: schema.org's Product, once there is a rating. Of a product they
    want that, a review or an offer in some currency."""
    if not rating.count:
        return ()
    url = f"{origin}/{locale}/tools/{tool.slug}"
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "Product",
        "@id": url,
        "url": url,
        "name": tool.title_in(locale),
        "description": tool.description_in(locale),
        "brand": {"@type": "Brand", "name": "FunMagic"},
        "aggregateRating": {
            "@type": "AggregateRating",
            "ratingValue": rating.average,
            "ratingCount": rating.count,
            "bestRating": BEST,
            "worstRating": 1,
        },
    }
    if kind:
        found["category"] = kind
    if picture_url:
        found["image"] = f"{origin}{picture_url}"
    return (found,)


def _breadcrumbs(tool: ToolRow, locale: str, origin: str) -> dict[str, Any]:
    catalog = f"{origin}/{locale}/tools"
    here = f"{catalog}/{tool.slug}"
    crumbs = ((translate(locale, CATALOG), catalog), (tool.title_in(locale), here))
    return {
        "@context": CONTEXT,
        "@type": "BreadcrumbList",
        "itemListElement": [
            {"@type": "ListItem", "position": position, "name": name, "item": url}
            for position, (name, url) in enumerate(crumbs, 1)
        ],
    }
