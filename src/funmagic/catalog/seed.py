"""The tools a fresh installation offers. Rows that exist are left as their admin wants them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog import config
from funmagic.core.ids import new_id
from funmagic.toolkit import discovery

TOOL_TYPES = (
    ("photo", "Photo", 10),
    ("3d", "3D", 20),
)

REMOVE_LOCALLY = {
    "priceCredits": 5,
    "providers": [{"provider": "local", "model": "u2netp"}],
}
REMOVE_BY_FAL = {
    "priceCredits": 5,
    "providers": [{"provider": "fal", "model": "fal-ai/bria/background/remove"}],
}

# (name, what makes it), in the words a drawing model understands.
STYLES = (
    ("Pencil", "A fine graphite pencil drawing on white paper, hatched shadows."),
    ("Watercolour", "A loose watercolour: light washes, bleeding edges, rough white paper."),
    ("Oil painting", "An oil painting with visible brush strokes and warm light."),
    ("Comic", "A comic book panel: bold ink outlines, flat colours, halftone shadows."),
    ("Pop art", "A pop art print in a few loud colours."),
    ("Engraving", "An old engraving: fine parallel lines, toned paper."),
    ("Impressionist", "An impressionist painting: dabs of colour, flickering light."),
    ("Woodblock", "A Japanese woodblock print: flat colours, clear outlines."),
)
DRAW = {
    "styles": [
        {"slug": name.lower().replace(" ", "-"), "name": name, "prompt": prompt}
        for name, prompt in STYLES
    ]
}
DRAW_LOCALLY = {
    "priceCredits": 20,
    "providers": [{"provider": "local", "model": "styletransfer"}],
    "settings": DRAW,
}
SHAPE_LOCALLY = {"priceCredits": 30, "providers": [{"provider": "local", "model": "relief"}]}
DRAW_BY_OPENAI = {**DRAW_LOCALLY, "providers": [{"provider": "openai", "model": "gpt-image-1.5"}]}
SHAPE_BY_TRIPO = {
    "priceCredits": 30,
    "providers": [{"provider": "tripo", "model": "v3.1-20260211"}],
}

# slug, implementation, tool type, configuration, configuration where vendors are simulated
TOOLS: tuple[tuple[str, str, str, dict[str, Any], dict[str, Any]], ...] = (
    (
        "background-remove",
        "background-remove",
        "photo",
        {"steps": {"remove": REMOVE_LOCALLY}},
        {"steps": {"remove": REMOVE_BY_FAL}},
    ),
    (
        "figme",
        "figme",
        "3d",
        {"steps": {"image-gen": DRAW_LOCALLY, "3d-gen": SHAPE_LOCALLY}},
        {"steps": {"image-gen": DRAW_BY_OPENAI, "3d-gen": SHAPE_BY_TRIPO}},
    ),
)

ADD_TOOL_TYPE = text("""
    INSERT INTO tool_types (id, name, display_name, sort_order)
    VALUES (:id, :name, :display_name, :sort_order)
    ON CONFLICT (name) DO NOTHING
""")

ADD_TOOL = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, is_featured,
                       config)
    SELECT :id, :slug, :implementation, tool_types.id, :title, :description, true, :config
      FROM tool_types
     WHERE tool_types.name = :tool_type
    ON CONFLICT (slug) DO NOTHING
""").bindparams(bindparam("config", type_=JSONB))


async def seed(s: AsyncSession, *, simulated: bool = False) -> None:
    """Add the tool types and tools that are missing. Safe to repeat.

    With ``simulated`` new tools use the simulated vendors.
    """
    for name, display_name, sort_order in TOOL_TYPES:
        await s.execute(
            ADD_TOOL_TYPE,
            {
                "id": new_id(),
                "name": name,
                "display_name": display_name,
                "sort_order": sort_order,
            },
        )
    for slug, implementation, tool_type, usual, by_simulators in TOOLS:
        plugin = discovery.tool(implementation)
        checked = config.check(plugin, by_simulators if simulated else usual)
        await s.execute(
            ADD_TOOL,
            {
                "id": new_id(),
                "slug": slug,
                "implementation": implementation,
                "tool_type": tool_type,
                "title": plugin.title,
                "description": plugin.description,
                "config": checked.model_dump(mode="json", by_alias=True),
            },
        )
