"""Pictures of tools: an admin uploads them, whoever sees the tool sees them.

A tool refers to its pictures by id in its row and its configuration. When a configuration that
names one is stored, the picture is marked as used (``saved_at``); the sweep takes what nothing
names and what was not used for a day.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets.models import Asset
from funmagic.core import errors
from funmagic.core.cache import Together
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing
from funmagic.toolkit import images
from funmagic.toolkit.contract import Image, InvalidInput

THUMBNAIL_SIDE_PX: Final = 400
# What a shop window asks of a picture: by width, for choices and cards, large cards and banners;
# and by format, the smaller first.
WIDTHS_PX: Final = (320, 640, 1280)
CHOICE_WIDTH_PX: Final = 320
FORMATS: Final = ("avif", "webp")
MOST_SIZED_BYTES: Final = 4 << 20

_reading = Together()

REFER = text("""
    UPDATE assets SET saved_at = clock_timestamp()
     WHERE id = ANY(:ids) AND source = 'media' AND status = 'ready'
    RETURNING id
""")


def media_url(asset_id: UUID | str | None) -> str | None:
    """The address of a tool's picture on this site, where there is one."""
    return f"/media/{asset_id}" if asset_id else None


async def refer_to(session: AsyncSession, asset_ids: Collection[UUID]) -> set[UUID]:
    """Mark pictures as used; returns those that are there.

    The rows are locked, so a sweep at the same moment sees the mark.
    """
    if not asset_ids:
        return set()
    # in order of id, so that two admins' locks never wait for each other
    found = await session.scalars(REFER, {"ids": sorted(set(asset_ids))})
    return set(found)


def sized_url(asset_id: UUID | str, width_px: int, kind: str) -> str:
    """The address of a picture at one of :data:`WIDTHS_PX`, in one of :data:`FORMATS`."""
    return f"/media/{asset_id}/{width_px}.{kind}"


def sized_key(storage_key: str, width_px: int, kind: str) -> str:
    """Where that lies in the storage."""
    return f"{storage_key}-{width_px}.{kind}"


def sized_keys(storage_key: str) -> list[str]:
    """Where all of them lie."""
    return [sized_key(storage_key, width, kind) for width in WIDTHS_PX for kind in FORMATS]


async def read_sized(resources: Resources, asset: Asset, width_px: int, kind: str) -> bytes:
    """A picture at a width; drawn now where it was not when it came, once for all who ask.

    Raises what :func:`draw_sizes` does.
    """
    key = sized_key(asset.storage_key, width_px, kind)
    return await _reading.run(key, partial(_read_or_drawn, resources, asset, width_px, kind))


async def _read_or_drawn(resources: Resources, asset: Asset, width_px: int, kind: str) -> bytes:
    key = sized_key(asset.storage_key, width_px, kind)
    with suppress(ObjectMissing):
        return await resources.storage.get(key, max_bytes=MOST_SIZED_BYTES)
    with tempfile.TemporaryDirectory(prefix="fm-media-") as folder:
        upright = await _upright(resources, asset, Path(folder))
        await _draw(resources, asset, upright.file.path, width_px, kind)
    return await resources.storage.get(key, max_bytes=MOST_SIZED_BYTES)


async def draw_sizes(resources: Resources, asset: Asset) -> dict[str, Any]:
    """Decode an uploaded picture and store it at the sizes it is shown at; what its row learns
    thereby.

    Raises :class:`errors.Invalid` where it cannot be decoded, :class:`errors.Conflict` where it is
    gone. Doing it again stores the same again.
    """
    with tempfile.TemporaryDirectory(prefix="fm-media-") as folder:
        upright = await _upright(resources, asset, Path(folder))
        picture, target = upright.file.path, Path(folder) / "thumbnail"
        await images.in_thread(lambda: images.thumbnail(picture, target, THUMBNAIL_SIDE_PX))
        key = f"{asset.storage_key}-thumbnail.webp"
        await resources.storage.put(key, target, content_type="image/webp")
        for width in WIDTHS_PX:
            for kind in FORMATS:
                await _draw(resources, asset, picture, width, kind)
    return {"width": upright.width, "height": upright.height, "thumbnail_key": key}


async def _upright(resources: Resources, asset: Asset, folder: Path) -> Image:
    """The picture itself, decoded into ``folder``."""
    source = folder / "source"
    try:
        await resources.storage.download(asset.storage_key, source, max_bytes=asset.size_bytes)
    except ObjectMissing:
        raise errors.Conflict(type="not_uploaded") from None
    try:
        return await images.decode(source, asset.content_type, folder)
    except InvalidInput as refusal:
        raise errors.Invalid(refusal.reason, type="invalid_file_type") from None


async def _draw(
    resources: Resources, asset: Asset, picture: Path, width_px: int, kind: str
) -> None:
    """Store ``picture`` at a width, in a format."""
    target = picture.with_name(f"{width_px}.{kind}")
    await images.in_thread(partial(images.sized, picture, target, width_px, kind))
    key = sized_key(asset.storage_key, width_px, kind)
    await resources.storage.put(key, target, content_type=f"image/{kind}")
