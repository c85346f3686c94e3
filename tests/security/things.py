"""What people own, made for them: through the front door where that is quick."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from sqlalchemy import text
from tests.security.house import House, Visitor
from tests.tasks.figures import draw, finish_drawing
from tests.tasks.runs import create
from tests.uploads import upload

from funmagic.core.ids import new_id

ADD_RESULT = text("""
    INSERT INTO assets (id, user_id, kind, source, status, storage_key, content_type, size_bytes,
                        file_name)
    VALUES (:id, :user_id, 'image', 'output', 'ready', 'outputs/' || :key, 'image/png', 10, 'a.png')
""")


async def photo(house: House, visitor: Visitor) -> str:
    """An uploaded photo, confirmed."""
    async with _browser(house, visitor) as browser:
        return str(await upload(browser, house.photo))


async def result(house: House, visitor: Visitor) -> str:
    """A file a tool made."""
    asset_id = new_id()
    async with house.resources.db.transaction() as session:
        await session.execute(
            ADD_RESULT, {"id": asset_id, "key": str(asset_id), "user_id": _user_id(visitor)}
        )
    return str(asset_id)


async def task(house: House, visitor: Visitor) -> str:
    """A task that waits for a worker."""
    async with _browser(house, visitor) as browser:
        made = await create(browser, await upload(browser, house.photo))
        assert made.status_code == 201, made.text
        return str(made.json()["taskId"])


async def ended_task(house: House, visitor: Visitor) -> str:
    """A task that was cancelled."""
    task_id = await task(house, visitor)
    async with _browser(house, visitor) as browser:
        ended = await browser.post(f"/api/tasks/{task_id}/cancellation")
        assert ended.status_code == 200, ended.text
    return task_id


async def drawing(house: House, visitor: Visitor) -> str:
    """A finished picture that the next step may start from."""
    async with _browser(house, visitor) as browser:
        made = await draw(browser, await upload(browser, house.photo))
        assert made.status_code == 201, made.text
        task_id = str(made.json()["taskId"])
    await finish_drawing(house.resources, task_id)
    return task_id


@asynccontextmanager
async def _browser(house: House, visitor: Visitor) -> AsyncIterator[httpx.AsyncClient]:
    async with house.site.browser(visitor.user) as browser:
        yield browser


def _user_id(visitor: Visitor) -> object:
    assert visitor.user is not None
    return visitor.user.id
