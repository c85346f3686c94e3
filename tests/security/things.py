"""What people own, made for them: through the front door where that is quick."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
from sqlalchemy import text
from tests.security.house import House, Visitor
from tests.tasks.figures import draw, finish_drawing
from tests.tasks.runs import create
from tests.uploads import upload

from funmagic.accounts import keys
from funmagic.core.crypto import hash_token
from funmagic.core.ids import new_id

ADD_RESULT = text("""
    INSERT INTO assets (id, user_id, kind, source, status, storage_key, content_type, size_bytes,
                        file_name)
    VALUES (:id, :user_id, 'image', 'output', 'ready', 'outputs/' || :key, 'image/png', 10, 'a.png')
""")
ADD_IDENTITY = text("""
    INSERT INTO identities (id, user_id, provider, subject)
    VALUES (:id, :user_id, 'google', :subject)
""")
ADD_EXPORT = text("""
    INSERT INTO data_exports (id, user_id, state, key, size_bytes, ready_at, expires_at)
    VALUES (:id, :user_id, 'ready', 'exports/one', 10, now(), now() + interval '1 day')
""")
FIND_TOOL = text("SELECT id FROM tools WHERE slug = 'background-remove'")
FIND_SESSION = text("SELECT id FROM sessions WHERE token_hash = :token_hash")


async def photo(house: House, visitor: Visitor) -> str:
    """An uploaded photo, confirmed."""
    async with _browser(house, visitor) as browser:
        return str(await upload(browser, house.photo))


async def avatar(house: House, visitor: Visitor) -> str:
    """An uploaded picture of the person."""
    async with _browser(house, visitor) as browser:
        return str(await upload(browser, house.photo, route="avatar"))


async def result(house: House, visitor: Visitor) -> str:
    """A file a tool made."""
    asset_id = new_id()
    async with house.resources.db.transaction() as session:
        await session.execute(
            ADD_RESULT, {"id": asset_id, "key": str(asset_id), "user_id": _id_of(visitor)}
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


async def session(house: House, visitor: Visitor) -> str:
    """Another browser in which the person is signed in."""
    assert visitor.user is not None
    token_hash = hash_token(await house.site.session_of(visitor.user))
    async with house.resources.db.transaction() as opened:
        return str(await opened.scalar(FIND_SESSION, {"token_hash": token_hash}))


async def key(house: House, visitor: Visitor) -> str:
    """A key for a program."""
    async with house.resources.db.transaction() as opened:
        made = await keys.create(
            opened, _id_of(visitor), name="One to revoke", scopes=["tasks:read"], lifetime=None
        )
    return str(made.row.id)


async def identity(house: House, visitor: Visitor) -> str:
    """An account with Google that signs in to the person's own."""
    async with house.resources.db.transaction() as opened:
        await opened.execute(
            ADD_IDENTITY,
            {"id": (made := new_id()), "subject": str(made), "user_id": _id_of(visitor)},
        )
    return "google"


async def export(house: House, visitor: Visitor) -> str:
    """A copy of the person's data, ready to be fetched."""
    async with house.resources.db.transaction() as opened:
        await opened.execute(ADD_EXPORT, {"id": (made := new_id()), "user_id": _id_of(visitor)})
    return str(made)


async def person(house: House, _: Visitor) -> str:
    """Somebody else."""
    somebody = await house.visitor("somebody")
    return str(_id_of(somebody))


async def tool(house: House, _: Visitor) -> str:
    """A tool on offer."""
    async with house.resources.db.transaction() as opened:
        return str(await opened.scalar(FIND_TOOL))


@asynccontextmanager
async def _browser(house: House, visitor: Visitor) -> AsyncIterator[httpx.AsyncClient]:
    async with house.site.browser(visitor.user) as browser:
        yield browser


def _id_of(visitor: Visitor) -> UUID:
    assert visitor.user is not None
    return visitor.user.id
