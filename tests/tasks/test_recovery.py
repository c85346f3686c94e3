"""What a crash leaves behind is put right: no task is lost, none is charged twice."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import warnings
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site, environment_of
from tests.tasks.runs import create, ended
from tests.uploads import upload

from funmagic import worker
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.jobs.outbox import Relay
from funmagic.jobs.queue import Queue
from funmagic.reports.reconcile import reconcile as reconcile_books
from funmagic.tasks import claims, settlement, storing
from funmagic.tasks.claims import LeaseLost
from funmagic.tasks.engine import Engine
from funmagic.tasks.reconciler import ask_vendors, reconcile
from funmagic.tasks.service import QUEUE


@contextlib.asynccontextmanager
async def worker_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "funmagic.cli", "worker", env=environment_of(settings)
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def worker_here(resources: Resources) -> AsyncIterator[None]:
    stop = asyncio.Event()
    working = asyncio.create_task(worker.work(resources, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(working, 30)


async def task_row(resources: Resources, task_id: str) -> tuple[str, int, int]:
    async with resources.db.transaction() as session:
        found = await session.execute(
            text("SELECT status, attempt, fence FROM tasks WHERE id = :id"), {"id": UUID(task_id)}
        )
        status, attempt, fence = found.one()
    return status, attempt, fence


async def wait_until_processing(resources: Resources, task_id: str) -> None:
    for _ in range(600):
        if (await task_row(resources, task_id))[2] > 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no worker took the task")


async def test_a_task_whose_worker_is_killed_is_finished_by_another_and_charged_once(
    site: Site, make_user: MakeUser, resources: Resources, settings: Settings, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
        task_id = answer.json()["taskId"]
        async with worker_process(settings) as process:
            await wait_until_processing(resources, task_id)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        status, _, _ = await task_row(resources, task_id)
        assert status == "processing", "the kill came too late to prove anything"
        async with worker_here(resources):
            task = await ended(browser, task_id, wait_s=30)
    assert task["status"] == "completed", task["error"]
    assert task["receipt"]["charged"] == 5
    _, attempt, fence = await task_row(resources, task_id)
    assert attempt >= 2
    assert fence >= 2
    async with resources.db.transaction() as session:
        assert await reconcile_books(session) == []
        usages = text("SELECT count(*) FROM credit_transactions WHERE type = 'usage'")
        assert await session.scalar(usages) == 1


@pytest.mark.hazard("S14")
async def test_a_queue_that_forgets_everything_loses_no_task(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
        await resources.redis.flushall()
        async with worker_here(resources):
            task = await ended(browser, answer.json()["taskId"], wait_s=30)
    assert task["status"] == "completed"


async def test_a_task_nobody_can_finish_in_time_fails_and_the_credits_return(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
        async with resources.db.transaction() as session:
            await session.execute(text("UPDATE tasks SET deadline_at = now() - interval '1 s'"))
            task_id = UUID(answer.json()["taskId"])
            assert await settlement.overdue(session, 10) == [(task_id, False)]
            told = await settlement.fail_overdue(session, UUID(answer.json()["taskId"]))
            again = await settlement.fail_overdue(session, UUID(answer.json()["taskId"]))
        assert [event.type for event in told] == ["step_failed", "failed"]
        assert again == []
        task = (await browser.get(f"/api/tasks/{answer.json()['taskId']}")).json()
    assert task["error"] == {
        "type": "provider_timeout",
        "message": "AI service timed out. Credits refunded.",
    }
    assert (task["receipt"]["released"], task["receipt"]["available"]) == (5, 50)


async def test_a_worker_that_lost_its_lease_can_write_nothing(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        task_id = UUID((await create(browser, await upload(browser, astronaut))).json()["taskId"])

    async def claim(lease_s: float) -> claims.Claim | None:
        async with resources.db.transaction() as session:
            return await claims.claim(session, task_id, 1, owner="w", lease_s=lease_s)

    first = await claim(0.5)
    assert first is not None
    assert await claim(0.5) is None, "a living lease keeps others out"
    await asyncio.sleep(0.6)
    second = await claim(30)
    assert second is not None
    assert second.fence == first.fence + 1
    failure = settlement.Failure("internal", "Something went wrong.")
    async with resources.db.transaction() as session:
        with pytest.raises(LeaseLost):
            await claims.renew(session, first, 30)
        with pytest.raises(LeaseLost):
            await settlement.fail(session, first, failure)
    async with resources.db.transaction() as session:
        assert len(await settlement.fail(session, second, failure)) > 0
    async with resources.db.transaction() as session:
        with pytest.raises(LeaseLost):
            await settlement.fail(session, second, failure)


@pytest.mark.hazard("S14")
async def test_a_task_that_waits_for_another_attempt_keeps_its_place(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    queue = Queue(resources.settings, QUEUE, redis=resources.redis)
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        async with resources.db.transaction() as session:
            held = await claims.claim(session, UUID(task_id), 1, owner="dead", lease_s=0.1)
        assert held is not None
        await asyncio.sleep(0.2)
        await reconcile(resources, queue)
        assert (await task_row(resources, task_id))[:2] == ("queued", 2)
        await Relay(resources).send_due()
        async with resources.db.transaction() as session:
            await session.execute(text("UPDATE tasks SET queued_at = now() - interval '1 hour'"))
        await reconcile(resources, queue)
        assert (await task_row(resources, task_id))[:2] == ("queued", 2), "its job still waits"
        async with worker_here(resources):
            assert (await ended(browser, task_id, wait_s=30))["status"] == "completed"


async def test_a_lease_that_ends_with_the_settlement_takes_nothing_back(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete = settlement.complete

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        told = await complete(*args, **kwargs)
        # Meanwhile the lease's keeper waits for the task's row, and finds it ended.
        await asyncio.sleep(resources.settings.lease_s * 0.6)
        return told

    monkeypatch.setattr(settlement, "complete", slowly)
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        async with worker_here(resources):
            assert (await ended(browser, task_id, wait_s=30))["status"] == "completed"
    async with resources.db.transaction() as session:
        assert await session.scalar(text("SELECT sum(usage_count) FROM tools")) == 1


async def test_a_failure_of_ours_leaves_no_call_open(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(storing, "store", broken)
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        async with worker_here(resources):
            task = await ended(browser, task_id, wait_s=30)
    assert (task["status"], task["error"]["type"]) == ("failed", "internal")
    assert task["receipt"]["released"] == 5
    async with resources.db.transaction() as session:
        assert await session.scalar(text("SELECT state FROM provider_calls")) == "abandoned"


async def test_a_round_cut_short_leaves_no_later_act_half_begun(resources: Resources) -> None:
    gc.collect()  # what others have left
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", RuntimeWarning)  # as of a coroutine nobody has awaited
        asking = asyncio.create_task(ask_vendors(resources, Engine(resources, "stopped-at-once")))
        await asyncio.sleep(0)  # in its first act by now
        asking.cancel()
        await asyncio.wait({asking})
        gc.collect()
    assert asking.cancelled()
    assert [str(complaint.message) for complaint in complaints] == []
