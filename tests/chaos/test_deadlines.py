"""The deadline: one last question, then an end; what comes later is nobody's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Point
from tests.chaos.stage import Stage
from tests.chaos.truths import assert_books_are_right, assert_delivered_once

TIMED_OUT = {"type": "provider_timeout", "message": "AI service timed out. Credits refunded."}
HURRY = text("""
    UPDATE tasks
       SET config = jsonb_set(config, '{deadlineS}', to_jsonb(CAST(:seconds AS float)))
""")
OVERDUE = text("UPDATE tasks SET deadline_at = now()")
CALL = text("SELECT state, cost_usd_micros, response FROM provider_calls")
OUTPUTS = text("SELECT count(*) FROM assets WHERE source = 'output'")
HANDLE_COMMITTED = Point("handle committed", "funmagic.tasks.calling:Caller._wait")


async def test_what_is_ready_at_the_deadline_is_delivered(stage: Stage) -> None:
    """The vendor wants to be left alone beyond the deadline; the last question is asked even so."""
    await stage.fal.fault("status", status=429, headers={"Retry-After": "600"})
    async with stage.person() as ada:
        task_id = await ada.ask()
        await stage.execute(HURRY, seconds=4)
        async with stage.nursery.worker(stage.settings):
            await assert_delivered_once(stage.resources, await ada.ended(task_id))
    assert len(await stage.fal.jobs()) == 1


@pytest.mark.hazard("M8")
async def test_a_result_that_comes_too_late_is_paid_by_us_and_given_to_nobody(
    stage: Stage,
) -> None:
    await stage.fal.pace(work_s=6)
    await stage.fal.fault("cancel", status=400, body={"status": "ALREADY_COMPLETED"})
    async with stage.person() as ada:
        task_id = await ada.ask()
        await stage.execute(HURRY, seconds=2)
        async with stage.nursery.worker(stage.settings):
            task = await ada.ended(task_id)
            assert task["error"] == TIMED_OUT
            assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
            assert any(request["at"] == "cancel" for request in await stage.fal.requests())
            call = await answered_call(stage)
        assert (await ada.ended(task_id))["status"] == "failed"
    assert (call.state, call.response) == ("abandoned", {"discarded": True})
    assert call.cost_usd_micros > 0
    assert await stage.scalar(OUTPUTS) == 0
    (job,) = await stage.fal.jobs()
    assert job["fileFetches"] == 0
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M6")
@pytest.mark.parametrize("is_ready", [True, False], ids=["ready", "not ready"])
async def test_a_task_whose_worker_died_is_asked_for_once_more_after_its_deadline(
    is_ready: bool, stage: Stage
) -> None:
    await stage.fal.pace(work_s=0.1 if is_ready else 60)
    async with stage.person() as ada:
        task_id = await ada.ask()
        await stage.kill_at(HANDLE_COMMITTED)
        await stage.execute(OVERDUE)
        async with stage.nursery.worker(stage.settings):
            task = await ada.ended(task_id)
    if is_ready:
        await assert_delivered_once(stage.resources, task)
    else:
        assert task["error"] == TIMED_OUT
        assert task["receipt"]["released"] == 5
    assert len(await stage.fal.jobs()) == 1
    await assert_books_are_right(stage.resources)


async def answered_call(stage: Stage) -> Any:
    """The only call, once its cost is booked."""
    for _ in range(200):
        async with stage.resources.db.transaction() as session:
            call = (await session.execute(CALL)).one()
        if call.response is not None:
            return call
        await asyncio.sleep(0.2)
    raise AssertionError("nobody asked what the call has cost")
