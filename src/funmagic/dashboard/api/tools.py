"""Tools for admins: list, add, change, configure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from pydantic import Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.assets.media import media_url
from funmagic.audit import service as audit
from funmagic.catalog import admin, service
from funmagic.catalog.models import SLUG, Tool
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.paging import DEFAULT_LIMIT, Page
from funmagic.core.resources import Resources
from funmagic.dashboard.forms import ToolForm, tool_form
from funmagic.providers import service as providers

Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=80)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]
# By field: what a tool is called in one other language.
Words = dict[str, Annotated[str, StringConstraints(max_length=2000)]]


class NewTool(CamelModel):
    """``implementation`` is a plug-in's key, ``toolType`` the name of a type."""

    implementation: Name
    slug: Slug
    title: Title
    description: Description = ""
    tool_type: Name


class ToolChanges(CamelModel):
    """What is left out stays. With ``updatedAt`` as read, a change since then is a conflict.

    ``translations`` are ``{"de": {"title", "description"}}``: a language that is given says nothing
    else any more, one that is null or without a text is removed, the others stay.
    """

    title: Title = ""
    description: Description = ""
    slug: Slug = ""
    tool_type: Name = ""
    is_active: bool = False
    is_featured: bool = False
    thumbnail: UUID | None = None
    translations: dict[str, Words | None] = Field(default_factory=dict)
    updated_at: datetime | None = None


class AdminTool(CamelModel):
    """A tool as admins see it. ``prices`` are whole credits by step, in the steps' order."""

    id: UUID
    slug: str
    title: str
    description: str
    translations: dict[str, Words]
    implementation: str
    tool_type: str
    tool_type_name: str
    thumbnail: UUID | None
    thumbnail_url: str | None
    is_active: bool
    is_featured: bool
    usage_count: int
    prices: dict[str, int]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, tool: Tool) -> AdminTool:
        return cls(
            id=tool.id,
            slug=tool.slug,
            title=tool.title,
            description=tool.description,
            translations=tool.translations,
            implementation=tool.implementation,
            tool_type=tool.tool_type.name,
            tool_type_name=tool.tool_type.display_name,
            thumbnail=UUID(tool.thumbnail) if tool.thumbnail else None,
            thumbnail_url=media_url(tool.thumbnail),
            is_active=tool.is_active,
            is_featured=tool.is_featured,
            usage_count=tool.usage_count,
            prices=service.prices_of(tool),
            created_at=tool.created_at,
            updated_at=tool.updated_at,
        )


class ConfigChange(CamelModel):
    """A whole configuration, and the tool's ``updatedAt`` it was read with."""

    config: dict[str, Any]
    updated_at: datetime


class ConfigView(CamelModel):
    """What is configured now, and what could be."""

    config: dict[str, Any]
    updated_at: datetime
    form: ToolForm


@get("/")
async def list_tools(
    resources: NamedDependency[Resources],
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    limit: FromQuery[int] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[AdminTool]:
    """Every tool, newest first."""
    async with resources.db.transaction() as session:
        found, next_cursor = await admin.tools(session, q=q, limit=limit, cursor=cursor)
    return Page[AdminTool](items=[AdminTool.of(each) for each in found], next_cursor=next_cursor)


@post("/")
async def add_tool(
    resources: NamedDependency[Resources], user: NamedDependency[User], data: JSONBody[NewTool]
) -> AdminTool:
    """Add a tool. It is not offered until somebody switches it on."""
    async with resources.db.transaction() as session:
        made = await admin.create(session, **data.model_dump())
        told = {"slug": made.slug, "implementation": made.implementation}
        await _record(session, user, "tool.created", made.id, told)
        return AdminTool.of(made)


@get("/{tool_id:uuid}")
async def show_tool(resources: NamedDependency[Resources], tool_id: FromPath[UUID]) -> AdminTool:
    """One tool, offered or not."""
    async with resources.db.transaction() as session:
        return AdminTool.of(await admin.tool(session, tool_id))


@patch("/{tool_id:uuid}")
async def change_tool(
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    tool_id: FromPath[UUID],
    data: JSONBody[ToolChanges],
) -> AdminTool:
    """Change what is named and nothing else."""
    changes = {name: getattr(data, name) for name in data.model_fields_set - {"updated_at"}}
    async with resources.db.transaction() as session:
        changed = await admin.change(session, tool_id, changes, data.updated_at)
        told = data.model_dump(
            mode="json",
            by_alias=True,
            exclude_unset=True,
            exclude={"updated_at", "description", "translations"},
        )
        action = "tool.switched" if changes.keys() <= admin.SWITCHES else "tool.saved"
        await _record(session, user, action, tool_id, {"tool": changed.slug, **told})
        return AdminTool.of(changed)


@get("/{tool_id:uuid}/config")
async def show_config(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    tool_id: FromPath[UUID],
) -> ConfigView:
    """A tool's configuration, with everything its form is drawn from."""
    async with resources.db.transaction() as session:
        return await _config_view(session, tool_id, request_locale(request))


@put("/{tool_id:uuid}/config")
async def save_config(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    tool_id: FromPath[UUID],
    data: JSONBody[ConfigChange],
) -> ConfigView:
    """Replace a tool's configuration; tasks that wait keep the one they were priced by."""
    async with resources.db.transaction() as session:
        await service.configure(
            session,
            tool_id,
            data.config,
            more_models=await providers.more_models(session),
            read_at=data.updated_at,
        )
        tool = await admin.tool(session, tool_id)
        told = {"tool": tool.slug, "prices": service.prices_of(tool)}
        await _record(session, user, "tool.configured", tool_id, told)
        return await _config_view(session, tool_id, request_locale(request))


async def _record(
    session: AsyncSession, user: User, action: str, tool_id: UUID, data: dict[str, Any]
) -> None:
    await audit.record(
        session,
        actor_id=user.id,
        action=action,
        subject_type="tool",
        subject_id=tool_id,
        data=data,
    )


async def _config_view(session: AsyncSession, tool_id: UUID, locale: str) -> ConfigView:
    tool = await admin.tool(session, tool_id)
    form = tool_form(tool, await providers.every(session), locale)
    return ConfigView(config=tool.config, updated_at=tool.updated_at, form=form)


router = Router(
    "/tools",
    route_handlers=[list_tools, add_tool, show_tool, change_tool, show_config, save_config],
)
