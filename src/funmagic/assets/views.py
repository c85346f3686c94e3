"""Files as JSON. Addresses are signed when they are shown and live for an hour."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from funmagic.assets.models import Asset
from funmagic.core.http import CamelModel
from funmagic.core.storage import Storage


class AssetView(CamelModel):
    """One file. ``url`` shows it, ``downloadUrl`` saves it under ``fileName``; sizes in pixels.

    ``thumbnailUrl`` is a small WebP of what is seen, null where there is none; of a 3D model it is
    ``posterUrl`` as well. ``isRelief`` says that a 3D model has a front only.
    """

    id: UUID
    kind: str
    status: str
    content_type: str
    size_bytes: int
    width: int | None
    height: int | None
    file_name: str
    url: str | None
    download_url: str | None
    thumbnail_url: str | None
    poster_url: str | None
    is_relief: bool
    saved_at: datetime | None
    created_at: datetime


async def asset_view(storage: Storage, asset: Asset) -> AssetView:
    """The file as its owner sees it; a file that has not arrived has no address."""
    is_ready = asset.status == "ready"
    thumbnail_url = await thumbnail_url_of(storage, asset) if is_ready else None
    return AssetView(
        id=asset.id,
        kind=asset.kind,
        status=asset.status,
        content_type=asset.content_type,
        size_bytes=asset.size_bytes,
        width=asset.width,
        height=asset.height,
        file_name=asset.file_name,
        url=await storage.presign_get(asset.storage_key) if is_ready else None,
        download_url=f"/api/assets/{asset.id}/download" if is_ready else None,
        thumbnail_url=thumbnail_url,
        poster_url=thumbnail_url if asset.kind == "3d" else None,
        is_relief=asset.is_relief,
        saved_at=asset.saved_at,
        created_at=asset.created_at,
    )


async def thumbnail_url_of(storage: Storage, asset: Asset) -> str | None:
    """An address of the small picture; None where there is none: the whole is no thumbnail."""
    return await storage.presign_get(asset.thumbnail_key) if asset.thumbnail_key else None
