"""Rounds come again whatever became of the last one."""

from __future__ import annotations

import asyncio
import time

from funmagic.jobs.schedule import Every, pause


async def test_a_failed_or_hanging_round_is_followed_by_the_next() -> None:
    rounds: list[int] = []

    async def act() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise RuntimeError("broken")
        if len(rounds) == 2:
            await asyncio.sleep(60)

    stop = asyncio.Event()
    running = asyncio.create_task(Every(0.01, act, timeout_s=0.1).run(stop))
    async with asyncio.timeout(5):
        while len(rounds) < 5:  # noqa: ASYNC110 - rounds come by themselves
            await asyncio.sleep(0.01)
    stop.set()
    await running


async def test_stopping_does_not_wait_for_the_next_round() -> None:
    async def act() -> None:
        pass

    stop = asyncio.Event()
    running = asyncio.create_task(Every(60, act).run(stop))
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(running, 1)


async def test_a_round_under_way_is_finished() -> None:
    finished: list[bool] = []

    async def act() -> None:
        await asyncio.sleep(0.2)
        finished.append(True)

    stop = asyncio.Event()
    running = asyncio.create_task(Every(60, act).run(stop))
    await asyncio.sleep(0.05)
    stop.set()
    await running
    assert finished == [True]


async def test_a_pause_ends_early_when_asked_to_stop() -> None:
    stop = asyncio.Event()
    began = time.monotonic()
    await pause(stop, 0.05)
    stop.set()
    await pause(stop, 60)
    assert time.monotonic() - began < 1
