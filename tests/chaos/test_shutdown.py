"""A worker told to stop: it takes nothing more, hands over what waits, and is gone in time."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Nursery
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.conftest import MakeUser, Site
from tests.tasks.runs import create, ended
from tests.uploads import upload
from tests.vendors import FalControl

from funmagic import worker
from funmagic.core.db import DatabaseAway
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.providers import calls, registry
from funmagic.tasks import calling
from funmagic.tasks.engine import Engine

STATUSES = text("SELECT status FROM tasks")
CALL_STATES = text("SELECT state FROM provider_calls")
LONG_LEASE_S = 60.0
GONE_WITHIN_S = 15.0


async def until_jobs(fal: FalControl, number: int) -> None:
    for _ in range(300):
        if len(await fal.jobs()) >= number:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the vendor was not asked")


@pytest.mark.hazard("S9")
async def test_a_stopping_worker_hands_over_what_the_vendor_works_on(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """With leases as long as these, only a hand-over lets the next worker have it at once."""
    lasting = settings.model_copy(update={"lease_s": LONG_LEASE_S})
    await fal.pace(work_s=6)
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        asked = [(await create(browser, photo)).json()["taskId"] for _ in range(3)]
        first = await nursery.start(lasting)  # takes two at once; the third still waits
        await until_jobs(fal, 2)
        began = time.monotonic()
        await nursery.send_signal(first, signal.SIGTERM)
        assert (await nursery.wait(first)).status == 0
        assert time.monotonic() - began < GONE_WITHIN_S
        async with resources.db.transaction() as session:
            assert set((await session.execute(STATUSES)).scalars()) == {"queued"}
        async with nursery.worker(lasting):
            tasks = [await ended(browser, task_id, wait_s=LONG_LEASE_S / 2) for task_id in asked]
    for task in tasks:
        await assert_delivered_once(resources, task)
    assert len(await fal.jobs()) == 3, "nobody was asked twice"
    await assert_books_are_right(resources)


@pytest.mark.hazard("S9")
async def test_a_worker_stopped_while_it_asks_learns_the_answer_first(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """A create is under way when the worker is told to stop: its handle is kept."""
    await fal.fault("submit", delayS=1.5)
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        first = await nursery.start(settings)
        await until_asked(fal)
        await nursery.send_signal(first, signal.SIGTERM)
        assert (await nursery.wait(first)).status == 0
        async with nursery.worker(settings):
            await assert_delivered_once(resources, await ended(browser, task_id, wait_s=30))
    assert len(await fal.jobs()) == 1


@pytest.mark.hazard("M10")
async def test_a_worker_interrupted_while_it_asks_keeps_the_handle(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """Its patience is over and the job is taken out of its hands, amid a create."""
    await fal.fault("submit", delayS=1.0)
    registry.open(worker.place_of(settings))
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        running = asyncio.create_task(Engine(resources, "tests").run(UUID(task_id), 1))
        await until_asked(fal)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with resources.db.transaction() as session:
            assert await session.scalar(CALL_STATES) == "submitted"
            assert await session.scalar(STATUSES) == "queued"
        async with nursery.worker(settings):
            await assert_delivered_once(resources, await ended(browser, task_id, wait_s=30))
    assert len(await fal.jobs()) == 1


@pytest.mark.hazard("M10")
async def test_a_worker_that_lost_its_lease_while_it_uploads_makes_no_job(
    site: Site,
    fal: FalControl,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    await fal.fault("upload", delayS=1.0)
    registry.open(worker.place_of(settings))
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        running = asyncio.create_task(Engine(resources, "tests").run(UUID(task_id), 1))
        await until_asked(fal, "upload")
        async with resources.db.transaction() as session:
            await session.execute(text("UPDATE tasks SET fence = fence + 1"))
        await running
    assert await fal.jobs() == []
    async with resources.db.transaction() as session:
        assert await session.scalar(CALL_STATES) is None


@pytest.mark.hazard("M10")
async def test_a_handle_is_written_as_soon_as_the_database_is_back(
    site: Site,
    fal: FalControl,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
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
    registry.open(worker.place_of(settings))
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        await Engine(resources, "tests").run(UUID(task_id), 1)
        await assert_delivered_once(resources, await ended(browser, task_id))
    assert (tries, len(await fal.jobs())) == (3, 1)


async def until_asked(fal: FalControl, at: str = "submit") -> None:
    for _ in range(300):
        if any(request["at"] == at for request in await fal.requests()):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the vendor was not asked")
