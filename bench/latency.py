"""From the commit to the worker's claim, next to BullMQ from its add to its processor."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import bullmq
from sqlalchemy import text

from bench import noop
from bench.ground import Ground
from bench.measure import percentile, table
from bench.processes import python_worker
from bench.worker import BARE_QUEUE
from funmagic.tasks import service
from funmagic.tasks.orders import NewTask

BLOCKS = 4
BLOCK = 80  # jobs one after the other, before the other side has its turn
PAUSE_S = 0.01  # after a job's end: the worker is idle again
WARM_UP = 20
PATIENCE_S = 60

STATUS = text("SELECT status FROM tasks WHERE id = :task_id")


async def run(ground: Ground) -> str:
    """One job at a time, ours and bare ones in blocks by turns; the workers are processes."""
    queue = bullmq.Queue(BARE_QUEUE, {"connection": ground.resources.redis})

    async def ours() -> tuple[str, float]:
        person = ground.people[0]
        async with ground.resources.db.transaction() as session:
            created = await service.create(session, person.user, NewTask(noop.SLUG, None, {}, None))
        committed = time.time()
        await service.dispatch(ground.resources, created.id)
        return str(created.id), committed

    async def bare() -> tuple[str, float]:
        job_id = str(uuid4())
        adding = time.time()
        await queue.add("job", {"n": 1}, {"jobId": job_id})
        return job_id, adding

    async def our_end(task_id: str) -> bool:
        async with ground.resources.db.transaction() as session:
            found = await session.execute(STATUS, {"task_id": UUID(task_id)})
        return bool(found.scalar_one() == "completed")

    async def bare_end(job_id: str) -> bool:
        return bool(await queue.getJobState(job_id) == "completed")

    sides = {"ours": (ours, our_end), "bare": (bare, bare_end)}
    left: dict[str, list[tuple[str, float]]] = {side: [] for side in sides}
    async with (
        python_worker(ground, "ours") as our_worker,
        python_worker(ground, "bare") as bare_worker,
    ):
        for start, ended in sides.values():
            await _block(start, ended, WARM_UP)
        for _ in range(BLOCKS):
            for side, (start, ended) in sides.items():
                left[side] += await _block(start, ended, BLOCK)
        await our_worker.stop()
        await bare_worker.stop()
    head = ["From the commit, or the add, to the worker", "jobs", "p50 ms", "p99 ms", "slowest ms"]
    return table(
        head,
        [
            _row("ours: commit to claim", left["ours"], our_worker.began),
            _row("bare BullMQ, Python: add to processor", left["bare"], bare_worker.began),
        ],
    )


async def _block(
    start: Callable[[], Awaitable[tuple[str, float]]],
    ended: Callable[[str], Awaitable[bool]],
    jobs: int,
) -> list[tuple[str, float]]:
    """Start jobs one after the other, each when the last has ended."""
    started = []
    for _ in range(jobs):
        job_id, at = await start()
        async with asyncio.timeout(PATIENCE_S):
            while not await ended(job_id):  # noqa: ASYNC110 - another process works
                await asyncio.sleep(PAUSE_S)
        await asyncio.sleep(PAUSE_S)
        started.append((job_id, at))
    return started


def _row(name: str, left: list[tuple[str, float]], began: dict[str, float]) -> list[str]:
    waits_ms = [(began[job_id] - at) * 1000 for job_id, at in left]
    figures = (statistics.median(waits_ms), percentile(waits_ms, 0.99), max(waits_ms))
    return [name, str(len(waits_ms)), *(f"{figure:.1f}" for figure in figures)]
