"""Uploads as a browser does them: describe, PUT, confirm."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx


async def describe(
    browser: httpx.AsyncClient,
    *,
    size: int,
    type: str = "image/jpeg",
    name: str = "photo.jpg",
    route: str = "tool-input",
) -> httpx.Response:
    """Ask for an address to put one file to."""
    body = {"route": route, "files": [{"name": name, "size": size, "type": type}]}
    return await browser.post("/api/upload", json=body)


async def put(promised: dict[str, Any], content: bytes, **changed: str) -> httpx.Response:
    """PUT straight to the storage, with the headers the answer asked for."""
    file = promised["files"][0]
    headers = {"Content-Type": file["file"]["type"], **file["headers"], **changed}
    async with httpx.AsyncClient() as storage:
        return await storage.put(file["signedUrl"], content=content, headers=headers)


async def upload(
    browser: httpx.AsyncClient,
    content: bytes,
    type: str = "image/jpeg",
    name: str = "photo.jpg",
    route: str = "tool-input",
) -> UUID:
    """The whole way; returns the id of a usable asset."""
    described = await describe(browser, size=len(content), type=type, name=name, route=route)
    promised = described.json()
    stored = await put(promised, content)
    assert stored.status_code == 200, stored.text
    asset_id = promised["metadata"]["assetId"]
    confirmed = await browser.post(f"/api/assets/{asset_id}/confirmation")
    assert confirmed.status_code == 200, confirmed.text
    return UUID(asset_id)
