"""The queue on a real Valkey: what its Python client would do wrong, and does not here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.jobs.workers import NAME, consuming, recorder, short_locks, until

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.jobs import queue as queue_module
from funmagic.jobs.queue import Consumer, Queue, WorkerEnded


@pytest.fixture
async def queue(resources: Resources) -> AsyncIterator[Queue]:
    opened = Queue(resources.settings, NAME)
    yield opened
    await opened.close()


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


async def test_nothing_is_asked_of_valkey_once_a_consumer_is_drained(
    settings: Settings, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_locks(monkeypatch)
    checks = {"begun": 0, "ended": 0}

    async with consuming(settings, recorder([])) as consumer:
        await until(lambda: consumer._worker is not None)

        async def slow_check(*_: Any) -> list[str]:
            checks["begun"] += 1
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.1)
                checks["ended"] += 1
            return []

        consumer._worker.backend.moveStalledJobsToWait = slow_check
        await until(lambda: checks["begun"] > 0)
    assert checks == {"begun": 1, "ended": 1}


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
