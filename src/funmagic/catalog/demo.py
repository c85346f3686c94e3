"""Sample pictures of what people choose from in a fresh installation: only for the demonstration.

A picture of a tool belongs to an admin, and only the demonstration comes with one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from PIL import Image as Pillow
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
from funmagic.toolkit import discovery

log = logger(__name__)

PICTURES: Final = Path(__file__).parent / "pictures"


@dataclass(frozen=True, slots=True)
class Shown:
    """A tool's lists of choices and how the names of their pictures begin; the slug follows."""

    slug: str
    prefixes: Mapping[str, str]


SHOWN: Final = (
    Shown("figme", {"styles": ""}),
    Shown("art-styles", {"styles": ""}),
    Shown("studio-backdrop", {"backdrops": "backdrop-"}),
    Shown("cutout-sticker", {"borders": "border-"}),
    Shown("id-photo", {"formats": "format-", "backgrounds": "background-"}),
)


async def give_pictures(resources: Resources, owner_email: str) -> None:
    """Show what there is to choose from, in each tool that nobody has changed yet.

    The pictures are shown to people and not sent to providers: they are no references.
    """
    async with resources.db.transaction() as session:
        owner_id = await session.scalar(select(User.id).where(User.email == owner_email))
    if owner_id is None:
        return
    for shown in SHOWN:
        try:
            await _give(resources, owner_id, shown)
        except StorageError as error:  # not worth a start that fails
            log.warning("no sample pictures", error=str(error))
            return


async def _give(resources: Resources, owner_id: UUID, shown: Shown) -> None:
    async with resources.db.transaction() as session:
        fresh = select(Tool).where(Tool.slug == shown.slug, Tool.updated_at == Tool.created_at)
        tool = (await session.scalars(fresh)).one_or_none()
    if tool is None:
        return
    config: dict[str, Any] = tool.config
    step = discovery.tool(tool.implementation).steps[0]
    settings = step.settings_model.model_validate(config["steps"][step.id]["settings"])
    given = settings.model_dump(mode="json", by_alias=True)
    pictures = []
    for choices, prefix in shown.prefixes.items():
        for choice in given[choices]:
            picture = await _stored(resources, owner_id, f"{prefix}{choice['slug']}.webp")
            choice["image"] = str(picture.id)
            if "useImage" in choice:
                choice["useImage"] = False
            pictures.append(picture)
    config["steps"][step.id]["settings"] = given
    with suppress(Conflict):  # somebody else was faster
        async with resources.db.transaction() as session:
            session.add_all(pictures)
            await session.flush()
            await service.configure(session, tool.id, config, read_at=tool.updated_at)


async def _stored(resources: Resources, owner_id: UUID, name: str) -> Asset:
    """The picture, a square, in the storage; its row is still to be added."""
    with Pillow.open(PICTURES / name) as opened:
        side_px = opened.width
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
        width=side_px,
        height=side_px,
    )
