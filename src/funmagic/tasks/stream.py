"""One task's events as Server-Sent Events: replay what was missed, then go live.

The listener is registered before the table is read, so nothing falls between the two. From then on
each number decides: the next one is sent, an older one dropped, a later one means that something
was missed and the table is read again. Frames are bare ``id:`` and ``data:`` lines (no ``event:``),
so that ``onmessage`` hears them. WHATWG HTML, section 9.2, Server-sent events.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from funmagic.assets import service as assets
from funmagic.assets.views import asset_view
from funmagic.core.i18n import translate
from funmagic.core.resources import Resources
from funmagic.tasks import events, previews
from funmagic.tasks.events import Event
from funmagic.tasks.hub import EventHub, Watcher

HEARTBEAT_S: Final = 30.0
LONGEST_STREAM_S: Final = 3600.0
HEARTBEAT: Final = b": heartbeat\n\n"
# What an event tells of a result.
STREAMED: Final = {
    "id", "kind", "content_type", "width", "height", "url", "download_url", "thumbnail_url",
    "poster_url", "is_relief",
}  # fmt: skip


class TaskStream:
    """The stream of one owner's task, from the event after ``last_seq``."""

    def __init__(
        self,
        resources: Resources,
        hub: EventHub,
        *,
        user_id: UUID,
        task_id: UUID,
        last_seq: int,
        locale: str,
    ) -> None:
        self._resources = resources
        self._hub = hub
        self._user_id = user_id
        self._task_id = task_id
        self._last_seq = last_seq
        self._locale = locale

    async def frames(self) -> AsyncIterator[bytes]:
        """Frames until the task ends, the server stops, or an hour is over."""
        ends_at = time.monotonic() + LONGEST_STREAM_S
        with self._hub.watch(self._task_id) as watcher:
            yield _frame(None, {"type": "connected", "taskId": str(self._task_id)})
            missed = await self._read_table()
            while True:
                for event in missed:
                    frame = await self._deliver(event)
                    if frame is not None:
                        yield frame
                    if event.is_terminal:
                        return
                if len(missed) == events.READ_BATCH:
                    missed = await self._read_table()
                    continue
                if self._hub.stopping.is_set() or time.monotonic() > ends_at:
                    return
                heard = await self._hear(watcher)
                if heard is None:
                    yield HEARTBEAT
                missed = heard or []

    async def _hear(self, watcher: Watcher) -> list[Event] | None:
        """What to send next; None where nothing happened for the length of a heartbeat."""
        try:
            event = await asyncio.wait_for(watcher.inbox.get(), HEARTBEAT_S)
        except TimeoutError:
            return None
        if event is not None and event.seq <= self._last_seq:
            return []
        if event is not None and event.seq == self._last_seq + 1:
            return [event]
        return await self._read_table()

    async def _read_table(self) -> list[Event]:
        async with self._resources.db.transaction() as session:
            return await events.read_after(session, self._task_id, self._last_seq)

    async def _deliver(self, event: Event) -> bytes | None:
        """The event's frame; None for an unfinished picture that is gone by now."""
        self._last_seq = event.seq
        if event.type == previews.TYPE:
            return await self._preview(event)
        body: dict[str, Any] = {"type": event.type, "taskId": str(self._task_id), **event.data}
        if "error" in body:
            error = body["error"]
            body["error"] = {**error, "message": translate(self._locale, error["message"])}
        if "output" in body:
            body["output"] = await self._sign(body["output"])
        return _frame(event.seq, body)

    async def _preview(self, event: Event) -> bytes | None:
        if "key" not in event.data:
            return None
        url = await self._resources.storage.presign_get(event.data["key"])
        body = {
            "type": event.type,
            "taskId": str(self._task_id),
            "stepId": event.data["stepId"],
            "data": {"url": url, "index": event.data["index"]},
        }
        return _frame(event.seq, body)

    async def _sign(self, output: dict[str, Any]) -> dict[str, Any]:
        ids = [UUID(asset_id) for asset_id in output.get("assets", [])]
        async with self._resources.db.transaction() as session:
            found = await assets.of_task(session, self._user_id, ids)
        return {
            "assets": [
                shown.model_dump(mode="json", by_alias=True, include=STREAMED)
                for shown in [await asset_view(self._resources.storage, asset) for asset in found]
            ]
        }


def _frame(seq: int | None, body: dict[str, Any]) -> bytes:
    head = "" if seq is None else f"id: {seq}\n"
    return f"{head}data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()
