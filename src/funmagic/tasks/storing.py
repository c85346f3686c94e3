"""Puts a step's outputs into the storage, each with a small picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.tasks.settlement import StoredOutput
from funmagic.tasks.work import Assignment
from funmagic.toolkit import images
from funmagic.toolkit.contract import InvalidInput, Output

log = logger(__name__)

EXTENSIONS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "model/gltf-binary": "glb",
}


async def store(
    resources: Resources, task: Assignment, call_id: UUID, output: Output
) -> StoredOutput:
    """Store one output. The key is made of ids, so a repeat overwrites."""
    extension = EXTENSIONS.get(output.file.content_type, "bin")
    held = task.held
    stem = f"outputs/{held.user_id}/{held.id}/{task.step.id}/{call_id}/{output.name}"
    stored = await resources.storage.put(
        f"{stem}.{extension}", output.file.path, content_type=output.file.content_type
    )
    return StoredOutput(
        name=output.name,
        kind=output.kind,
        storage_key=f"{stem}.{extension}",
        content_type=output.file.content_type,
        size_bytes=stored.size_bytes,
        etag=stored.etag,
        file_name=f"{held.config['implementation']}-{output.name}.{extension}",
        width=output.width,
        height=output.height,
        thumbnail_key=await _store_thumbnail(resources, task, output, f"{stem}.thumbnail.webp"),
        is_relief=output.is_relief,
    )


async def _store_thumbnail(
    resources: Resources, task: Assignment, output: Output, key: str
) -> str | None:
    """The key of a picture at most 400 pixels a side; None where there is nothing to show."""
    target = task.context.work_dir / f"{output.name}.thumbnail.webp"
    try:
        seen = await _seen(task, output)
        if seen is None:
            return None
        await images.in_thread(lambda: images.thumbnail(seen, target))
    except InvalidInput as error:
        log.warning("no thumbnail", task_id=str(task.held.id), reason=error.reason)
        return None
    await resources.storage.put(key, target, content_type="image/webp")
    return key


async def _seen(task: Assignment, output: Output) -> Path | None:
    """What an output looks like: itself, a model's poster, or the picture it was made from."""
    if output.kind == "image":
        return output.file.path
    if output.poster is not None:
        return output.poster.path
    if task.held.parent_task_id is None:
        return None
    return (await task.context.open_parent()).file.path
