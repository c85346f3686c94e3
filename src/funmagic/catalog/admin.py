"""What admins do to the catalog: add tools, change their words, offer them or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Executable, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from funmagic.assets import media
from funmagic.catalog.config import check
from funmagic.catalog.models import Tool, ToolType
from funmagic.catalog.service import NO_PICTURE, plugin_of
from funmagic.catalog.spoken import TRANSLATED, spoken
from funmagic.core.errors import Conflict, Invalid, NotFound
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.paging import DEFAULT_LIMIT, newest
from funmagic.core.translations import changed
from funmagic.jobs import editions
from funmagic.providers import registry
from funmagic.providers import service as providers
from funmagic.toolkit.contract import Step
from funmagic.toolkit.contract import Tool as Plugin

SLUG_TAKEN = N_("Another tool has this slug.")
UNKNOWN_TYPE = N_("There is no such type of tool.")
NOT_READY = N_("Finish this tool's configuration first.")

TEXTS: Final = frozenset({"title", "description", "slug"})
SWITCHES: Final = frozenset({"is_active", "is_featured"})


async def tools(
    s: AsyncSession, *, q: str = "", limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> tuple[list[Tool], str | None]:
    """Every tool, newest first, and the next page's cursor; ``q`` is part of title or slug.

    Raises :class:`Invalid`.
    """
    query = select(Tool).options(joinedload(Tool.tool_type))
    if words := q.strip():
        query = query.where(
            Tool.title.icontains(words, autoescape=True)
            | Tool.slug.icontains(words, autoescape=True)
        )
    return await newest(s, query, Tool.id, limit=limit, cursor=cursor)


async def tool(s: AsyncSession, tool_id: UUID, *, locked: bool = False) -> Tool:
    """One tool, offered or not. Raises :class:`NotFound`."""
    query = select(Tool).where(Tool.id == tool_id).options(joinedload(Tool.tool_type))
    found = (
        await s.scalars(
            (query.with_for_update(of=Tool) if locked else query).execution_options(
                populate_existing=True
            )
        )
    ).one_or_none()
    if found is None:
        raise NotFound()
    return found


async def tool_types(s: AsyncSession) -> list[ToolType]:
    """The kinds of tools there are, in the catalog's order."""
    query = select(ToolType).where(ToolType.is_active).order_by(ToolType.sort_order, ToolType.name)
    return list(await s.scalars(query.limit(100)))


async def create(
    s: AsyncSession,
    *,
    implementation: str,
    slug: str,
    title: str,
    description: str,
    tool_type: str,
) -> Tool:
    """Add a tool that is not offered yet, configured as its plug-in recommends.

    Raises :class:`Invalid` for an unknown implementation or type, :class:`Conflict` for a slug
    another tool has.
    """
    plugin = plugin_of(implementation)
    tool_id = new_id()
    values = {
        "id": tool_id,
        "slug": slug,
        "implementation": implementation,
        "title": title,
        "description": description,
        "translations": spoken(title, description),
        "tool_type_id": await _type_id(s, tool_type),
        "is_active": False,
        "config": await _recommended(s, plugin),
    }
    await _store(s, insert(Tool).values(**values))
    await editions.bump(s)
    return await tool(s, tool_id)


async def change(
    s: AsyncSession, tool_id: UUID, changes: Mapping[str, Any], read_at: datetime | None = None
) -> Tool:
    """Change what is named: :data:`TEXTS`, :data:`SWITCHES`, ``tool_type``, ``thumbnail``,
    ``translations`` (by language; those that are not named stay).

    A change of words moves ``updated_at``, which ``read_at`` (where given) must match; a switch
    does not: it collides with nothing. Raises :class:`NotFound`, :class:`Invalid`,
    :class:`Conflict`.
    """
    found = await tool(s, tool_id, locked=True)
    if read_at is not None and found.updated_at != read_at:
        raise Conflict()
    values = {name: value for name, value in changes.items() if name in TEXTS | SWITCHES}
    if "tool_type" in changes:
        values["tool_type_id"] = await _type_id(s, changes["tool_type"])
    if "thumbnail" in changes:
        values["thumbnail"] = await _picture(s, changes["thumbnail"])
    if "translations" in changes:
        given = changes["translations"]
        values["translations"] = changed(found.translations, given, TRANSLATED)
    if changes.get("is_active"):
        await _check_ready(s, found)
    is_switch = changes.keys() <= SWITCHES
    values["updated_at"] = Tool.updated_at if is_switch else func.clock_timestamp()
    await _store(s, update(Tool).where(Tool.id == tool_id).values(**values))
    await editions.bump(s)
    return await tool(s, tool_id)


async def _store(s: AsyncSession, statement: Executable) -> None:
    try:
        async with s.begin_nested():
            await s.execute(statement)
    except IntegrityError as error:
        if "uq_tools_slug" in str(error.orig):
            raise Conflict(SLUG_TAKEN, type="slug_taken", fields={"slug": SLUG_TAKEN}) from None
        raise


async def _type_id(s: AsyncSession, name: str) -> UUID:
    found = await s.scalar(select(ToolType.id).where(ToolType.name == name))
    if found is None:
        raise Invalid(fields={"toolType": UNKNOWN_TYPE})
    return found


async def _picture(s: AsyncSession, asset_id: UUID | None) -> str | None:
    if asset_id is None:
        return None
    if not await media.refer_to(s, [asset_id]):
        raise Invalid(fields={"thumbnail": NO_PICTURE})
    return str(asset_id)


async def _check_ready(s: AsyncSession, found: Tool) -> None:
    """What is offered must be able to run: every step configured, by models there are."""
    plugin = plugin_of(found.implementation)
    try:
        check(plugin, found.config, await providers.more_models(s))
    except Invalid as refusal:
        fields = {"isActive": NOT_READY, **refusal.fields}
        raise Invalid(NOT_READY, type="not_ready", fields=fields) from None


async def _recommended(s: AsyncSession, plugin: Plugin) -> dict[str, Any]:
    """Each step at its plug-in's price, done by whom it recommends or who is configured."""
    ready = [state.adapter.key for state in await providers.every(s) if state.is_configured]
    return {
        "steps": {
            step.id: {
                "priceCredits": step.price_credits,
                "providers": [_first_choice(step, ready)],
                "settings": step.settings_model().model_dump(mode="json", by_alias=True),
            }
            for step in plugin.steps
        }
    }


def _first_choice(step: Step, ready: list[str]) -> dict[str, Any]:
    if step.recommended_provider not in ready:
        for key in ready:
            offer = registry.adapter(key).offers.get(step.capability)
            if offer is not None:
                return {"provider": key, "model": offer.models[0], "options": {}}
    return {
        "provider": step.recommended_provider,
        "model": step.recommended_model,
        "options": {},
    }
