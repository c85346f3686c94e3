"""Whole no-op tasks per second, next to the queue's own empty jobs in Python and in Node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import bullmq
from sqlalchemy import text

from bench import noop
from bench.ground import CLIENTS, Ground
from bench.measure import in_turns, table
from bench.processes import node_add, node_worker, python_worker
from bench.worker import BARE_QUEUE
from funmagic.tasks import service
from funmagic.tasks.orders import NewTask

ROUNDS = 3
TASKS = 160
BARE_JOBS = 2_000
NODE_QUEUE = "node"
PATIENCE_S = 60

COMPLETED = text("SELECT count(*) FROM tasks WHERE status = 'completed'")

OURS = "ours: create, queue, claim, call, settle"
PYTHON = "bare BullMQ jobs, Python"
NODE = "bare BullMQ jobs, Node"


async def run(ground: Ground) -> str:
    """From the first creation to the last end; one process starts jobs, another works."""
    contestants = {
        OURS: partial(_ours, ground),
        PYTHON: partial(_python, ground),
        NODE: partial(_node, ground),
    }
    async with (
        python_worker(ground, "ours"),
        python_worker(ground, "bare"),
        node_worker(ground, NODE_QUEUE),
    ):
        await in_turns(contestants, rounds=1)  # until the workers are up, and warm
        reached = await in_turns(contestants, rounds=ROUNDS)
    rows = [
        [
            name,
            f"{figures.median:,.0f}",
            figures.spread(),
            f"{figures.median / reached[OURS].median:.1f}×",
        ]
        for name, figures in reached.items()
    ]
    head = [f"No-op jobs from end to end, {CLIENTS} at once", "a second", "slowest … fastest"]
    return table([*head, "of ours"], rows)


async def _ours(ground: Ground) -> float:
    async def completed() -> int:
        async with ground.resources.db.transaction() as session:
            return int((await session.execute(COMPLETED)).scalar_one())

    async def start(number: int) -> None:
        person = ground.people[number % CLIENTS]
        async with ground.resources.db.transaction() as session:
            created = await service.create(session, person.user, NewTask(noop.SLUG, None, {}, None))
        await service.dispatch(ground.resources, created.id)

    return await _timed(TASKS, partial(_spread, start, TASKS), completed)


async def _python(ground: Ground) -> float:
    queue = bullmq.Queue(BARE_QUEUE, {"connection": ground.resources.redis})

    async def start(number: int) -> None:
        await queue.add("job", {"n": number}, {})

    return await _timed(
        BARE_JOBS, partial(_spread, start, BARE_JOBS), partial(_done, ground, BARE_QUEUE)
    )


async def _node(ground: Ground) -> float:
    """Node's own start counts as nothing: the time runs from the first job it has added."""
    wanted = await _done(ground, NODE_QUEUE) + BARE_JOBS
    before = await _last_id(ground, NODE_QUEUE)
    adding = asyncio.create_task(node_add(ground, NODE_QUEUE, BARE_JOBS))
    async with asyncio.timeout(PATIENCE_S):
        while await _last_id(ground, NODE_QUEUE) == before:  # noqa: ASYNC110 - another process adds
            await asyncio.sleep(0.002)
        began = time.perf_counter()
        while await _done(ground, NODE_QUEUE) < wanted:  # noqa: ASYNC110 - another process works
            await asyncio.sleep(0.005)
    took_s = time.perf_counter() - began
    await adding
    return BARE_JOBS / took_s


async def _spread(start: Callable[[int], Awaitable[None]], jobs: int) -> None:
    """Start ``jobs``, as many at once as there are clients."""
    numbers = iter(range(jobs))

    async def client() -> None:
        for number in numbers:
            await start(number)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _timed(
    jobs: int, start: Callable[[], Awaitable[None]], done: Callable[[], Awaitable[int]]
) -> float:
    """Jobs per second from before the first start to the last end."""
    wanted = await done() + jobs
    began = time.perf_counter()
    async with asyncio.timeout(PATIENCE_S):
        await start()
        while await done() < wanted:  # noqa: ASYNC110 - the workers are other processes
            await asyncio.sleep(0.005)
    return jobs / (time.perf_counter() - began)


async def _done(ground: Ground, queue: str) -> int:
    return int(await ground.resources.redis.zcard(f"bull:{queue}:completed"))


async def _last_id(ground: Ground, queue: str) -> int:
    """The id the queue has last given."""
    return int(await ground.resources.redis.get(f"bull:{queue}:id") or 0)
