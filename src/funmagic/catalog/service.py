"""Reading and writing the catalog: what is on offer, at what price, done by whom."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from funmagic.assets import media
from funmagic.catalog.config import StepConfig, ToolConfig, check, fitting, parse
from funmagic.catalog.models import SLUG, Tool, ToolType
from funmagic.core.errors import Conflict, Invalid, NotFound
from funmagic.core.i18n import N_
from funmagic.core.log import logger
from funmagic.core.translations import Translations, text_in
from funmagic.jobs import editions
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Tool as Plugin
from funmagic.toolkit.schema import media_in

log = logger(__name__)

REMEMBERED_LIMIT = 500

NO_PICTURE = N_("This picture is not there any more. Please upload it again.")


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool on offer together with its plug-in. Prices are whole credits."""

    id: UUID
    slug: str
    implementation: str
    title: str
    description: str
    translations: Translations
    thumbnail: str | None
    tool_type: str
    is_active: bool
    is_featured: bool
    usage_count: int
    config: ToolConfig
    config_json: str  # as it is stored; equal as JSON, not letter by letter

    @property
    def plugin(self) -> Plugin:
        """Looked up, so that a row can be kept as plain values."""
        return discovery.tool(self.implementation)

    def title_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "title", self.title)

    def description_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "description", self.description)

    @property
    def features(self) -> tuple[str, ...]:
        return self.plugin.features

    @property
    def price_credits(self) -> dict[str, int]:
        """What each step costs, in the order the steps are run."""
        return {step.id: self.step_price(step.id) for step in self.plugin.steps}

    def step(self, step_id: str) -> StepConfig:
        """A step's configuration. Raises :class:`NotFound`: an unknown step has no price at all."""
        if step_id not in self.config.steps or self.plugin.step(step_id) is None:
            raise NotFound()
        return self.config.steps[step_id]

    def step_price(self, step_id: str) -> int:
        return self.step(step_id).price_credits


_remembered: dict[str, ToolRow] = {}  # by slug, at most REMEMBERED_LIMIT
_told: set[UUID] = set()  # tools whose configuration was found broken, at most REMEMBERED_LIMIT


async def tool_by_slug(s: AsyncSession, slug: str, *, hidden_too: bool = False) -> ToolRow:
    """An active tool of an active type, or any with ``hidden_too``. Raises :class:`NotFound`.

    Whether somebody may see a hidden one is the caller's to know.
    """
    _check_slug(slug)
    if hidden_too:
        return await _any_by_slug(s, slug)
    query = _offered().where(Tool.slug == slug)
    tool = (await s.scalars(query)).one_or_none()
    row = tool and _row(tool)
    if not row:
        _remembered.pop(slug, None)
        raise NotFound()
    if len(_remembered) >= REMEMBERED_LIMIT:
        _remembered.clear()
    _remembered[slug] = row
    return row


def _check_slug(slug: str) -> None:
    """Raises :class:`NotFound` for what no tool can be called. The database is not asked: of what
    an address may hold, such as a NUL, it does not take everything."""
    if re.fullmatch(SLUG, slug) is None:
        raise NotFound()


async def _any_by_slug(s: AsyncSession, slug: str) -> ToolRow:
    query = select(Tool).where(Tool.slug == slug).options(joinedload(Tool.tool_type))
    tool = (await s.scalars(query)).one_or_none()
    row = tool and _row(tool)
    if not row:
        raise NotFound()
    return row


async def slug_of(s: AsyncSession, tool_id: UUID) -> str:
    """What a tool is called today, offered or not. Raises :class:`NotFound`."""
    slug = await s.scalar(select(Tool.slug).where(Tool.id == tool_id))
    if slug is None:
        raise NotFound()
    return slug


async def id_of(s: AsyncSession, slug: str) -> UUID:
    """The tool of this slug, offered or not. Raises :class:`NotFound`."""
    _check_slug(slug)
    tool_id = await s.scalar(select(Tool.id).where(Tool.slug == slug))
    if tool_id is None:
        raise NotFound()
    return tool_id


def remembered(slug: str) -> ToolRow | None:
    """The tool as this process last read it, perhaps outdated by now.

    Only for a caller whose own statement makes sure that ``id`` is still on offer with the same
    ``config``, and who reads it anew where it is not.
    """
    return _remembered.get(slug)


