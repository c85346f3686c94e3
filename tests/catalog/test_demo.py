"""A fresh demonstration shows what each style looks like; what an admin changed is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.conftest import Site

from funmagic import seed
from funmagic.catalog import shelf
from funmagic.content import service as content
from funmagic.core.clock import now
from funmagic.core.resources import Resources
from funmagic.web.pictures import banner_picture, picture_for

FORGET = text("DELETE FROM tools WHERE slug = 'figme'")


async def styles(resources: Resources) -> list[dict[str, Any]]:
    async with resources.db.transaction() as session:
        config = await session.scalar(text("SELECT config FROM tools WHERE slug = 'figme'"))
    return list(config["steps"]["image-gen"]["settings"]["styles"])


async def test_every_style_has_a_picture_anybody_can_see(site: Site, resources: Resources) -> None:
    offered = await styles(resources)
    assert len(offered) == 8
    async with site.browser() as browser:
        for style in offered:
            assert style["useImage"] is False
            answer = await browser.get(f"/media/{UUID(style['image'])}", follow_redirects=True)
            assert answer.status_code == 200, style
            assert answer.headers["content-type"] == "image/webp"


CHOICES = [
    ("art-styles", "paint", "styles", 8),
    ("studio-backdrop", "studio", "backdrops", 8),
    ("cutout-sticker", "sticker", "borders", 6),
    ("id-photo", "id-photo", "formats", 3),
    ("id-photo", "id-photo", "backgrounds", 3),
]


async def test_every_tool_shows_what_there_is_to_choose_from(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        found = await session.execute(text("SELECT slug, config FROM tools"))
        configs: dict[str, Any] = {row.slug: row.config for row in found}
        stored = set(await session.scalars(text("SELECT id::text FROM assets")))
    for slug, step, choices, number in CHOICES:
        offered = configs[slug]["steps"][step]["settings"][choices]
        assert len(offered) == number
        assert {choice["image"] for choice in offered} <= stored, slug


async def test_the_shelf_is_worth_looking_at(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        cards = (await shelf.page(session, shelf.CatalogQuery())).cards
        kinds = await shelf.kinds(session)
        board = await content.current(session, now())
    assert len(cards) >= 8
    assert len([kind for kind in kinds if kind.tool_count]) == 3
    assert len(board.main) == 2
    assert board.side
    for banner in (*board.main, *board.side):
        assert banner_picture(banner.picture) is not None
        assert banner.link.removeprefix("/tools/") in {card.slug for card in cards}
    for card in cards:
        picture = picture_for(card.implementation, card.thumbnail)
        assert picture is not None, card.slug
        assert [source.type for source in picture.sources] == ["image/avif", "image/webp"]


async def test_planting_again_changes_no_picture(resources: Resources) -> None:
    before = await styles(resources)
    await seed.run(resources)
    assert await styles(resources) == before


async def test_in_production_nobody_owns_them(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        await session.execute(FORGET)
    settings = resources.settings.model_copy(update={"funmagic_env": "production"})
    await seed.run(replace(resources, settings=settings))
    assert [style.get("image") for style in await styles(resources)] == [None] * 8
