"""The tools a fresh installation offers. Rows that exist are left as their admin wants them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog import config
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.jobs import editions
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Tool

TOOL_TYPES = (
    ("photo", N_("Photo"), 10),
    ("art", N_("Art"), 15),
    ("3d", N_("3D"), 20),
)

CUT_LOCALLY = [{"provider": "local", "model": "u2netp"}]
CUT_BY_FAL = [{"provider": "fal", "model": "fal-ai/bria/background/remove"}]
DRAW_LOCALLY = [{"provider": "local", "model": "styletransfer"}]
DRAW_BY_OPENAI = [{"provider": "openai", "model": "gpt-image-1.5"}]
SHAPE_LOCALLY = [{"provider": "local", "model": "relief"}]
SHAPE_BY_TRIPO = [{"provider": "tripo", "model": "v3.1-20260211"}]

# (name, what makes it), in the words a drawing model understands.
STYLES = (
    (N_("Pencil"), "A fine graphite pencil drawing on white paper, hatched shadows."),
    (N_("Watercolour"), "A loose watercolour: light washes, bleeding edges, rough white paper."),
    (N_("Oil painting"), "An oil painting with visible brush strokes and warm light."),
    (N_("Comic"), "A comic book panel: bold ink outlines, flat colours, halftone shadows."),
    (N_("Pop art"), "A pop art print in a few loud colours."),
    (N_("Engraving"), "An old engraving: fine parallel lines, toned paper."),
    (N_("Impressionist"), "An impressionist painting: dabs of colour, flickering light."),
    (N_("Woodblock"), "A Japanese woodblock print: flat colours, clear outlines."),
)
STYLE_CHOICES = {
    "styles": [
        {"slug": name.lower().replace(" ", "-"), "name": name, "prompt": prompt}
        for name, prompt in STYLES
    ]
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool on offer under its implementation's key, at its plug-in's prices.

    ``usual`` and ``simulated`` are each step's providers, in the order of the steps; ``settings``
    are of the first step.
    """

    key: str
    tool_type: str
    usual: tuple[list[dict[str, str]], ...]
    simulated: tuple[list[dict[str, str]], ...]
    settings: dict[str, Any] = field(default_factory=dict)
    is_featured: bool = True


def _cut(key: str, tool_type: str = "photo", *, is_featured: bool = True) -> Offer:
    return Offer(key, tool_type, (CUT_LOCALLY,), (CUT_BY_FAL,), is_featured=is_featured)


TOOLS: tuple[Offer, ...] = (
    _cut("background-remove"),
    Offer(
        "figme",
        "3d",
        (DRAW_LOCALLY, SHAPE_LOCALLY),
        (DRAW_BY_OPENAI, SHAPE_BY_TRIPO),
        STYLE_CHOICES,
    ),
    Offer("art-styles", "art", (DRAW_LOCALLY,), (DRAW_BY_OPENAI,)),
    _cut("studio-backdrop"),
    _cut("cutout-sticker", "art"),
    _cut("portrait-blur"),
    _cut("colour-pop"),
    Offer("photo-relief", "3d", (SHAPE_LOCALLY,), (SHAPE_BY_TRIPO,)),
    _cut("id-photo", is_featured=False),
)

ADD_TOOL_TYPE = text("""
    INSERT INTO tool_types (id, name, display_name, sort_order)
    VALUES (:id, :name, :display_name, :sort_order)
    ON CONFLICT (name) DO NOTHING
    RETURNING id
""")

ADD_TOOL = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, is_featured,
                       config)
    SELECT :id, :slug, :implementation, tool_types.id, :title, :description, :is_featured, :config
      FROM tool_types
     WHERE tool_types.name = :tool_type
    ON CONFLICT (slug) DO NOTHING
    RETURNING id
""").bindparams(bindparam("config", type_=JSONB))


async def seed(s: AsyncSession, *, simulated: bool = False) -> None:
    """Add the tool types and tools that are missing. Safe to repeat.

    With ``simulated`` new tools use the simulated vendors.
    """
    added = 0
    for name, display_name, sort_order in TOOL_TYPES:
        added += await _added(
            s, ADD_TOOL_TYPE, name=name, display_name=display_name, sort_order=sort_order
        )
    for offer in TOOLS:
        plugin = discovery.tool(offer.key)
        checked = config.check(plugin, _config(plugin, offer, simulated=simulated))
        added += await _added(
            s,
            ADD_TOOL,
            slug=offer.key,
            implementation=offer.key,
            tool_type=offer.tool_type,
            title=plugin.title,
            description=plugin.description,
            is_featured=offer.is_featured,
            config=checked.model_dump(mode="json", by_alias=True),
        )
    if added:
        await editions.bump(s)


def _config(plugin: Tool, offer: Offer, *, simulated: bool) -> dict[str, Any]:
    providers = offer.simulated if simulated else offer.usual
    first = plugin.steps[0].id
    return {
        "steps": {
            step.id: {
                "priceCredits": step.price_credits,
                "providers": chosen,
                "settings": offer.settings if step.id == first else {},
            }
            for step, chosen in zip(plugin.steps, providers, strict=True)
        }
    }


async def _added(s: AsyncSession, statement: TextClause, **values: Any) -> int:
    """How many rows the statement added: one, or none where the row was there."""
    result = await s.execute(statement, {"id": new_id(), **values})
    return len(result.all())
