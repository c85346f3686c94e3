"""The catalog as anybody may see it, and what people do to it: rate tools, and keep them.

What is shown is listed here field by field. A tool's configuration holds prompts, providers, models
and options: nothing of it passes but prices and the choices people have.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from funmagic.accounts.models import User
from funmagic.assets.media import media_url
from funmagic.catalog import bookmarks, ratings, service, shelf
from funmagic.catalog.admin import UNKNOWN_TYPE
from funmagic.catalog.cache import CatalogCache
from funmagic.catalog.search import MAX_Q_CHARS
from funmagic.catalog.service import ToolRow
from funmagic.catalog.shelf import PAGE_SIZE, Card, CatalogQuery, Rating, Sort
from funmagic.core.errors import Invalid
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.i18n import LOCALES, translate
from funmagic.core.paging import Page
from funmagic.core.resources import Resources
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Choice, Step
from funmagic.toolkit.schema import choices_of, form_of, json_schema_of


class StepCard(CamelModel):
    """One step of a tool: its button and its price in whole credits."""

    id: str
    title: str
    action: str
    price_credits: int
    follows: str | None


class RatingView(CamelModel):
    """What people think of a tool. ``distribution`` is how many gave 1, 2, 3, 4 and 5 stars."""

    average: float | None
    count: int
    distribution: list[int]

    @classmethod
    def of(cls, rating: Rating) -> RatingView:
        return cls(
            average=rating.average, count=rating.count, distribution=list(rating.distribution)
        )


class ToolCard(CamelModel):
    """A tool on offer. ``thumbnail`` is an address on this site; ``usageCount`` counts completed
    runs."""

    slug: str
    title: str
    description: str
    type: str
    features: list[str]
    thumbnail: str | None
    is_featured: bool
    rating_average: float | None
    rating_count: int
    usage_count: int
    created_at: datetime
    steps: list[StepCard]


class ChoiceView(CamelModel):
    slug: str
    name: str
    image_url: str | None


class StepView(StepCard):
    """A step with what it takes: ``input`` is JSON Schema, ``choices`` what its picks offer."""

    input: dict[str, Any]
    choices: dict[str, list[ChoiceView]]


class ToolView(CamelModel):
    """A tool on offer, whole."""

    slug: str
    title: str
    description: str
    type: str
    features: list[str]
    thumbnail: str | None
    is_featured: bool
    rating: RatingView
    usage_count: int
    steps: list[StepView]


class NewRating(CamelModel):
    stars: int


class OwnRating(CamelModel):
    """One's own stars, null once they are taken back, and what all think now."""

    stars: int | None
    rating: RatingView


class OwnBookmark(CamelModel):
    is_bookmarked: bool


@get("/tools", opt={"scope": None})
async def list_tools(
    request: Request[Any, Any, Any],
    catalog_cache: NamedDependency[CatalogCache],
    type: FromQuery[str | None] = None,
    sort: FromQuery[Sort] = "popular",
    q: Annotated[str, QueryParameter(max_length=MAX_Q_CHARS)] = "",
    locale: FromQuery[str | None] = None,
    limit: FromQuery[int] = PAGE_SIZE,
    cursor: FromQuery[str | None] = None,
) -> Response[Page[ToolCard]]:
    """Tools on offer. ``type`` is the name of a kind of tool; ``q`` is looked for in every
    language; ``locale`` is the language of the answer.

    ``X-Stale-Since`` is when they were read, where the database cannot be asked now."""
    kinds = await catalog_cache.kinds()
    if type is not None and all(kind.name != type for kind in kinds.value):
        raise Invalid(fields={"type": UNKNOWN_TYPE})
    query = CatalogQuery(type=type, sort=sort, q=q, cursor=cursor, limit=limit)
    found = await catalog_cache.page(query)
    spoken = _locale(request, locale)
    items = [_card(card, spoken) for card in found.value.cards]
    ages = [copy.stale_since for copy in (kinds, found) if copy.stale_since is not None]
    headers = {"X-Stale-Since": min(ages).isoformat()} if ages else {}
    return Response(
        Page[ToolCard](items=items, next_cursor=found.value.next_cursor), headers=headers
    )


