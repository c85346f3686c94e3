"""The shelf: what is offered, at which price, and what an admin's change survives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog import seed, service, shelf
from funmagic.catalog.models import Tool, ToolType
from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.db import Database
from funmagic.core.errors import Invalid, NotFound
from funmagic.core.ids import new_id


async def change(db: Database, assignment: str, **values: Any) -> None:
    async with db.transaction() as s:
        await s.execute(
            text(f"UPDATE tools SET {assignment} WHERE slug = 'background-remove'"), values
        )


async def on_offer(s: AsyncSession) -> set[str]:
    return {card.slug for card in (await shelf.page(s, CatalogQuery(limit=100))).cards}


LOCALLY = {"provider": "local", "model": "u2netp"}


async def test_the_seeded_tool_is_on_offer(db: Database) -> None:
    async with db.transaction() as s:
        tool = await service.tool_by_slug(s, "background-remove")
        assert "background-remove" in await on_offer(s)
    assert (tool.implementation, tool.tool_type) == ("background-remove", "photo")
    assert tool.price_credits == {"remove": 5}
    assert tool.step_price("remove") == 5
    assert [choice.provider for choice in tool.step("remove").providers] == ["local"]
    assert tool.features == tool.plugin.features


@pytest.mark.parametrize("slug", ["", "no-such-tool", "Background-Remove", "background-remove "])
async def test_an_unknown_slug_is_not_found(db: Database, slug: str) -> None:
    async with db.transaction() as s:
        with pytest.raises(NotFound):
            await service.tool_by_slug(s, slug)


@pytest.mark.hazard("M1")
@pytest.mark.parametrize("step_id", ["", "erase", "Remove", "remove "])
async def test_an_unknown_step_has_no_price_at_all(db: Database, step_id: str) -> None:
    async with db.transaction() as s:
        tool = await service.tool_by_slug(s, "background-remove")
    with pytest.raises(NotFound):
        tool.step_price(step_id)


@pytest.mark.hazard("M1")
async def test_a_step_only_in_the_stored_configuration_has_no_price(db: Database) -> None:
    await change(
        db,
        "config = jsonb_set(config, '{steps,ghost}', CAST(:ghost AS jsonb))",
        ghost=json.dumps({"priceCredits": 0, "providers": [LOCALLY]}),
    )
    async with db.transaction() as s:
        tool = await service.tool_by_slug(s, "background-remove")
    assert tool.step_price("remove") == 5
    with pytest.raises(NotFound):
        tool.step_price("ghost")


@pytest.mark.hazard("M16")
async def test_a_tool_taken_off_the_shelf_is_not_found(db: Database) -> None:
    await change(db, "is_active = false")
    async with db.transaction() as s:
        with pytest.raises(NotFound):
            await service.tool_by_slug(s, "background-remove")
        offered = await on_offer(s)
    assert "background-remove" not in offered
    assert "figme" in offered


@pytest.mark.hazard("M16")
async def test_a_tool_of_a_type_taken_off_the_shelf_is_not_found(db: Database) -> None:
    async with db.transaction() as s:
        await s.execute(text("UPDATE tool_types SET is_active = false WHERE name = 'photo'"))
    async with db.transaction() as s:
        with pytest.raises(NotFound):
            await service.tool_by_slug(s, "background-remove")
        offered = await on_offer(s)
    assert "background-remove" not in offered
    assert "figme" in offered


async def test_a_tool_whose_plug_in_is_gone_is_not_on_offer(db: Database) -> None:
    await change(db, "implementation = 'removed-in-2031'")
    async with db.transaction() as s:
        with pytest.raises(NotFound):
            await service.tool_by_slug(s, "background-remove")
        offered = await on_offer(s)
    assert "background-remove" not in offered
    assert "figme" in offered


async def test_one_plug_in_may_stand_behind_several_tools(db: Database) -> None:
    async with db.transaction() as s:
        first = (await s.scalars(select(Tool).where(Tool.slug == "background-remove"))).one()
        s.add(
            Tool(
                slug="product-photos",
                implementation=first.implementation,
                tool_type_id=first.tool_type_id,
                title="Another name",
                description="For shops.",
                config={"steps": {"remove": {"priceCredits": 9, "providers": [LOCALLY]}}},
            )
        )
    async with db.transaction() as s:
        cards = (await shelf.page(s, CatalogQuery())).cards
    prices = {card.slug: card.price_credits for card in cards}
    assert (prices["background-remove"], prices["product-photos"]) == (5, 9)


async def test_a_new_price_is_stored_whole_or_not_at_all(db: Database) -> None:
    async with db.transaction() as s:
        tool = await service.tool_by_slug(s, "background-remove")
    step = {"priceCredits": 7, "providers": [LOCALLY]}
    async with db.transaction() as s:
        await service.configure(s, tool.id, {"steps": {"remove": step}})
    async with db.transaction() as s:
        assert (await service.tool_by_slug(s, "background-remove")).step_price("remove") == 7
        with pytest.raises(Invalid):
            await service.configure(s, tool.id, {"steps": {"remove": step | {"priceCredits": -7}}})
    async with db.transaction() as s:
        assert (await service.tool_by_slug(s, "background-remove")).step_price("remove") == 7
        with pytest.raises(NotFound):
            await service.configure(s, new_id(), {"steps": {"remove": step}})


async def test_seeding_again_leaves_an_admins_change(db: Database) -> None:
    await change(
        db,
        "title = 'Ours', is_active = true, config = jsonb_set(config, :path, '8')",
        path=["steps", "remove", "priceCredits"],
    )
    async with db.transaction() as s:
        await s.execute(text("UPDATE tool_types SET display_name = 'Pictures'"))
        await seed.seed(s)
        await seed.seed(s)
    async with db.transaction() as s:
        tool = await service.tool_by_slug(s, "background-remove")
        assert (tool.title, tool.step_price("remove")) == ("Ours", 8)
        assert set(await s.scalars(select(ToolType.display_name))) == {"Pictures"}


@pytest.mark.parametrize(
    "assignment",
    [
        "slug = 'Two Words'",
        "slug = '../etc'",
        "slug = ''",
        "slug = repeat('a', 81)",
        "config = '{}'",
        "config = '[]'",
        "usage_count = -1",
    ],
)
async def test_the_database_refuses_what_cannot_be(db: Database, assignment: str) -> None:
    with pytest.raises(IntegrityError):
        await change(db, assignment)