async def titles(s: AsyncSession, tool_ids: Collection[UUID], locale: str) -> dict[UUID, str]:
    """What these tools, offered or not, are called in ``locale``."""
    columns = (Tool.id, Tool.title, Tool.translations)
    found = await s.execute(select(*columns).where(Tool.id.in_(tool_ids)))
    return {row.id: text_in(row.translations, locale, "title", row.title) for row in found}


def prices_of(tool: Tool) -> dict[str, int]:
    """What each configured step costs, in the order the steps are run; unknown ones last.

    Nothing where what is stored cannot be read.
    """
    try:
        stored = parse(tool.config).steps
    except Invalid:
        return {}
    try:
        order = [step.id for step in discovery.tool(tool.implementation).steps]
    except KeyError:
        order = []
    known = [name for name in order if name in stored]
    return {name: stored[name].price_credits for name in dict.fromkeys([*known, *stored])}


async def configure(
    s: AsyncSession,
    tool_id: UUID,
    config: Mapping[str, Any],
    *,
    more_models: Mapping[str, Collection[str]] | None = None,
    read_at: datetime | None = None,
) -> ToolConfig:
    """Replace a tool's configuration, and mark the pictures it names as used.

    ``read_at`` is the tool's ``updated_at`` as the writer saw it. Raises :class:`NotFound`,
    :class:`Invalid`, and :class:`Conflict` where somebody else has changed the tool since.
    """
    query = select(Tool.implementation, Tool.updated_at).where(Tool.id == tool_id)
    found = (await s.execute(query.with_for_update())).one_or_none()
    if found is None:
        raise NotFound()
    if read_at is not None and found.updated_at != read_at:
        raise Conflict()
    plugin = plugin_of(found.implementation)
    checked = check(plugin, config, more_models)
    await _refer_to_media(s, plugin, checked)
    stored = checked.model_dump(mode="json", by_alias=True)
    changes = {"config": stored, "updated_at": func.clock_timestamp()}
    await s.execute(update(Tool).where(Tool.id == tool_id).values(**changes))
    await editions.bump(s)
    return checked


async def _refer_to_media(s: AsyncSession, plugin: Plugin, config: ToolConfig) -> None:
    named = {
        f"steps.{step.id}.settings.{place}": asset_id
        for step in plugin.steps
        for place, asset_id in media_in(
            step.settings_model.model_validate(config.steps[step.id].settings)
        ).items()
    }
    there = await media.refer_to(s, named.values())
    fields = {place: NO_PICTURE for place, asset_id in named.items() if asset_id not in there}
    if fields:
        raise Invalid(fields=fields)


def _offered() -> Any:
    return (
        select(Tool)
        .join(Tool.tool_type)
        .where(Tool.is_active, ToolType.is_active)
        .options(joinedload(Tool.tool_type))
    )


def is_broken(tool: Tool) -> bool:
    """Whether what is stored does not fit this release, so that the tool cannot be offered."""
    try:
        fitting(plugin_of(tool.implementation), tool.config)
    except Invalid:
        return True
    return False


def plugin_of(implementation: str) -> Plugin:
    """The plug-in of this release. Raises :class:`Invalid`."""
    try:
        return discovery.tool(implementation)
    except KeyError:
        raise Invalid(fields={"implementation": N_("There is no such implementation.")}) from None


def _row(tool: Tool) -> ToolRow | None:
    """None where this release has no such plug-in (any more), or what is stored does not fit it:
    the tool is not offered, and the others are."""
    try:
        plugin = discovery.tool(tool.implementation)
    except KeyError:
        return None
    try:
        config = fitting(plugin, tool.config)
    except Invalid as error:
        _tell_once(tool, error)
        return None
    return ToolRow(
        id=tool.id,
        slug=tool.slug,
        implementation=tool.implementation,
        title=tool.title,
        description=tool.description,
        translations=tool.translations,
        thumbnail=tool.thumbnail,
        tool_type=tool.tool_type.name,
        is_active=tool.is_active,
        is_featured=tool.is_featured,
        usage_count=tool.usage_count,
        config=config,
        config_json=json.dumps(tool.config),
    )


def _tell_once(tool: Tool, error: Invalid) -> None:
    if tool.id in _told:
        return
    if len(_told) >= REMEMBERED_LIMIT:
        _told.clear()
    _told.add(tool.id)
    log.error("tool is broken and not offered", slug=tool.slug, fields=sorted(error.fields))
