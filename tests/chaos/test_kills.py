"""A worker killed anywhere: one result, one charge, and no create more than cannot be avoided."""

from __future__ import annotations

import asyncio
import random
import signal
import time

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Nursery, Point
from tests.chaos.points import ELSEWHERE, IN_THE_GAP, ON_THE_WAY
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.conftest import MakeUser, Site
from tests.soak import rounds
from tests.tasks.runs import create, ended
from tests.uploads import upload
from tests.vendors import FalControl

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
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
async def test_workers_killed_at(
    point: Point,
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    alone = settings.model_copy(update={"worker_concurrency": 1})
    async with site.browser(await make_user(credits_=5 * AT_ONCE * len(ROUNDS))) as browser:
        photo = await upload(browser, astronaut)
        for seed in ROUNDS:
            chance = random.Random(f"{point.name} {seed}")
            await fal.reset()
            victims = []
            asked = [(await create(browser, photo)).json()["taskId"] for _ in range(AT_ONCE)]
            for _ in range(AT_ONCE):
                await fal.pace(queue_s=chance.choice([0, 0.2]), work_s=chance.uniform(0.1, 0.6))
                victims.append(await nursery.start(alone, point))
                await asyncio.sleep(chance.uniform(0, 0.2))
            for victim in victims:
                assert (await nursery.wait(victim)).killed, "no worker came by"
            killed_at = time.monotonic()
            async with nursery.worker(settings):
                for task_id in asked:
                    task = await ended(browser, task_id, wait_s=RESUMED_WITHIN_S)
                    await assert_delivered_once(resources, task)
            assert time.monotonic() - killed_at < RESUMED_WITHIN_S
            jobs = len(await fal.jobs())
            assert jobs == AT_ONCE + (AT_ONCE if point in IN_THE_GAP else 0), f"round {seed}"
    await assert_books_are_right(resources)


@pytest.mark.hazard("M7")
@pytest.mark.parametrize("point", ON_THE_WAY, ids=lambda point: point.name)
async def test_a_relay_killed_at(
    point: Point,
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The web process died before it could send the job, and then the relay that would."""

    async def not_sent(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(outbox, "dispatch_now", not_sent)
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        asked = [(await create(browser, photo)).json()["taskId"] for _ in range(AT_ONCE)]
        victim = await nursery.start(settings, point)
        assert (await nursery.wait(victim)).killed, "no relay came by"
        async with nursery.worker(settings):
            for task_id in asked:
                task = await ended(browser, task_id, wait_s=RESUMED_WITHIN_S)
                await assert_delivered_once(resources, task)
    assert len(await fal.jobs()) == AT_ONCE
    await assert_books_are_right(resources)


@pytest.mark.hazard("M10")
async def test_a_worker_killed_while_the_vendor_answers_a_create(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """The vendor has made the job, and nobody is left to hear of it."""
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        await fal.fault("submit", cut="after", delayS=0)
        victim = await nursery.start(
            settings, Point("lost answer", "funmagic.tasks.calling:_stopped")
        )
        assert (await nursery.wait(victim)).killed
        assert len(await fal.jobs()) == 1
        async with nursery.worker(settings):
            task = await ended(browser, task_id, wait_s=RESUMED_WITHIN_S)
    await assert_delivered_once(resources, task)
    assert len(await fal.jobs()) == 2, "one more, and not another"
    await assert_books_are_right(resources)


@pytest.mark.hazard("M10")
async def test_a_second_kill_in_the_gap_ends_the_task_unpaid(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """One more create is made where a call's fate is unknown, and never a third."""
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        for _ in range(2):
            victim = await nursery.start(settings, IN_THE_GAP[0])
            assert (await nursery.wait(victim)).killed
        async with nursery.worker(settings):
            task = await ended(browser, task_id, wait_s=RESUMED_WITHIN_S)
    assert (task["status"], task["error"]["type"]) == ("failed", "provider_error")
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
    assert len(await fal.jobs()) == 2
    await assert_books_are_right(resources)


@pytest.mark.hazard("M6")
@pytest.mark.timeout(rounds(120, 7200))
async def test_workers_killed_at_any_moment_one_after_another(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """Several tasks at once, a new worker as soon as one is dead, at moments nobody chose."""
    rounds_ = rounds(3, 300)
    async with site.browser(await make_user(credits_=20 * rounds_)) as browser:
        photo = await upload(browser, astronaut)
        for seed in range(rounds_):
            chance = random.Random(seed)
            await fal.reset()
            await fal.pace(queue_s=0.2, work_s=0.6)
            asked = [(await create(browser, photo)).json() for _ in range(4)]
            kills = chance.randint(2, 4)
            for _ in range(kills):
                victim = await nursery.start(settings)
                await asyncio.sleep(chance.uniform(0.1, 1.2))
                await nursery.send_signal(victim, signal.SIGKILL)
                await nursery.wait(victim)
            async with nursery.worker(settings):
                tasks = [await ended(browser, task["taskId"], wait_s=60) for task in asked]
            # A kill in the gap may cost a create; a second one there ends the task unpaid.
            for task in tasks:
                if task["status"] == "completed":
                    await assert_delivered_once(resources, task)
                else:
                    assert task["receipt"]["released"] == 5, f"seed {seed}"
            async with resources.db.transaction() as session:
                orphans = int(await session.scalar(ORPHANS) or 0)
            assert len(await fal.jobs()) <= len(asked) + orphans, f"round {seed}"
    await assert_books_are_right(resources)
