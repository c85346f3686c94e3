"""The deadline: one last question, then an end; what comes later is nobody's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Nursery, Point
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.conftest import MakeUser, Site
from tests.tasks.runs import create, ended
from tests.uploads import upload
from tests.vendors import FalControl

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings

TIMED_OUT = {"type": "provider_timeout", "message": "AI service timed out. Credits refunded."}
HURRY = text(
    "UPDATE tasks SET config = jsonb_set(config, '{deadlineS}', to_jsonb(CAST(:seconds AS float)))"
)
OVERDUE = text("UPDATE tasks SET deadline_at = now()")
CALLS = text("SELECT state, cost_usd_micros, response FROM provider_calls ORDER BY call_no")
OUTPUTS = text("SELECT count(*) FROM assets WHERE source = 'output'")


async def hurry(resources: Resources, seconds: float) -> None:
    async with resources.db.transaction() as session:
        await session.execute(HURRY, {"seconds": seconds})


async def calls(resources: Resources) -> list[Any]:
    async with resources.db.transaction() as session:
        return list(await session.execute(CALLS))


async def test_what_is_ready_at_the_deadline_is_delivered(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """The vendor wants to be left alone beyond the deadline; the last question is asked even so."""
    await fal.fault("status", status=429, headers={"Retry-After": "600"})
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        await hurry(resources, 4)
        async with nursery.worker(settings):
            task = await ended(browser, task_id, wait_s=30)
    await assert_delivered_once(resources, task)
    assert len(await fal.jobs()) == 1


@pytest.mark.hazard("M8")
async def test_a_result_that_comes_too_late_is_paid_by_us_and_given_to_nobody(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    await fal.pace(work_s=6)
    await fal.fault("cancel", status=400, body={"status": "ALREADY_COMPLETED"})
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        await hurry(resources, 2)
        async with nursery.worker(settings):
            task = await ended(browser, task_id, wait_s=30)
            assert task["error"] == TIMED_OUT
            assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
            assert any(request["at"] == "cancel" for request in await fal.requests())
            for _ in range(200):
                (call,) = await calls(resources)
                if call.response is not None:
                    break
                await asyncio.sleep(0.2)
        again = (await browser.get(f"/api/tasks/{task_id}")).json()
    assert (call.state, call.response) == ("abandoned", {"discarded": True})
    assert call.cost_usd_micros > 0
    assert again["status"] == "failed"
    async with resources.db.transaction() as session:
        assert await session.scalar(OUTPUTS) == 0
    (job,) = await fal.jobs()
    assert job["fileFetches"] == 0
    await assert_books_are_right(resources)


@pytest.mark.hazard("M6")
@pytest.mark.parametrize("is_ready", [True, False], ids=["ready", "not ready"])
async def test_a_task_whose_worker_died_is_asked_for_once_more_after_its_deadline(
    is_ready: bool,
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    await fal.pace(work_s=0.1 if is_ready else 60)
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        point = Point("handle committed", "funmagic.tasks.calling:Caller._wait")
        victim = await nursery.start(settings, point)
        assert (await nursery.wait(victim)).killed
        async with resources.db.transaction() as session:
            await session.execute(OVERDUE)
        async with nursery.worker(settings):
            task = await ended(browser, task_id, wait_s=30)
    if is_ready:
        await assert_delivered_once(resources, task)
    else:
        assert task["error"] == TIMED_OUT
        assert task["receipt"]["released"] == 5
    assert len(await fal.jobs()) == 1
    await assert_books_are_right(resources)
