"""Running the tool as its page does."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

import httpx

TOOL = "background-remove"
PRICE_CREDITS = 5


async def create(
    browser: httpx.AsyncClient, asset_id: UUID | str, *, key: str | None = None, **changed: Any
) -> httpx.Response:
    """POST a task as the page does."""
    body = {"tool": TOOL, "input": {"image": str(asset_id)}, **changed}
    headers = {"Idempotency-Key": key} if key else {}
    return await browser.post("/api/tasks", json=body, headers=headers)


async def ended(browser: httpx.AsyncClient, task_id: str, *, wait_s: float = 60) -> dict[str, Any]:
    """The task once it is completed or failed."""
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        task: dict[str, Any] = (await browser.get(f"/api/tasks/{task_id}")).json()
        if task["status"] in {"completed", "failed"}:
            return task
        await asyncio.sleep(0.1)
    raise AssertionError(f"the task is still {task['status']} after {wait_s} s")
