"""Reading and writing the catalog: what is on offer, at what price, done by whom."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from funmagic.catalog.config import StepConfig, ToolConfig, check, parse
from funmagic.catalog.models import Tool, ToolType
from funmagic.core.errors import Invalid, NotFound
from funmagic.core.i18n import N_
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Tool as Plugin

# A catalog larger than this is paged by query.
ACTIVE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool on offer together with its plug-in. Prices are whole credits."""

    id: UUID
    slug: str
    implementation: str
    title: str
    description: str
    thumbnail: str | None
    tool_type: str
    is_active: bool
    is_featured: bool
    usage_count: int
    config: ToolConfig
    config_json: str  # as it is stored; equal as JSON, not letter by letter
    plugin: Plugin

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


_remembered: dict[str, ToolRow] = {}  # by slug, at most ACTIVE_LIMIT


async def tool_by_slug(s: AsyncSession, slug: str) -> ToolRow:
    """An active tool of an active type. Raises :class:`NotFound`."""
    query = _offered().where(Tool.slug == slug)
    tool = (await s.scalars(query)).one_or_none()
    row = tool and _row(tool)
    if not row:
        _remembered.pop(slug, None)
        raise NotFound()
    if len(_remembered) >= ACTIVE_LIMIT:
        _remembered.clear()
    _remembered[slug] = row
    return row


def remembered(slug: str) -> ToolRow | None:
    """The tool as this process last read it, perhaps outdated by now.

    Only for a caller whose own statement makes sure that ``id`` is still on offer with the same
    ``config``, and who reads it anew where it is not.
    """
    return _remembered.get(slug)


async def active_tools(s: AsyncSession, *, limit: int = ACTIVE_LIMIT) -> list[ToolRow]:
    """At most ``limit`` active tools, featured first, then by title."""
    query = (
        _offered()
        .order_by(Tool.is_featured.desc(), Tool.title, Tool.id)
        .limit(min(limit, ACTIVE_LIMIT))
    )
    rows = (_row(tool) for tool in await s.scalars(query))
    return [row for row in rows if row is not None]


async def configure(s: AsyncSession, tool_id: UUID, config: Mapping[str, Any]) -> ToolConfig:
    """Replace a tool's configuration. Raises :class:`NotFound`, :class:`Invalid`."""
    implementation = await s.scalar(select(Tool.implementation).where(Tool.id == tool_id))
    if implementation is None:
        raise NotFound()
    checked = check(_plugin(implementation), config)
    stored = checked.model_dump(mode="json", by_alias=True)
    await s.execute(update(Tool).where(Tool.id == tool_id).values(config=stored))
    return checked


def _offered() -> Any:
    return (
        select(Tool)
        .join(Tool.tool_type)
        .where(Tool.is_active, ToolType.is_active)
        .options(joinedload(Tool.tool_type))
    )


def _plugin(implementation: str) -> Plugin:
    try:
        return discovery.tool(implementation)
    except KeyError:
        raise Invalid(fields={"implementation": N_("There is no such implementation.")}) from None


def _row(tool: Tool) -> ToolRow | None:
    """None where this release has no such plug-in (any more): the tool is not offered."""
    try:
        plugin = discovery.tool(tool.implementation)
    except KeyError:
        return None
    return ToolRow(
        id=tool.id,
        slug=tool.slug,
        implementation=tool.implementation,
        title=tool.title,
        description=tool.description,
        thumbnail=tool.thumbnail,
        tool_type=tool.tool_type.name,
        is_active=tool.is_active,
        is_featured=tool.is_featured,
        usage_count=tool.usage_count,
        config=parse(tool.config),
        config_json=json.dumps(tool.config),
        plugin=plugin,
    )
