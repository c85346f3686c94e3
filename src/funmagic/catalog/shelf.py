"""The catalog as it is shown: cards, kinds of tools, ratings, as plain values read in few queries.

Nothing here is one person's, so all of it may be kept and shown to anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal

from msgspec import Struct
from sqlalchemy import ARRAY, ColumnElement, Select, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog import search
from funmagic.catalog.models import Tool, ToolType
from funmagic.catalog.prices import prices_of
from funmagic.core.db import Reader
from funmagic.core.errors import NotFound
from funmagic.core.paging import check_limit
from funmagic.core.translations import Translations, text_in
from funmagic.toolkit import discovery

Sort = Literal["popular", "newest", "top_rated"]

PAGE_SIZE: Final = 24
MOST_KINDS: Final = 100


class Rating(Struct, frozen=True):
    """What people think of a tool. ``distribution`` is how many gave 1, 2, 3, 4 and 5 stars."""

    average: float | None
    count: int
    distribution: tuple[int, int, int, int, int]


class Card(Struct, frozen=True):
    """A tool on offer, as its card shows it. ``prices`` are whole credits by step, in order."""

    id: str
    slug: str
    implementation: str
    title: str
    description: str
    translations: Translations
    type: str
    thumbnail: str | None
    prices: dict[str, int]
    rating_average: float | None
    rating_count: int
    usage_count: int
    is_featured: bool
    created_at: datetime

    def __post_init__(self) -> None:
        check_known(self.implementation)

    @property
    def price_credits(self) -> int:
        """What the first step costs."""
        return next(iter(self.prices.values()))

    @property
    def total_steps(self) -> int:
        return len(self.prices)

    def title_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "title", self.title)

    def description_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "description", self.description)


class Kind(Struct, frozen=True):
    """A kind of tool, and how many of it are on offer."""

    name: str
    display_name: str
    translations: Translations
    tool_count: int

    def name_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "displayName", self.display_name)


class CatalogQuery(Struct, frozen=True):
    """What somebody asks of the catalog. ``type`` is the name of a kind of tool."""

    type: str | None = None
    sort: Sort = "popular"
    q: str = ""
    cursor: str | None = None
    limit: int = PAGE_SIZE


class Page(Struct, frozen=True):
    """Cards, and the cursor of what follows; None at the end."""

    cards: tuple[Card, ...]
    next_cursor: str | None


async def page(s: Reader, query: CatalogQuery) -> Page:
    """Tools on offer in the order asked for. Raises :class:`Invalid` for another order's cursor.

    A kind of tool that is not there has no tools. What is searched for is found in every language;
    tools whose title has it come first.
    """
    check_limit(query.limit)
    rows, next_cursor = await search.find(
        s,
        offered(),
        type=query.type,
        sort=query.sort,
        q=query.q,
        after=query.cursor,
        limit=query.limit,
    )
    return Page(await cards(s, rows), next_cursor)


async def featured(s: Reader, limit: int = 8) -> tuple[Card, ...]:
    """The tools the operator puts in front, the most used first."""
    return await cards(s, (await s.execute(_featured(), {"most": check_limit(limit)})).all())


@cache
def _featured() -> Select[Any]:
    query = offered().where(Tool.is_featured).order_by(Tool.usage_count.desc(), Tool.id.desc())
    return query.limit(bindparam("most"))


async def kinds(s: Reader) -> tuple[Kind, ...]:
    """The kinds of tools in the operator's order."""
    return tuple(Kind(*row) for row in await s.execute(_kinds()))


@cache
def _kinds() -> Select[Any]:
    count = func.count(Tool.id).filter(_is_known()).label("tool_count")
    return (
        select(ToolType.name, ToolType.display_name, ToolType.translations, count)
        .outerjoin(Tool, (Tool.tool_type_id == ToolType.id) & Tool.is_active)
        .where(ToolType.is_active)
        .group_by(ToolType.id)
        .order_by(ToolType.sort_order, ToolType.name)
        .limit(MOST_KINDS)
    )


async def related(s: AsyncSession, slug: str, limit: int = 4) -> tuple[Card, ...]:
    """The most used other tools: those of the same kind, then any. None for an unknown tool."""
    check_limit(limit)
    type_id = select(Tool.tool_type_id).where(Tool.slug == slug).scalar_subquery()
    order = (Tool.usage_count.desc(), Tool.id.desc())
    others = offered().where(Tool.slug != slug).order_by(*order).limit(limit)
    alike = (await s.execute(others.where(Tool.tool_type_id == type_id))).all()
    if len(alike) < limit:
        further = others.where(Tool.tool_type_id != type_id).limit(limit - len(alike))
        alike = [*alike, *(await s.execute(further)).all()]
    return await cards(s, alike)


async def rating_of(s: AsyncSession, slug: str) -> Rating:
    """What people think of a tool, offered or not. Raises :class:`NotFound`."""
    counts = await s.scalar(select(Tool.rating_counts).where(Tool.slug == slug))
    if counts is None:
        raise NotFound()
    one, two, three, four, five = counts
    total = sum(stars * number for stars, number in enumerate(counts, start=1))
    return Rating(_average(total, sum(counts)), sum(counts), (one, two, three, four, five))


@cache  # making a statement takes about as long as what PostgreSQL does with it
def offered() -> Select[Any]:
    """What a card is made of, of every tool on offer whose plug-in this release has."""
    return (
        select(
            Tool.id,
            Tool.slug,
            Tool.implementation,
            Tool.title,
            Tool.description,
            Tool.translations,
            ToolType.name.label("type"),
            Tool.thumbnail,
            Tool.config_hash,
            Tool.rating_count,
            Tool.rating_sum,
            Tool.rating_score,
            Tool.usage_count,
            Tool.is_featured,
            Tool.created_at,
        )
        .join(Tool.tool_type)
        .where(Tool.is_active, ToolType.is_active, _is_known())
    )


async def cards(s: Reader, rows: Sequence[Any]) -> tuple[Card, ...]:
    """The cards of rows of :func:`offered`; a tool that cannot be run has none."""
    priced = zip(rows, await prices_of(s, rows), strict=True)
    return tuple(
        Card(
            id=str(row.id),
            slug=row.slug,
            implementation=row.implementation,
            title=row.title,
            description=row.description,
            translations=row.translations,
            type=row.type,
            thumbnail=row.thumbnail,
            prices=prices,
            rating_average=_average(row.rating_sum, row.rating_count),
            rating_count=row.rating_count,
            usage_count=row.usage_count,
            is_featured=row.is_featured,
            created_at=row.created_at,
        )
        for row, prices in priced
        if prices
    )


def check_known(implementation: str) -> None:
    """Raises ValueError for a tool of another release, whose copies this one may come upon."""
    if not discovery.is_known(implementation):
        raise ValueError(f"no such plug-in: {implementation}")


def _is_known() -> ColumnElement[bool]:
    known = [plugin.key for plugin in discovery.all_tools()]
    return Tool.implementation == func.any(bindparam("known", known, ARRAY(Text), unique=True))


def _average(total: int, count: int) -> float | None:
    return round(total / count, 2) if count else None
