"""The tool of two steps, as its page uses it: draw a picture, shape a model of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from tests.tasks.runs import create

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

FIGME = "figme"
DRAW, SHAPE = "image-gen", "3d-gen"
DRAW_CREDITS, SHAPE_CREDITS = 20, 30
STYLES = ("pencil", "pop-art", "engraving")

COMPLETE = text("""
    UPDATE tasks SET status = 'completed', completed_at = now(), started_at = now() WHERE id = :id
""")
ADD_PICTURE = text("""
    INSERT INTO assets (id, user_id, kind, source, status, storage_key, content_type, size_bytes,
                        file_name, task_id, step_id)
    SELECT :asset_id, user_id, 'image', 'output', 'ready', 'outputs/' || id, 'image/png', 10,
           'picture.png', id, 'image-gen'
      FROM tasks WHERE id = :id
""")
CONFIGURE = text("""
    UPDATE tools SET config = jsonb_set(config, CAST(:path AS text[]), :value)
     WHERE slug = 'figme'
""").bindparams(bindparam("value", type_=JSONB))


async def draw(
    browser: httpx.AsyncClient, photo: UUID, *, style: str = "pencil", **more: Any
) -> httpx.Response:
    """Press «Generate»."""
    given = {"image": str(photo), "style": style}
    return await create(browser, photo, **{"tool": FIGME, "input": given, **more})


async def shape(browser: httpx.AsyncClient, parent: object, **more: Any) -> httpx.Response:
    """Press «Figme» below a finished picture."""
    asked = {"tool": FIGME, "step": SHAPE, "input": {}, "parentTaskId": str(parent), **more}
    return await create(browser, "", **asked)


async def finish_drawing(resources: Resources, task_id: str) -> UUID:
    """Say behind the product's back that a picture was drawn; its asset."""
    asset_id = new_id()
    async with resources.db.transaction() as session:
        await session.execute(COMPLETE, {"id": UUID(task_id)})
        await session.execute(ADD_PICTURE, {"id": UUID(task_id), "asset_id": asset_id})
    return asset_id


async def configure(resources: Resources, path: list[str], value: Any) -> None:
    """Change the tool's configuration behind the product's back, below ``steps``."""
    async with resources.db.transaction() as session:
        await session.execute(CONFIGURE, {"path": ["steps", *path], "value": value})
