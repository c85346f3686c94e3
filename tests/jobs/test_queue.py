"""The queue on a real Valkey: what its Python client would do wrong, and does not here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.jobs import queue as queue_module
from funmagic.jobs.queue import IDLE_WAIT_S, Consumer, Handler, Queue, WorkerEnded

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


@pytest.fixture
async def queue(resources: Resources) -> AsyncIterator[Queue]:
    opened = Queue(resources.settings, NAME)
    yield opened
    await opened.close()


def short_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that are lost within a second where nobody renews them."""
    monkeypatch.setattr(queue_module, "LOCK_MS", 600)
    monkeypatch.setattr(queue_module, "STALLED_CHECK_MS", 200)


def recorder(seen: list[Any]) -> Callable[[dict[str, Any]], Awaitable[None]]:
    async def record(job: dict[str, Any]) -> None:
        seen.append(job["n"])

    return record


async def test_a_job_reaches_the_handler_with_its_payload(settings: Settings, queue: Queue) -> None:
    seen: list[Any] = []
    async with consuming(settings, recorder(seen)):
        await queue.add("job-1", {"n": {"deep": ["é", 1]}})
        await until(lambda: bool(seen))
    assert seen == [{"deep": ["é", 1]}]


async def test_the_queue_knows_what_it_still_means_to_run(settings: Settings, queue: Queue) -> None:
    going = asyncio.Event()

    async def wait(_: dict[str, Any]) -> None:
        await going.wait()

    await queue.add("job-1", {"n": 1})
    assert await queue.has("job-1")
    async with consuming(settings, wait):
        await asyncio.sleep(0.3)
        assert await queue.has("job-1")
        going.set()
    assert not await queue.has("job-1")
    assert not await queue.has("job-2")


@pytest.mark.parametrize("job_id", ["", "12", "a:b"])
async def test_ids_the_queue_would_misread_are_refused(job_id: str, queue: Queue) -> None:
    with pytest.raises(ValueError, match="not a job id"):
        await queue.add(job_id, {})


@pytest.mark.hazard("S14")
async def test_a_completed_or_failed_id_does_not_run_again_but_a_new_one_does(
    settings: Settings, queue: Queue
) -> None:
    seen: list[int] = []

    async def record(job: dict[str, Any]) -> None:
        seen.append(job["n"])
        if job["n"] == 2:
            raise RuntimeError("broken")

    async with consuming(settings, record):
        for _ in range(2):
            await queue.add("done-1", {"n": 1})
            await queue.add("broken-1", {"n": 2})
            await until(lambda: len(seen) >= 2)
            await asyncio.sleep(0.2)
        await queue.add("broken-2", {"n": 3})
        await until(lambda: 3 in seen)
    assert sorted(seen) == [1, 2, 3]


async def test_a_cancelled_error_in_a_handler_does_not_end_the_worker(
    settings: Settings, queue: Queue
) -> None:
    seen: list[int] = []

    async def record(job: dict[str, Any]) -> None:
        seen.append(job["n"])
        if job["n"] == 1:
            raise asyncio.CancelledError

    async with consuming(settings, record):
        await queue.add("job-1", {"n": 1})
        await queue.add("job-2", {"n": 2})
        await until(lambda: len(seen) == 2)
    assert seen == [1, 2]


async def test_a_listener_that_raises_does_not_keep_a_job_from_completing(
    settings: Settings, queue: Queue, resources: Resources
) -> None:
    seen: list[int] = []

    def broken(*_: Any) -> None:
        raise RuntimeError("a listener")

    async with consuming(settings, recorder(seen), concurrency=2) as consumer:
        await until(lambda: consumer._worker is not None)
        for event in ("active", "completed", "failed", "error"):
            consumer._worker.on(event, broken)
        for number in range(3):
            await queue.add(f"job-{number}", {"n": number})
        await until(lambda: len(seen) == 3)
    completed = await resources.redis.zcard(f"{settings.queue_prefix}:{NAME}:completed")
    assert (sorted(seen), completed) == ([0, 1, 2], 3)


async def test_an_idle_worker_takes_a_new_job_at_once(
    settings: Settings, queue: Queue, resources: Resources
) -> None:
    """Longer idle than a blocking read lasts: the read ends as an empty one, not as an error.

    A connection given up by its client waits on at the server, and swallows the next wake-up.
    """
    waits: list[float] = []

    async def record(job: dict[str, Any]) -> None:
        waits.append(time.monotonic() - job["at"])

    async def connections() -> set[str]:
        listed: list[dict[str, str]] = await resources.redis.client_list()
        return {one["id"] for one in listed if one["name"].startswith(settings.queue_prefix)}

    async with consuming(settings, record) as consumer:
        await until(lambda: consumer._worker is not None and consumer._worker.waiting is not None)
        await asyncio.sleep(0.1)
        before = await connections()
        await asyncio.sleep(IDLE_WAIT_S + 0.5)
        assert before
        assert before <= await connections()
        await queue.add("job-1", {"at": time.monotonic()})
        await until(lambda: bool(waits), 20)
    assert waits[0] < 1.0


