"""Tools: the list, a new one, and everything about one."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.catalog import admin
from funmagic.catalog.models import Tool, ToolType
from funmagic.catalog.service import is_broken, plugin_of, prices_of
from funmagic.core.errors import Invalid
from funmagic.core.i18n import DEFAULT_LOCALE, LOCALES, N_, language_name, translate
from funmagic.core.resources import Resources
from funmagic.core.translations import text_in
from funmagic.dashboard.api.tools import AdminTool
from funmagic.dashboard.contexts import (
    NewToolView,
    Option,
    ToolRow,
    ToolsView,
    ToolView,
    TranslatedTool,
)
from funmagic.dashboard.forms import ToolForm, readable, tool_form
from funmagic.dashboard.pages.drawing import draw
from funmagic.providers import service as providers
from funmagic.toolkit import discovery
from funmagic.web.pages import AnyRequest, known_locale, picture_of

PAGE_ROWS: Final = 20
MISFIT: Final = N_(
    "What is stored for this tool does not fit this release, so the tool is not offered. "
    "Check everything below and save it."
)
NO_PLUGIN: Final = N_("This release has no implementation “{key}”: the tool cannot run.")


@get("/tools")
async def list_tools(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    cursor: FromQuery[str | None] = None,
) -> Template:
    """Every tool, newest first."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        found, older = await admin.tools(session, q=q, limit=PAGE_ROWS, cursor=cursor)
    place = f"/{locale}/dashboard/tools"
    query = urlencode({"q": q, "cursor": older} if q else {"cursor": older})
    view = ToolsView(
        rows=tuple(_row(tool, locale) for tool in found),
        q=q,
        older_path=f"{place}?{query}" if older else None,
        is_first_page=cursor is None,
    )
    return await draw(request, resources, user, "tools.html", view)


@get("/tools/new")
async def show_new_tool(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
) -> Template:
    """The form of a new tool."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        types = await _types(session, locale)
    plugins = [(plugin.key, translate(locale, plugin.title)) for plugin in discovery.all_tools()]
    view = NewToolView(tuple(Option(*each) for each in plugins), types)
    return await draw(request, resources, user, "new_tool.html", view)


@get("/tools/{tool_id:uuid}")
async def show_tool(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
    tool_id: FromPath[UUID],
) -> Template:
    """One tool: its words, its picture, its configuration."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        tool = await admin.tool(session, tool_id)
        types = await _types(session, locale)
        states = await providers.every(session)
    broken = ""
    form: ToolForm | None = None
    config: dict[str, Any] = {}
    try:
        form = tool_form(tool, states, locale)
        used = readable(plugin_of(tool.implementation), tool.config)
        config = {name: each.model_dump(mode="json", by_alias=True) for name, each in used.items()}
        if is_broken(tool):
            broken = translate(locale, MISFIT)
    except Invalid:
        broken = translate(locale, NO_PLUGIN, key=tool.implementation)
    view = ToolView(
        tool=AdminTool.of(tool),
        picture=picture_of(tool.implementation, tool.thumbnail),
        types=types,
        translations=_translations(tool),
        preview_path=f"/{locale}/tools/{tool.slug}",
        config=config,
        form=form,
        models=_models(form) if form else {},
        broken=broken,
    )
    return await draw(request, resources, user, "tool.html", view)


def _row(tool: Tool, locale: str) -> ToolRow:
    return ToolRow(
        path=f"/{locale}/dashboard/tools/{tool.id}",
        api_path=f"/api/admin/tools/{tool.id}",
        title=text_in(tool.translations, locale, "title", tool.title),
        slug=tool.slug,
        type=_type_name(tool.tool_type, locale),
        picture=picture_of(tool.implementation, tool.thumbnail),
        prices=tuple(prices_of(tool).values()),
        usage_count=tool.usage_count,
        is_broken=is_broken(tool),
        is_active=tool.is_active,
        is_featured=tool.is_featured,
    )


async def _types(session: AsyncSession, locale: str) -> tuple[Option, ...]:
    found = await admin.tool_types(session)
    return tuple(Option(each.name, _type_name(each, locale)) for each in found)


def _type_name(tool_type: ToolType, locale: str) -> str:
    return text_in(tool_type.translations, locale, "displayName", tool_type.display_name)


def _translations(tool: Tool) -> tuple[TranslatedTool, ...]:
    english = {"title": tool.title, "description": tool.description}
    return tuple(
        TranslatedTool(
            locale,
            language_name(locale),
            own=tool.translations.get(locale, {}),
            shown={name: translate(locale, text) for name, text in english.items()},
        )
        for locale in LOCALES
        if locale != DEFAULT_LOCALE
    )


def _models(form: ToolForm) -> dict[str, dict[str, Any]]:
    return {
        step.id: {
            provider.key: [
                {"id": model.id, "options": model.options, "warning": model.warning}
                for model in provider.models
            ]
            for provider in step.providers
        }
        for step in form.steps
    }
