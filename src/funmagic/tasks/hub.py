"""Live events for any number of listeners through one Valkey subscription a process.

A listener is never relied upon to hear everything: what it hears only tells it how far the table
has come. Losing Valkey costs latency, not events, because every few seconds one query asks how far
all the tasks being watched have come.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.tasks import events
from funmagic.tasks.events import CHANNEL_PREFIX, Event

log = logger(__name__)

QUEUE_LENGTH: Final = 64
CATCH_UP_EVERY_S: Final = 5.0
READ_TIMEOUT_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
CANCEL_AGAIN_S: Final = 1.0
WATCHED_BATCH: Final = 5_000


class Watcher:
    """One listener's mailbox: events as heard, or None for «the table has more, go and read»."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_LENGTH)
        self.heard_seq = 0

    def hear(self, event: Event) -> None:
        self._put(event, event.seq)

    def nudge(self, seq: int) -> None:
        """Say that the table has come to ``seq``, if that is news."""
        if seq > self.heard_seq:
            self._put(None, seq)

    def _put(self, item: Event | None, seq: int) -> None:
        # A full mailbox belongs to a slow reader: what it has not heard, it is nudged about later.
        with suppress(asyncio.QueueFull):
            self.inbox.put_nowait(item)
            self.heard_seq = max(self.heard_seq, seq)


class EventHub:
    """The process's one subscription. ``start`` and ``stop`` frame its life."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._watchers: dict[UUID, set[Watcher]] = defaultdict(set)
        self._running: list[asyncio.Task[None]] = []
        self.stopping = asyncio.Event()

    def start(self) -> None:
        self._running = [
            asyncio.create_task(self._listen(), name="event-hub-listen"),
            asyncio.create_task(self._catch_up(), name="event-hub-catch-up"),
        ]

    def close_streams(self) -> None:
        """Tell every stream to end: each sends what it has and returns."""
        self.stopping.set()
        for watchers in list(self._watchers.values()):
            for watcher in watchers:
                watcher.nudge(watcher.heard_seq + 1)

    async def stop(self) -> None:
        """End the subscription and every stream."""
        self.close_streams()
        running = set(self._running)
        while running:  # a cancellation gets lost where it meets the end of a client's own time-out
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
        await asyncio.gather(*self._running, return_exceptions=True)

    @contextmanager
    def watch(self, task_id: UUID) -> Iterator[Watcher]:
        """Hear a task's events from now on, until the block ends."""
        watcher = Watcher()
        self._watchers[task_id].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[task_id].discard(watcher)
            if not self._watchers[task_id]:
                del self._watchers[task_id]

    async def _listen(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            pubsub = self._resources.redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.psubscribe(f"{CHANNEL_PREFIX}*")
                pause_s = FIRST_PAUSE_S
                await self._fan_out(pubsub)
            except Exception as error:  # nothing that happens here may end the subscription
                log.warning("subscription lost", error=repr(error), retry_s=pause_s)
            finally:
                with suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _fan_out(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=READ_TIMEOUT_S)
            if message is None:
                continue
            try:
                task_id = UUID(str(message["channel"]).removeprefix(CHANNEL_PREFIX))
                watchers = self._watchers.get(task_id)
                if not watchers:
                    continue
                event = Event.from_json(task_id, message["data"])
            except (ValueError, KeyError, TypeError):
                log.warning("unreadable message on an event channel")
                continue
            for watcher in list(watchers):
                watcher.hear(event)

    async def _catch_up(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_EVERY_S)
            watched = list(self._watchers)
            try:
                for start in range(0, len(watched), WATCHED_BATCH):
                    await self._nudge_behind(watched[start : start + WATCHED_BATCH])
            except Exception as error:  # nothing that happens here may end the catching up
                log.warning("catching up failed", error=repr(error))

    async def _nudge_behind(self, task_ids: list[UUID]) -> None:
        async with self._resources.db.transaction() as session:
            reached = await events.last_seqs(session, task_ids)
        for task_id, seq in reached.items():
            for watcher in list(self._watchers.get(task_id, ())):
                watcher.nudge(seq)
