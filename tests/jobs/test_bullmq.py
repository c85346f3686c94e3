"""Six defects of the Python package, each shown on the bare package and absent here.

Every scene is played twice at once: by ``bullmq.Worker`` as it comes, and by our façade. Where a
new version of the package has repaired a defect, the bare half fails and says so; then the
precaution in ``jobs/queue.py`` can go.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from tests.conftest import MakeUser
from tests.jobs.workers import AtWork, Bare, Client, Ours, recorder, short_locks, until

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources, open_resources
from funmagic.core.settings import Settings
from funmagic.jobs.queue import IDLE_WAIT_S
from funmagic.tasks import claims

REPAIRED = "the bare package no longer does this: our precaution may be dropped"

ADD_TASK = text("""
    INSERT INTO tasks (id, user_id, tool_id, status, price_credits, input, config, request_hash,
                       deadline_at)
    SELECT :id, :user_id, tools.id, 'queued', 0, '{}', '{"deadlineS": 60}', sha256(''),
           now() + interval '1 hour'
      FROM tools LIMIT 1
""")


@pytest.fixture(autouse=True)
async def nothing_the_bare_package_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[None]:
    """Its workers leave connections open, of which the collector complains at any later moment."""
    yield
    await asyncio.sleep(0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)
        gc.collect()


async def test_leaving_with_several_jobs_at_work_starts_none_of_them_twice(
    settings: Settings, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With concurrency above one, ``close()`` stops renewing locks when the first job ends."""
    short_locks(monkeypatch, 1_200)

    async def scene(client: Client) -> list[int]:
        started: list[int] = []

        async def work(job: dict[str, Any]) -> None:
            started.append(job["n"])
            await asyncio.sleep(job["takes_s"])

        leaving = await client.start(work, concurrency=3)
        await client.add("job-1", {"n": 1, "takes_s": 0.2})
        await client.add("job-2", {"n": 2, "takes_s": 4})
        await until(lambda: len(started) == 2)
        staying = await client.start(work)
        await leaving.leave()
        await staying.fall()
        return sorted(started)

    bare, ours = await asyncio.gather(scene(Bare(settings)), scene(Ours(settings)))
    assert ours == [1, 2]
    assert bare == [1, 2, 2], REPAIRED


async def test_a_cancelled_error_in_a_handler_does_not_end_the_worker(
    settings: Settings, resources: Resources
) -> None:
    """It gets out of the processor and ends the worker's loop; nobody hears of it."""

    async def scene(client: Client) -> tuple[list[int], bool, list[Any]]:
        seen: list[int] = []
        heard: list[Any] = []

        async def record(job: dict[str, Any]) -> None:
            seen.append(job["n"])
            if job["n"] == 1:
                raise asyncio.CancelledError

        worker = await client.start(record)
        worker.bullmq.on("error", heard.append)
        await client.add("job-1", {"n": 1})
        await client.add("job-2", {"n": 2})
        await until(lambda: len(seen) == 2 or worker.has_ended)
        ended = worker.has_ended
        await worker.fall()
        return seen, ended, heard

    bare, ours = await asyncio.gather(scene(Bare(settings)), scene(Ours(settings)))
    assert ours == ([1, 2], False, [])
    assert bare == ([1], True, []), REPAIRED


async def test_an_idle_worker_takes_a_new_job_at_once(
    settings: Settings, resources: Resources
) -> None:
    """The client's read timeout equals the blocking read's: idle reads end as errors.

    Then the worker's connection is given up and a pause is made, while new jobs wait. Which of the
    two ends first is a race; so several bare workers are left idle, and again if need be.
    """

    async def scene(client: Client, prefix: str) -> tuple[bool, float]:
        late_s: list[float] = []

        async def record(job: dict[str, Any]) -> None:
            late_s.append(time.monotonic() - job["at"])

        worker = await client.start(record)
        await until(lambda: worker.bullmq.waiting is not None)
        await asyncio.sleep(0.1)
        before = await _connections(resources.redis, prefix)
        await asyncio.sleep(IDLE_WAIT_S + 0.2)
        kept = bool(before) and before <= await _connections(resources.redis, prefix)
        await client.add(f"job-{new_id()}", {"at": time.monotonic()})
        await until(lambda: bool(late_s), 30)
        await worker.fall()
        return kept, late_s[0]

    async def bare_scenes() -> tuple[bool, float]:
        for attempt in range(3):
            names = [f"bare-{attempt}-{number}" for number in range(3)]
            prefix = settings.queue_prefix
            played = [scene(Bare(settings, name), f"{prefix}-{name}:") for name in names]
            kept, late_s = max(await asyncio.gather(*played), key=lambda seen: seen[1])
            if not kept:
                break
        return kept, late_s

    (bare_kept, bare_late_s), (ours_kept, ours_late_s) = await asyncio.gather(
        bare_scenes(), scene(Ours(settings), f"{settings.queue_prefix}:")
    )
    assert ours_kept
    assert not bare_kept, REPAIRED
    assert ours_late_s < bare_late_s