async def test_draining_with_several_jobs_running_starts_none_of_them_twice(
    settings: Settings, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job ends at once, one needs longer than a lock lasts; a second worker is waiting."""
    short_locks(monkeypatch)
    started: list[int] = []

    async def work(job: dict[str, Any]) -> None:
        started.append(job["n"])
        await asyncio.sleep(job["takes_s"])

    stop = asyncio.Event()
    leaving = Consumer(settings, NAME, work, concurrency=3)
    running = asyncio.create_task(leaving.run(stop))
    await queue.add("job-1", {"n": 1, "takes_s": 0.3})
    await queue.add("job-2", {"n": 2, "takes_s": 2.5})
    await until(lambda: len(started) == 2)
    async with consuming(settings, work):
        stop.set()
        await running
        await leaving.drain(10)
        await asyncio.sleep(1)
    assert sorted(started) == [1, 2]


@pytest.mark.hazard("S9")
async def test_what_does_not_finish_in_time_is_given_to_another_worker_at_once(
    settings: Settings, queue: Queue
) -> None:
    interrupted: list[int] = []
    done: list[int] = []

    async def hang(job: dict[str, Any]) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            interrupted.append(job["n"])
            raise

    stop = asyncio.Event()
    leaving = Consumer(settings, NAME, hang, concurrency=2)
    running = asyncio.create_task(leaving.run(stop))
    await queue.add("job-1", {"n": 1})
    await asyncio.sleep(0.5)
    stop.set()
    await running
    began = time.monotonic()
    await leaving.drain(0.3)
    async with consuming(settings, recorder(done)):
        await until(lambda: bool(done))
    assert (interrupted, done) == ([1], [1])
    assert time.monotonic() - began < 3


@pytest.mark.hazard("S9")
async def test_a_handler_that_will_not_stop_does_not_keep_the_process(
    settings: Settings, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "INTERRUPT_TIMEOUT_S", 0.2)
    going = asyncio.Event()

    async def stubborn(_: dict[str, Any]) -> None:
        while not going.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await going.wait()

    stop = asyncio.Event()
    leaving = Consumer(settings, NAME, stubborn, concurrency=1)
    running = asyncio.create_task(leaving.run(stop))
    await queue.add("job-1", {"n": 1})
    await until(lambda: bool(leaving._handling))
    stop.set()
    await running
    async with asyncio.timeout(3):
        await leaving.drain(0.1)
    going.set()
    await asyncio.gather(*leaving._handling)


@pytest.mark.hazard("S9")
async def test_nothing_is_lost_when_a_worker_stops_while_jobs_pour_in(
    settings: Settings, queue: Queue
) -> None:
    """Each job runs exactly once, whichever worker took it at the moment of the change."""
    seen: list[int] = []
    for generation in range(4):
        async with consuming(settings, recorder(seen), concurrency=3):
            for number in range(10):
                await queue.add(f"job-{generation}-{number}", {"n": generation * 10 + number})
    async with consuming(settings, recorder(seen)):
        await until(lambda: len(seen) >= 40)
    assert sorted(seen) == list(range(40))


async def test_a_job_of_a_vanished_worker_runs_elsewhere(
    settings: Settings, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_locks(monkeypatch)
    seen: list[int] = []

    async def hang(job: dict[str, Any]) -> None:
        seen.append(job["n"])
        await asyncio.sleep(60)

    vanishing = Consumer(settings, NAME, hang, concurrency=1)
    running = asyncio.create_task(vanishing.run(asyncio.Event()))
    await queue.add("job-1", {"n": 1})
    await until(lambda: bool(seen))
    vanishing._worker.lockManager._renewal_task.cancel()  # as dead as can be in one process
    vanishing._worker.stalledCheckTimer.stop()
    async with consuming(settings, recorder(seen)):
        await until(lambda: len(seen) == 2)
    running.cancel()
    await vanishing.drain(0)
    assert seen == [1, 1]


async def test_a_worker_that_ends_by_itself_ends_run(settings: Settings, queue: Queue) -> None:
    consumer = Consumer(settings, NAME, recorder([]), concurrency=1)
    running = asyncio.create_task(consumer.run(asyncio.Event()))
    await until(lambda: consumer._loop is not None)
    assert consumer._loop is not None
    await asyncio.sleep(0.1)
    consumer._worker.closing = consumer._worker.closed = True
    consumer._worker.waiting.cancel()
    with pytest.raises(WorkerEnded):
        await running
    await consumer.drain(1)


@pytest.mark.hazard("U6")
async def test_the_text_of_an_error_stays_out_of_valkey(
    settings: Settings, queue: Queue, resources: Resources
) -> None:
    async def leak(_: dict[str, Any]) -> None:
        try:
            raise KeyError("canary-a")
        except KeyError as error:
            raise ValueError("canary-b") from error

    async with consuming(settings, leak):
        await queue.add("job-1", {"n": 1})
        await asyncio.sleep(0.5)
    stored = await resources.redis.hgetall(f"{settings.queue_prefix}:{NAME}:job-1")
    assert stored["failedReason"] == "ValueError"
    assert "canary" not in str(stored)


async def test_the_worker_waits_for_a_valkey_that_is_not_there_yet(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pings = 0
    ping = Redis.ping

    async def late(self: Redis) -> Any:
        nonlocal pings
        pings += 1
        if pings < 3:
            raise ConnectionRefusedError("not yet")
        return await ping(self)

    monkeypatch.setattr(Redis, "ping", late)
    monkeypatch.setattr(queue_module, "RECONNECT_MS", 50)
    async with consuming(settings, recorder([])) as consumer:
        await until(lambda: consumer._loop is not None)
    assert pings == 3
