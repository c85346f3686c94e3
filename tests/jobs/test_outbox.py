"""A job leaves with its transaction, once the queue is there, and is seen at least once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core import log as logs
from funmagic.core.clock import now
from funmagic.core.resources import Resources, open_redis
from funmagic.jobs import outbox
from funmagic.jobs.outbox import Relay, dispatch_now, enqueue
from funmagic.jobs.queue import Queue

QUEUE = "ai-tasks"


async def put(resources: Resources, *job_ids: str, **options: Any) -> None:
    async with resources.db.transaction() as s:
        for job_id in job_ids:
            await enqueue(s, QUEUE, job_id, {"taskId": job_id}, **options)


async def waiting(resources: Resources) -> list[str]:
    """Ids in the queue, oldest first."""
    key = f"{resources.settings.queue_prefix}:{QUEUE}:wait"
    found = await resources.redis.lrange(key, 0, -1)
    return [str(job_id) for job_id in reversed(found)]


async def unsent(resources: Resources) -> int:
    async with resources.db.transaction() as s:
        found = await s.execute(text("SELECT count(*) FROM outbox WHERE sent_at IS NULL"))
        return int(found.scalar_one())


@asynccontextmanager
async def without_valkey(resources: Resources) -> AsyncIterator[Resources]:
    """The same process with nobody at the other end."""
    gone = SecretStr("redis://127.0.0.1:1/0")
    settings = resources.settings.model_copy(update={"redis_url": gone})
    redis = open_redis(settings)
    yield replace(resources, settings=settings, redis=redis)
    await redis.aclose()


async def test_a_job_leaves_only_with_its_transaction(resources: Resources) -> None:
    relay = Relay(resources)
    async with resources.db.transaction() as s:
        await enqueue(s, QUEUE, "job-1", {"taskId": "1"})
        await s.rollback()
    assert await relay.send_due() == 0
    await put(resources, "job-2", "job-3")
    assert await relay.send_due() == 2
    assert await waiting(resources) == ["job-2", "job-3"]
    assert await unsent(resources) == 0


async def test_the_same_job_twice_is_one_row_and_one_job(resources: Resources) -> None:
    await put(resources, "job-1", "job-1")
    await put(resources, "job-1")
    assert await Relay(resources).send_due() == 1
    assert await waiting(resources) == ["job-1"]


async def test_a_job_for_later_is_not_sent_now(resources: Resources) -> None:
    await put(resources, "job-1", not_before=now() + timedelta(seconds=0.6))
    relay = Relay(resources)
    assert await relay.send_due() == 0
    assert await waiting(resources) == []
    await asyncio.sleep(0.7)
    assert await relay.send_due() == 1


async def test_the_id_of_the_request_travels_with_the_job(resources: Resources) -> None:
    logs.begin("request-0001")
    await put(resources, "job-1")
    async with resources.db.transaction() as s:
        (payload,) = (await s.execute(text("SELECT payload FROM outbox"))).scalars()
    assert payload == {"requestId": "request-0001", "taskId": "job-1"}


async def test_relays_at_once_share_the_work_and_send_each_job_once(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 10)
    sent: list[str] = []
    add = Queue.add

    async def counted(self: Queue, job_id: str, payload: dict[str, Any]) -> None:
        sent.append(job_id)
        await add(self, job_id, payload)

    monkeypatch.setattr(Queue, "add", counted)
    job_ids = [f"job-{number:02}" for number in range(60)]
    await put(resources, *job_ids)
    relays = [Relay(resources) for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(relay.send_due() for relay in relays))
    assert sorted(sent) == job_ids


@pytest.mark.hazard("M7")
async def test_a_job_outlives_a_queue_that_is_down(resources: Resources) -> None:
    await put(resources, "job-1")
    async with without_valkey(resources) as cut_off:
        await dispatch_now(cut_off, QUEUE, "job-1", {"taskId": "job-1"})  # does not raise
        with pytest.raises(Exception, match="connect"):
            await Relay(cut_off).send_due()
        stop = asyncio.Event()
        going_on = asyncio.create_task(Relay(cut_off).run(stop))
        await asyncio.sleep(0.3)
        assert not going_on.done()
        stop.set()
        await going_on
    assert await unsent(resources) == 1
    assert await Relay(resources).send_due() == 1
    assert await waiting(resources) == ["job-1"]


@pytest.mark.hazard("M7")
async def test_what_a_dying_sender_had_taken_is_sent_by_another(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "TAKEN_S", 0.5)
    await put(resources, "job-1")
    async with resources.db.transaction() as s:  # takes, commits, and is never heard of again
        await s.execute(outbox.TAKE_DUE, {"taken_s": outbox.TAKEN_S, "batch": 10})
    relay = Relay(resources)
    assert await relay.send_due() == 0
    await asyncio.sleep(0.6)
    assert await relay.send_due() == 1


async def test_dispatch_sends_one_job_at_once_and_tells_who_asked(
    resources: Resources,
) -> None:
    told: list[dict[str, Any]] = []

    async def on_sent(_: AsyncSession, payloads: list[dict[str, Any]]) -> None:
        told.extend(payloads)

    logs.begin("request-0001")
    await put(resources, "job-1", "job-2")
    await dispatch_now(resources, QUEUE, "job-2", {"taskId": "job-2"}, on_sent=on_sent)
    assert await waiting(resources) == ["job-2"]
    assert told == [{"requestId": "request-0001", "taskId": "job-2"}]
    assert await Relay(resources, on_sent=on_sent).send_due() == 1
    assert [payload["taskId"] for payload in told] == ["job-2", "job-1"]


async def test_a_job_that_relay_and_dispatch_both_send_is_one_job(resources: Resources) -> None:
    """Neither waits for the other; the queue knows the id."""
    await put(resources, "job-1")
    await asyncio.gather(
        dispatch_now(resources, QUEUE, "job-1", {"taskId": "job-1"}), Relay(resources).send_due()
    )
    assert await waiting(resources) == ["job-1"]
    assert await unsent(resources) == 0


async def test_dispatch_gives_up_on_a_queue_that_hangs(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(Queue, "add", hang)
    monkeypatch.setattr(outbox, "DISPATCH_TIMEOUT_S", 0.2)
    await put(resources, "job-1")
    async with asyncio.timeout(2):
        await dispatch_now(resources, QUEUE, "job-1", {"taskId": "job-1"})
    monkeypatch.undo()
    assert await Relay(resources).send_due() == 1


async def test_the_relay_sends_while_it_runs_and_forgets_after_a_day(
    resources: Resources,
) -> None:
    await put(resources, "old", "young")
    await Relay(resources).send_due()
    async with resources.db.transaction() as s:
        await s.execute(
            text("UPDATE outbox SET sent_at = now() - interval '25 hours' WHERE job_id = 'old'")
        )
    stop = asyncio.Event()
    running = asyncio.create_task(Relay(resources).run(stop))
    await put(resources, "new")
    async with asyncio.timeout(5):
        while await waiting(resources) != ["old", "young", "new"]:  # noqa: ASYNC110 - Valkey's list
            await asyncio.sleep(0.02)
    stop.set()
    await running
    async with resources.db.transaction() as s:
        kept = set((await s.execute(text("SELECT job_id FROM outbox"))).scalars())
    assert kept == {"young", "new"}


async def test_losing_the_whole_of_valkey_loses_no_unsent_job(
    resources: Resources,
) -> None:
    await put(resources, "job-1")
    redis: Redis = resources.redis
    await redis.flushall()
    assert await Relay(resources).send_due() == 1
