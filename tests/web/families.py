"""Runs of figme as they are on record when they are over: pictures, and models made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

import httpx
from sqlalchemy import text
from tests.tasks.figures import draw, shape
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.simulators import tripo_glb

FINISH = text("""
    UPDATE tasks SET status = 'completed', output = CAST(:output AS jsonb), started_at = now(),
                     completed_at = now()
     WHERE id = :id
""")
ADD_OUTPUT = text("""
    INSERT INTO assets (id, user_id, kind, source, status, storage_key, content_type, size_bytes,
                        file_name, task_id, step_id, is_relief)
    SELECT :asset_id, user_id, :kind, 'output', 'ready', :key, :content_type, :size_bytes,
           :file_name, id, config->'steps'->0->>'id', :is_relief
      FROM tasks WHERE id = :id
""")


@dataclass(frozen=True)
class Family:
    """A finished drawing and the model made of it."""

    parent: str
    child: str


async def finished_drawing(browser: httpx.AsyncClient, resources: Resources, photo: bytes) -> str:
    """The id of a task that has drawn a picture."""
    answer = await draw(browser, await upload(browser, photo))
    assert answer.status_code == 201, answer.text
    task_id: str = answer.json()["taskId"]
    await finish(resources, task_id, "image", photo)
    return task_id


async def finished_family(
    browser: httpx.AsyncClient, resources: Resources, photo: bytes, *, is_relief: bool = False
) -> Family:
    parent = await finished_drawing(browser, resources, photo)
    child: str = (await shape(browser, parent)).json()["taskId"]
    model, _picture = tripo_glb.shape(photo, most_faces=2000, is_textured=True)
    await finish(resources, child, "3d", model, is_relief=is_relief)
    return Family(parent, child)


async def finish(
    resources: Resources, task_id: str, kind: str, content: bytes, *, is_relief: bool = False
) -> None:
    """Say behind the product's back that a task has made this."""
    asset_id = new_id()
    content_type = {"image": "image/jpeg", "3d": "model/gltf-binary"}[kind]
    key = f"outputs/{asset_id}"
    await resources.storage.put(key, content, content_type=content_type)
    output = json.dumps({"assets": [str(asset_id)]})
    async with resources.db.transaction() as session:
        await session.execute(FINISH, {"id": UUID(task_id), "output": output})
        await session.execute(
            ADD_OUTPUT,
            {
                "id": UUID(task_id),
                "asset_id": asset_id,
                "kind": kind,
                "key": key,
                "content_type": content_type,
                "size_bytes": len(content),
                "file_name": {"image": "picture.jpg", "3d": "model.glb"}[kind],
                "is_relief": is_relief,
            },
        )
