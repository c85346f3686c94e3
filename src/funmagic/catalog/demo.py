"""Sample pictures of the styles a fresh installation offers: only for the demonstration.

A picture of a tool belongs to an admin, and only the demonstration comes with one.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from funmagic.accounts.models import User
from funmagic.assets.models import Asset
from funmagic.catalog import service
from funmagic.catalog.models import Tool
from funmagic.core.errors import Conflict
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.core.storage import StorageError

log = logger(__name__)

PICTURES: Final = Path(__file__).parent / "pictures"
SIDE_PX: Final = 400


async def give_pictures(resources: Resources, owner_email: str) -> None:
    """Show each of figme's styles what it looks like, where nobody has changed the tool yet.

    The pictures are shown to people and not sent to providers: they are no references.
    """
    async with resources.db.transaction() as session:
        fresh = select(Tool).where(Tool.slug == "figme", Tool.updated_at == Tool.created_at)
        tool = (await session.scalars(fresh)).one_or_none()
        owner_id = await session.scalar(select(User.id).where(User.email == owner_email))
    if tool is None or owner_id is None:
        return
    config: dict[str, Any] = tool.config
    pictures = []
    for style in config["steps"]["image-gen"]["settings"]["styles"]:
        try:
            picture = await _stored(resources, owner_id, f"{style['slug']}.webp")
        except StorageError as error:  # not worth a start that fails
            log.warning("no sample pictures", error=str(error))
            return
        style |= {"image": str(picture.id), "useImage": False}
        pictures.append(picture)
    with suppress(Conflict):  # somebody else was faster
        async with resources.db.transaction() as session:
            session.add_all(pictures)
            await session.flush()
            await service.configure(session, tool.id, config, read_at=tool.updated_at)


async def _stored(resources: Resources, owner_id: UUID, name: str) -> Asset:
    """The picture in the storage; its row is still to be added."""
    asset_id = new_id()
    key = f"uploads/{owner_id}/{asset_id}"
    put = await resources.storage.put(key, PICTURES / name, content_type="image/webp")
    return Asset(
        id=asset_id,
        user_id=owner_id,
        kind="image",
        source="media",
        status="ready",
        storage_key=key,
        thumbnail_key=key,  # it is as small as a thumbnail
        content_type="image/webp",
        size_bytes=put.size_bytes,
        etag=put.etag,
        file_name=name,
        width=SIDE_PX,
        height=SIDE_PX,
    )