async def test_a_worker_whose_loop_stands_still_does_no_work_twice(
    settings: Settings, resources: Resources, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is blocked renews no lock; the job comes to a second worker all the same.

    No wrap can help there. So the queue may deliver twice, and the task's lease decides who works.
    """
    short_locks(monkeypatch)
    ada = await make_user()
    task_id = new_id()
    async with resources.db.transaction() as session:
        await session.execute(ADD_TASK, {"id": task_id, "user_id": ada.id})

    bare = await _play_standstill(Bare(settings), settings, None)
    ours = await _play_standstill(Ours(settings), settings, task_id)
    assert ours == (["still", "second"], ["still"])
    assert bare == (["still", "second"], ["still", "second"]), REPAIRED


async def test_a_listener_that_raises_does_not_keep_jobs_from_completing(
    settings: Settings, resources: Resources
) -> None:
    """It raises into the worker: jobs taken are never run, and the loop ends."""

    def broken(*_: Any) -> None:
        raise RuntimeError("a listener")

    async def scene(client: Client) -> tuple[list[int], int, bool]:
        seen: list[int] = []
        worker = await client.start(recorder(seen), concurrency=2)
        for event in ("active", "completed", "failed", "error"):
            worker.bullmq.on(event, broken)
        for number in range(3):
            await client.add(f"job-{number}", {"n": number})
        await until(lambda: len(seen) == 3 or worker.has_ended)
        ended = worker.has_ended
        await (worker.fall() if ended else worker.leave())
        return sorted(seen), await client.count("completed"), ended

    bare, ours = await asyncio.gather(scene(Bare(settings)), scene(Ours(settings)))
    assert ours == ([0, 1, 2], 3, False)
    assert bare == ([], 0, True), REPAIRED


@pytest.mark.hazard("S14")
async def test_a_finished_id_does_not_run_again_but_a_new_one_does(
    settings: Settings, resources: Resources
) -> None:
    """``removeOnComplete: true``, as most examples have it, forgets the id with the job."""

    async def scene(client: Client) -> list[int]:
        seen: list[int] = []

        async def record(job: dict[str, Any]) -> None:
            seen.append(job["n"])
            if job["n"] == 2:
                raise RuntimeError("broken")

        worker = await client.start(record)
        for last in (3, 4):  # jobs run in the order of their adding
            await client.add("done", {"n": 1})
            await client.add("broken", {"n": 2})
            await client.add(f"last-{last}", {"n": last})
            await until(lambda last=last: last in seen)  # type: ignore[misc]  # bound per round
        await worker.leave()
        return sorted(seen)

    bare, ours = await asyncio.gather(
        scene(Bare(settings, removeOnComplete=True)), scene(Ours(settings))
    )
    assert ours == [1, 2, 3, 4]
    assert bare == [1, 1, 2, 3, 4], REPAIRED


async def _connections(redis: Redis, prefix: str) -> set[str]:
    """Ids of the server's connections that workers of ``prefix`` have named."""
    listed: list[dict[str, str]] = await redis.client_list()
    return {one["id"] for one in listed if one["name"].startswith(prefix)}


async def _play_standstill(
    client: Client, settings: Settings, task_id: UUID | None
) -> tuple[list[str], list[str]]:
    """A worker in a thread stands still with a job until a second worker has got it too.

    Returns who was given the job and who worked. With a task, only who claims it works.
    """
    given: list[str] = []
    worked: list[str] = []
    second_has_it = threading.Event()

    async def perform(who: str, resources: Resources) -> None:
        given.append(who)
        if task_id is not None:
            async with resources.db.transaction() as session:
                if await claims.claim(session, task_id, 1, owner=who, lease_s=60) is None:
                    return
        worked.append(who)

    async def stand_still() -> None:
        async with open_resources(settings) as resources:

            async def block(_: dict[str, Any]) -> None:
                await perform("still", resources)
                second_has_it.wait(30)  # the whole loop, on purpose

            worker = await client.start(block)
            await client.add("job-1", {"n": 1})
            await until(second_has_it.is_set, 40)
            await _leave_behind(worker)

    async with open_resources(settings) as resources:

        async def take(_: dict[str, Any]) -> None:
            await perform("second", resources)
            second_has_it.set()

        still = asyncio.create_task(asyncio.to_thread(asyncio.run, stand_still()))
        await until(lambda: bool(given))
        second = await client.start(take)
        await still
        await second.fall()
    return given, worked


async def _leave_behind(worker: AtWork) -> None:
    """Stop a worker whose job is another's by now."""
    await asyncio.sleep(0.1)
    await worker.fall()
