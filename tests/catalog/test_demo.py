"""A fresh demonstration shows what each style looks like; what an admin changed is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.conftest import Site

from funmagic import seed
from funmagic.core.resources import Resources

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
