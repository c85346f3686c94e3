"""A process remembers the tools it has read; what it remembers is never what counts."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.runs import PRICE_CREDITS, create
from tests.uploads import describe, upload

from funmagic.core.resources import Resources

NEW_PRICE = text("""
    UPDATE tools SET config = jsonb_set(config, '{steps,remove,priceCredits}', '7')
""")
HELD = text("SELECT amount FROM credit_holds ORDER BY opened_at")
TASKS = text("SELECT count(*) FROM tasks")


async def held(resources: Resources) -> list[int]:
    async with resources.db.transaction() as session:
        return list((await session.execute(HELD)).scalars())


@pytest.mark.hazard("M16")
async def test_a_price_that_changed_since_is_the_one_that_counts(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        assert (await create(browser, photo, expectedCredits=5)).json()["credits"] == 5
        async with resources.db.transaction() as session:
            await session.execute(NEW_PRICE)
        outdated = await create(browser, photo, expectedCredits=5)
        assert outdated.status_code == 409
        assert "7 credits" in outdated.json()["error"]["message"]
        assert (outdated.json()["error"]["type"], outdated.json()["error"]["credits"]) == (
            "price_changed",
            7,
        )
        assert (await create(browser, photo, expectedCredits=7)).json()["credits"] == 7
        async with resources.db.transaction() as session:
            await session.execute(
                text(
                    "UPDATE tools SET config = jsonb_set(config, "
                    "'{steps,remove,priceCredits}', '9')"
                )
            )
        assert (await create(browser, photo)).json()["credits"] == 9
    assert await held(resources) == [5, 7, 9]


@pytest.mark.hazard("M16")
@pytest.mark.parametrize("table", ["tools", "tool_types"])
async def test_a_tool_taken_away_since_is_not_found(
    table: str, site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        assert (await create(browser, photo)).status_code == 201
        async with resources.db.transaction() as session:
            await session.execute(text(f"UPDATE {table} SET is_active = false"))
        assert (await create(browser, photo)).status_code == 404
    assert await held(resources) == [5]


@pytest.mark.hazard("M16")
async def test_a_tool_deleted_since_is_not_found_whatever_price_is_expected(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        assert (await create(browser, photo, expectedCredits=4)).status_code == 409, "remembered"
        async with resources.db.transaction() as session:
            await session.execute(text("DELETE FROM tools WHERE slug = 'background-remove'"))
        for expected in (4, None, PRICE_CREDITS):
            answer = await create(browser, photo, expectedCredits=expected)
            assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
    assert await held(resources) == []


@pytest.mark.hazard("A2")
async def test_a_file_that_is_not_ones_own_or_not_there_yet_starts_nothing(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    ada, cy = await make_user(), await make_user("cy@example.com")
    async with site.browser(ada) as browser, site.browser(cy) as stranger:
        photo = await upload(browser, astronaut)
        assert (await create(browser, photo)).status_code == 201
        assert (await create(stranger, photo)).status_code == 404
        promised = (await describe(browser, size=10)).json()["metadata"]["assetId"]
        assert (await create(browser, promised)).status_code == 404
    assert await held(resources) == [5]
    async with resources.db.transaction() as session:
        assert await session.scalar(TASKS) == 1


@pytest.mark.hazard("M15")
async def test_a_key_used_before_answers_with_the_first_task_whatever_changed_since(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        first = await create(browser, photo, key="k", expectedCredits=5)
        async with resources.db.transaction() as session:
            await session.execute(NEW_PRICE)
        again = await create(browser, photo, key="k", expectedCredits=5)
        assert again.status_code == 201
        assert again.json()["taskId"] == first.json()["taskId"]
        assert again.json()["credits"] == 5
        assert (await create(browser, photo, key="k", expectedCredits=6)).status_code == 409
    assert await held(resources) == [5]
