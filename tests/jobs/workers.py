"""Workers of a queue under one face: ours, and those of the bare package."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import bullmq
import pytest

from funmagic.core.settings import Settings
from funmagic.jobs import queue as queue_module
from funmagic.jobs.queue import Consumer, Handler, Queue

NAME = "ai-tasks"


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - conditions of all kinds
            await asyncio.sleep(0.01)


@asynccontextmanager
async def consuming(
    settings: Settings, handler: Handler, *, concurrency: int = 1, drain_s: float = 5
) -> AsyncIterator[Consumer]:
    """A consumer at work; drained at the end."""
    consumer = Consumer(settings, NAME, handler, concurrency=concurrency)
    stop = asyncio.Event()
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        await running
        await consumer.drain(drain_s)


def short_locks(monkeypatch: pytest.MonkeyPatch, lock_ms: int = 600) -> None:
    """Locks that are lost within a second or so where nobody renews them."""
    monkeypatch.setattr(queue_module, "LOCK_MS", lock_ms)
    monkeypatch.setattr(queue_module, "STALLED_CHECK_MS", lock_ms // 3)


def recorder(seen: list[Any]) -> Callable[[dict[str, Any]], Awaitable[None]]:
    async def record(job: dict[str, Any]) -> None:
        seen.append(job["n"])

    return record


class AtWork(Protocol):
    """One worker that takes jobs."""

    @property
    def bullmq(self) -> Any:
        """The package's own worker."""

    @property
    def has_ended(self) -> bool:
        """Whether it has stopped taking jobs although nobody asked it to."""

    async def leave(self) -> None:
        """Take no more jobs, finish those at hand."""

    async def fall(self) -> None:
        """Drop everything at once."""


class Client(Protocol):
    """A queue of its own and workers for it."""

    async def add(self, job_id: str, data: dict[str, Any]) -> None: ...

    async def count(self, state: str) -> int: ...

    async def start(self, handler: Handler, *, concurrency: int = 1) -> AtWork: ...


class Bare:
    """The package as its documentation shows it: a worker, an address, a processor."""

    def __init__(self, settings: Settings, name: str = "bare", **job_options: Any) -> None:
        self._options = {
            "connection": settings.redis_url.get_secret_value(),
            "prefix": f"{settings.queue_prefix}-{name}",
        }
        self._job_options = job_options

    async def add(self, job_id: str, data: dict[str, Any]) -> None:
        async with self._queue() as queue:
            await queue.add(NAME, data, {"jobId": job_id, **self._job_options})

    async def count(self, state: str) -> int:
        async with self._queue() as queue:
            counts = await queue.getJobCounts(state)
            return int(counts[state])

    async def start(self, handler: Handler, *, concurrency: int = 1) -> AtWork:
        async def process(job: Any, token: str) -> None:
            await handler(job.data)

        locks = {
            "lockDuration": queue_module.LOCK_MS,
            "stalledInterval": queue_module.STALLED_CHECK_MS,
        }
        options = {**self._options, **locks, "concurrency": concurrency, "autorun": False}
        worker = _BareAtWork(bullmq.Worker(NAME, process, options))
        await until(lambda: worker.bullmq.running)
        return worker

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[Any]:
        queue = bullmq.Queue(NAME, self._options)
        yield queue
        await queue.close()


class _BareAtWork:
    def __init__(self, worker: Any) -> None:
        self.bullmq = worker
        self._running = asyncio.create_task(worker.run())

    @property
    def has_ended(self) -> bool:
        return self._running.done()

    async def leave(self) -> None:
        await self.bullmq.close()

    async def fall(self) -> None:
        await self.bullmq.close(force=True)
        with contextlib.suppress(asyncio.CancelledError):
            await self._running


class Ours:
    """The façade."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def add(self, job_id: str, data: dict[str, Any]) -> None:
        queue = Queue(self._settings, NAME)
        await queue.add(job_id, data)
        await queue.close()

    async def count(self, state: str) -> int:
        queue = Queue(self._settings, NAME)
        counts = await queue._queue.getJobCounts(state)
        await queue.close()
        return int(counts[state])

    async def start(self, handler: Handler, *, concurrency: int = 1) -> AtWork:
        worker = _OursAtWork(Consumer(self._settings, NAME, handler, concurrency=concurrency))
        await until(lambda: worker.bullmq is not None and worker.bullmq.running)
        return worker


class _OursAtWork:
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(consumer.run(self._stop))

    @property
    def bullmq(self) -> Any:
        return self._consumer._worker

    @property
    def has_ended(self) -> bool:
        return self._running.done()

    async def leave(self, patience_s: float = 15) -> None:
        self._stop.set()
        await self._running
        await self._consumer.drain(patience_s)

    async def fall(self) -> None:
        await self.leave(patience_s=0)
