"""A worker told to stop: it takes nothing more, hands over what waits, and is gone in time."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.chaos.stage import Stage
from tests.chaos.truths import assert_books_are_right, assert_delivered_once

from funmagic.core.db import DatabaseAway
from funmagic.providers import calls, registry
from funmagic.tasks import calling
from funmagic.tasks.engine import Engine

STATUSES = text("SELECT string_agg(DISTINCT status, ' ') FROM tasks")
CALL_STATES = text("SELECT string_agg(state, ' ') FROM provider_calls")
TAKE_OVER = text("UPDATE tasks SET fence = fence + 1")
LONG_LEASE_S = 60.0
GONE_WITHIN_S = 15.0


@pytest.fixture
def engine(stage: Stage) -> Engine:
    """A worker's hands in this process."""
    registry.open(registry.place_of(stage.settings))
    return Engine(stage.resources, "tests")


@pytest.mark.hazard("S9")
async def test_a_stopping_worker_hands_over_what_the_vendor_works_on(stage: Stage) -> None:
    """With leases as long as these, only a hand-over lets the next worker have it at once."""
    lasting = stage.settings.model_copy(update={"lease_s": LONG_LEASE_S})
    await stage.fal.pace(work_s=6)
    async with stage.person() as ada:
        asked = [await ada.ask() for _ in range(3)]
        first = await stage.nursery.start(lasting)  # takes two at once; the third still waits
        await stage.fal.until_jobs(2)
        began = time.monotonic()
        await stage.nursery.send_signal(first, signal.SIGTERM)
        assert (await stage.nursery.wait(first)).status == 0
        assert time.monotonic() - began < GONE_WITHIN_S
        assert await stage.scalar(STATUSES) == "queued"
        async with stage.nursery.worker(lasting):
            for task_id in asked:
                task = await ada.ended(task_id, wait_s=LONG_LEASE_S / 2)
                await assert_delivered_once(stage.resources, task)
    assert len(await stage.fal.jobs()) == 3, "nobody was asked twice"
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("S9")
async def test_a_worker_stopped_while_it_asks_learns_the_answer_first(stage: Stage) -> None:
    """A create is under way when the worker is told to stop: its handle is kept."""
    await stage.fal.fault("submit", delayS=1.5)
    async with stage.person() as ada:
        task_id = await ada.ask()
        first = await stage.nursery.start(stage.settings)
        await stage.fal.until_asked("submit")
        await stage.nursery.send_signal(first, signal.SIGTERM)
        assert (await stage.nursery.wait(first)).status == 0
        async with stage.nursery.worker(stage.settings):
            await assert_delivered_once(stage.resources, await ada.ended(task_id))
    assert len(await stage.fal.jobs()) == 1


@pytest.mark.hazard("M10")
async def test_a_worker_interrupted_while_it_asks_keeps_the_handle(
    stage: Stage, engine: Engine
) -> None:
    """Its patience is over and the job is taken out of its hands, amid a create."""
    await stage.fal.fault("submit", delayS=1.0)
    async with stage.person() as ada:
        task_id = await ada.ask()
        running = asyncio.create_task(engine.run(UUID(task_id), 1))
        await stage.fal.until_asked("submit")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await stage.scalar(CALL_STATES) == "submitted"
        assert await stage.scalar(STATUSES) == "queued"
        async with stage.nursery.worker(stage.settings):
            await assert_delivered_once(stage.resources, await ada.ended(task_id))
    assert len(await stage.fal.jobs()) == 1


@pytest.mark.hazard("M10")
async def test_a_worker_that_lost_its_lease_while_it_uploads_makes_no_job(
    stage: Stage, engine: Engine
) -> None:
    await stage.fal.fault("upload", delayS=1.0)
    async with stage.person() as ada:
        running = asyncio.create_task(engine.run(UUID(await ada.ask()), 1))
        await stage.fal.until_asked("upload")
        await stage.execute(TAKE_OVER)
        await running
    assert await stage.fal.jobs() == []
    assert await stage.scalar(CALL_STATES) is None


@pytest.mark.hazard("M10")
async def test_a_handle_is_written_as_soon_as_the_database_is_back(
    stage: Stage, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    submitted = calls.submitted

    async def away_at_first(*arguments: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DatabaseAway("restarting")
        return await submitted(*arguments)

    monkeypatch.setattr(calls, "submitted", away_at_first)
    monkeypatch.setattr(calling, "NOTE_PAUSE_S", 0.1)
    async with stage.person() as ada:
        task_id = await ada.ask()
        await engine.run(UUID(task_id), 1)
        await assert_delivered_once(stage.resources, await ada.ended(task_id))
    assert (tries, len(await stage.fal.jobs())) == (3, 1)
