"""Root at a desk: a browser signed in as super_admin, and the tools and providers at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.conftest import MakeUser, Site


@pytest.fixture
async def root(site: Site, make_user: MakeUser) -> AsyncIterator[httpx.AsyncClient]:
    """Root's browser."""
    async with site.browser(await make_user("root@example.com", role="super_admin")) as browser:
        yield browser


@pytest.fixture
async def remover(root: httpx.AsyncClient) -> dict[str, Any]:
    """The seeded tool that removes backgrounds, as admins see it."""
    return await tool_called(root, "background-remove")


@pytest.fixture
async def figme(root: httpx.AsyncClient) -> dict[str, Any]:
    """A tool of two steps, with styles; made here, so not offered yet."""
    body = {
        "implementation": "figme",
        "slug": "pencil-portrait",
        "title": "Pencil portrait",
        "description": "A photo, drawn.",
        "toolType": "photo",
    }
    made = await root.post("/api/admin/tools", json=body)
    assert made.status_code == 201, made.text
    tool: dict[str, Any] = made.json()
    return tool


async def tool_called(root: httpx.AsyncClient, slug: str) -> dict[str, Any]:
    found = (await root.get("/api/admin/tools", params={"q": slug})).json()["items"]
    tool: dict[str, Any] = next(item for item in found if item["slug"] == slug)
    return tool


async def config_of(root: httpx.AsyncClient, tool: dict[str, Any]) -> dict[str, Any]:
    """A tool's configuration with the form's parts, as the page gets it."""
    answer = await root.get(f"/api/admin/tools/{tool['id']}/config")
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def save(
    root: httpx.AsyncClient, tool: dict[str, Any], view: dict[str, Any]
) -> httpx.Response:
    """PUT a configuration as it was read, and changed since."""
    body = {"config": view["config"], "updatedAt": view["updatedAt"]}
    return await root.put(f"/api/admin/tools/{tool['id']}/config", json=body)