@get("/tools/{slug:str}", opt={"scope": None})
async def show_tool(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    slug: FromPath[str],
    locale: FromQuery[str | None] = None,
) -> ToolView:
    """One tool on offer."""
    async with resources.db.transaction() as session:
        row = await service.tool_by_slug(session, slug)
        rating = await shelf.rating_of(session, slug)
    spoken = _locale(request, locale)
    return ToolView(
        slug=row.slug,
        title=row.title_in(spoken),
        description=row.description_in(spoken),
        type=row.tool_type,
        features=[translate(spoken, feature) for feature in row.features],
        thumbnail=media_url(row.thumbnail),
        is_featured=row.is_featured,
        rating=RatingView.of(rating),
        usage_count=row.usage_count,
        steps=[
            StepView(
                **_step_card(step, row.step_price(step.id), spoken),
                input=json_schema_of(step.input_model),
                choices=_choices(row, step, spoken),
            )
            for step in row.plugin.steps
        ],
    )


@put("/tools/{slug:str}/rating")
async def rate_tool(
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    slug: FromPath[str],
    data: JSONBody[NewRating],
) -> OwnRating:
    """Give a tool one has run one to five stars, in place of those given before."""
    async with resources.db.transaction() as session:
        rating = await ratings.rate(session, user.id, slug, data.stars)
    return OwnRating(stars=data.stars, rating=RatingView.of(rating))


@delete("/tools/{slug:str}/rating", status_code=200)
async def take_rating_back(
    resources: NamedDependency[Resources], user: NamedDependency[User], slug: FromPath[str]
) -> OwnRating:
    """Remove one's own rating, if there is one."""
    async with resources.db.transaction() as session:
        rating = await ratings.take_back(session, user.id, slug)
    return OwnRating(stars=None, rating=RatingView.of(rating))


@put("/tools/{slug:str}/bookmark")
async def add_bookmark(
    resources: NamedDependency[Resources], user: NamedDependency[User], slug: FromPath[str]
) -> OwnBookmark:
    """Keep a tool, to find it again."""
    async with resources.db.transaction() as session:
        await bookmarks.add(session, user.id, slug)
    return OwnBookmark(is_bookmarked=True)


@delete("/tools/{slug:str}/bookmark", status_code=200)
async def remove_bookmark(
    resources: NamedDependency[Resources], user: NamedDependency[User], slug: FromPath[str]
) -> OwnBookmark:
    """Keep a tool no longer."""
    async with resources.db.transaction() as session:
        await bookmarks.remove(session, user.id, slug)
    return OwnBookmark(is_bookmarked=False)


@get("/bookmarks")
async def list_bookmarks(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromQuery[str | None] = None,
    limit: FromQuery[int] = PAGE_SIZE,
    cursor: FromQuery[str | None] = None,
) -> Page[ToolCard]:
    """The tools one keeps that are on offer, the last kept first."""
    async with resources.db.transaction() as session:
        found = await bookmarks.page(session, user.id, cursor=cursor, limit=limit)
    spoken = _locale(request, locale)
    items = [_card(card, spoken) for card in found.cards]
    return Page[ToolCard](items=items, next_cursor=found.next_cursor)


def _locale(request: Request[Any, Any, Any], wanted: str | None) -> str:
    return wanted if wanted in LOCALES else request_locale(request)


def _card(card: Card, locale: str) -> ToolCard:
    plugin = discovery.tool(card.implementation)
    steps = [_step_card(step, card.prices[step.id], locale) for step in plugin.steps]
    return ToolCard(
        slug=card.slug,
        title=card.title_in(locale),
        description=card.description_in(locale),
        type=card.type,
        features=[translate(locale, feature) for feature in plugin.features],
        thumbnail=media_url(card.thumbnail),
        is_featured=card.is_featured,
        rating_average=card.rating_average,
        rating_count=card.rating_count,
        usage_count=card.usage_count,
        created_at=card.created_at,
        steps=[StepCard(**step) for step in steps],
    )


def _step_card(step: Step, price_credits: int, locale: str) -> dict[str, Any]:
    return {
        "id": step.id,
        "title": translate(locale, step.title),
        "action": translate(locale, step.action),
        "price_credits": price_credits,
        "follows": step.follows,
    }


def _choices(row: ToolRow, step: Step, locale: str) -> dict[str, list[ChoiceView]]:
    """What each pick of the step offers."""
    picks = [field for field in form_of(step.input_model) if field.kind == "pick"]
    settings = step.settings_model.model_validate(row.step(step.id).settings)
    return {
        field.name: [_choice(each, locale) for each in choices_of(settings, field)]
        for field in picks
    }


def _choice(choice: Choice, locale: str) -> ChoiceView:
    name = translate(locale, choice.name)
    return ChoiceView(slug=choice.slug, name=name, image_url=media_url(choice.image))


router = Router(
    "/api",
    route_handlers=[
        list_tools,
        show_tool,
        rate_tool,
        take_rating_back,
        add_bookmark,
        remove_bookmark,
        list_bookmarks,
    ],
)
