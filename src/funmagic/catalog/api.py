"""The catalog as anybody may see it.

What is shown is listed here field by field. A tool's configuration holds prompts, providers, models
and options: nothing of it passes but prices and the choices people have.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from funmagic.assets.media import media_url
from funmagic.catalog import service
from funmagic.catalog.service import ToolRow
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.i18n import translate
from funmagic.core.paging import DEFAULT_LIMIT, Page
from funmagic.core.resources import Resources
from funmagic.toolkit.contract import Choice, Step
from funmagic.toolkit.schema import choices_of, form_of, json_schema_of


class StepCard(CamelModel):
    """One step of a tool: its button and its price in whole credits."""

    id: str
    title: str
    action: str
    price_credits: int
    follows: str | None


class ToolCard(CamelModel):
    """A tool on offer. ``thumbnail`` is an address on this site."""

    slug: str
    title: str
    description: str
    type: str
    features: list[str]
    thumbnail: str | None
    is_featured: bool
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
    steps: list[StepView]


@get("/")
async def list_tools(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    type: FromQuery[str | None] = None,
    q: FromQuery[str] = "",
    limit: FromQuery[int] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[ToolCard]:
    """Tools on offer, newest first; ``type`` is the name of a kind of tool."""
    async with resources.db.transaction() as session:
        rows, next_cursor = await service.page_of_active(
            session, tool_type=type, q=q, limit=limit, cursor=cursor
        )
    locale = request_locale(request)
    items = [
        ToolCard(
            **_card(row, locale),
            steps=[StepCard(**_step_card(row, step, locale)) for step in row.plugin.steps],
        )
        for row in rows
    ]
    return Page[ToolCard](items=items, next_cursor=next_cursor)


@get("/{slug:str}")
async def show_tool(
    request: Request[Any, Any, Any], resources: NamedDependency[Resources], slug: FromPath[str]
) -> ToolView:
    """One tool on offer."""
    async with resources.db.transaction() as session:
        row = await service.tool_by_slug(session, slug)
    locale = request_locale(request)
    steps = [
        StepView(
            **_step_card(row, step, locale),
            input=json_schema_of(step.input_model),
            choices=_choices(row, step),
        )
        for step in row.plugin.steps
    ]
    return ToolView(**_card(row, locale), steps=steps)


def _card(row: ToolRow, locale: str) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "title": translate(locale, row.title),
        "description": translate(locale, row.description),
        "type": row.tool_type,
        "features": [translate(locale, feature) for feature in row.features],
        "thumbnail": media_url(row.thumbnail),
        "is_featured": row.is_featured,
    }


def _step_card(row: ToolRow, step: Step, locale: str) -> dict[str, Any]:
    return {
        "id": step.id,
        "title": translate(locale, step.title),
        "action": translate(locale, step.action),
        "price_credits": row.step_price(step.id),
        "follows": step.follows,
    }


def _choices(row: ToolRow, step: Step) -> dict[str, list[ChoiceView]]:
    """What each pick of the step offers."""
    picks = [field for field in form_of(step.input_model) if field.kind == "pick"]
    settings = step.settings_model.model_validate(row.step(step.id).settings)
    return {field.name: [_choice(each) for each in choices_of(settings, field)] for field in picks}


def _choice(choice: Choice) -> ChoiceView:
    return ChoiceView(slug=choice.slug, name=choice.name, image_url=media_url(choice.image))


router = Router("/api/tools", route_handlers=[list_tools, show_tool], opt={"scope": None})
