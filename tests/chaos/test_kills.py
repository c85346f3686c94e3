"""A worker killed anywhere: one result, one charge, and no create more than cannot be avoided."""

from __future__ import annotations

import asyncio
import random
import signal
import time

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Point
from tests.chaos.points import ELSEWHERE, IN_THE_GAP, ON_THE_WAY
from tests.chaos.stage import Stage
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.soak import rounds

from funmagic.jobs import outbox

AT_ONCE = 3  # workers killed side by side, each over a task of its own
ROUNDS = range(rounds(1, 34))
RESUMED_WITHIN_S = 30
ORPHANS = text("""
    SELECT count(*) FROM provider_calls WHERE state = 'abandoned' AND handle IS NULL
""")


@pytest.mark.hazard("M6")
@pytest.mark.hazard("M10")
@pytest.mark.timeout(rounds(120, 3600))
@pytest.mark.parametrize("point", [*ELSEWHERE, *IN_THE_GAP], ids=lambda point: point.name)
async def test_workers_killed_at(point: Point, stage: Stage) -> None:
    alone = stage.settings.model_copy(update={"worker_concurrency": 1})
    async with stage.person(credits_=5 * AT_ONCE * len(ROUNDS)) as ada:
        for seed in ROUNDS:
            chance = random.Random(f"{point.name} {seed}")
            await stage.fal.reset()
            asked = [await ada.ask() for _ in range(AT_ONCE)]
            victims = []
            for _ in range(AT_ONCE):
                queue_s, work_s = chance.choice([0, 0.2]), chance.uniform(0.1, 0.6)
                await stage.fal.pace(queue_s=queue_s, work_s=work_s)
                victims.append(await stage.nursery.start(alone, point))
                await asyncio.sleep(chance.uniform(0, 0.2))
            for victim in victims:
                assert (await stage.nursery.wait(victim)).killed, "no worker came by"
            killed_at = time.monotonic()
            async with stage.nursery.worker(stage.settings):
                for task_id in asked:
                    task = await ada.ended(task_id, wait_s=RESUMED_WITHIN_S)
                    await assert_delivered_once(stage.resources, task)
            assert time.monotonic() - killed_at < RESUMED_WITHIN_S
            allowed = AT_ONCE + (AT_ONCE if point in IN_THE_GAP else 0)
            assert len(await stage.fal.jobs()) == allowed, f"round {seed}"
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M7")
@pytest.mark.parametrize("point", ON_THE_WAY, ids=lambda point: point.name)
async def test_a_relay_killed_at(
    point: Point, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The web process died before it could send the job, and then the relay that would."""

    async def not_sent(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(outbox, "dispatch_now", not_sent)
    async with stage.person() as ada:
        asked = [await ada.ask() for _ in range(AT_ONCE)]
        await stage.kill_at(point)
        async with stage.nursery.worker(stage.settings):
            for task_id in asked:
                task = await ada.ended(task_id, wait_s=RESUMED_WITHIN_S)
                await assert_delivered_once(stage.resources, task)
    assert len(await stage.fal.jobs()) == AT_ONCE
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M10")
async def test_a_worker_killed_while_the_vendor_answers_a_create(stage: Stage) -> None:
    """The vendor has made the job, and nobody is left to hear of it."""
    await stage.fal.fault("submit", cut="after")
    async with stage.person() as ada:
        task_id = await ada.ask()
        await stage.kill_at(Point("lost answer", "funmagic.tasks.calling:stopped"))
        assert len(await stage.fal.jobs()) == 1
        async with stage.nursery.worker(stage.settings):
            task = await ada.ended(task_id, wait_s=RESUMED_WITHIN_S)
    await assert_delivered_once(stage.resources, task)
    assert len(await stage.fal.jobs()) == 2, "one more, and not another"
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M10")
async def test_a_second_kill_in_the_gap_ends_the_task_unpaid(stage: Stage) -> None:
    """One more create is made where a call's fate is unknown, and never a third."""
    async with stage.person() as ada:
        task_id = await ada.ask()
        for _ in range(2):
            await stage.kill_at(IN_THE_GAP[0])
        async with stage.nursery.worker(stage.settings):
            task = await ada.ended(task_id, wait_s=RESUMED_WITHIN_S)
    assert (task["status"], task["error"]["type"]) == ("failed", "provider_error")
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
    assert len(await stage.fal.jobs()) == 2
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M6")
@pytest.mark.timeout(rounds(120, 7200))
async def test_workers_killed_at_any_moment_one_after_another(stage: Stage) -> None:
    """Several tasks at once, a new worker as soon as one is dead, at moments nobody chose."""
    storms = rounds(3, 300)
    async with stage.person(credits_=20 * storms) as ada:
        for seed in range(storms):
            chance = random.Random(seed)
            orphans_before = await stage.scalar(ORPHANS)
            await stage.fal.reset()
            await stage.fal.pace(queue_s=0.2, work_s=0.6)
            asked = [await ada.ask() for _ in range(4)]
            for _ in range(chance.randint(2, 4)):
                victim = await stage.nursery.start(stage.settings)
                await asyncio.sleep(chance.uniform(0.1, 1.2))
                await stage.nursery.send_signal(victim, signal.SIGKILL)
                await stage.nursery.wait(victim)
            async with stage.nursery.worker(stage.settings):
                tasks = [await ada.ended(task_id, wait_s=60) for task_id in asked]
            # A kill in the gap may cost a create; a second one there ends the task unpaid.
            for task in tasks:
                if task["status"] == "completed":
                    await assert_delivered_once(stage.resources, task)
                else:
                    assert task["receipt"]["released"] == 5, f"round {seed}"
            orphans = await stage.scalar(ORPHANS) - orphans_before
            assert len(await stage.fal.jobs()) <= len(asked) + orphans, f"round {seed}"
    await assert_books_are_right(stage.resources)
