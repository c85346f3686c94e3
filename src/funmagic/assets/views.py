"""Files as JSON. Addresses are signed when they are shown and live for an hour."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from funmagic.assets.models import Asset
from funmagic.core.http import CamelModel
from funmagic.core.storage import Storage


class AssetView(CamelModel):
    """One file. ``url`` shows it, ``downloadUrl`` saves it under ``fileName``; sizes in pixels."""

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
    created_at: datetime


async def asset_view(storage: Storage, asset: Asset) -> AssetView:
    """The file as its owner sees it; a file that has not arrived has no address."""
    is_ready = asset.status == "ready"
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
        created_at=asset.created_at,
    )
