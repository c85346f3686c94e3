"""Our own servers stopped, emptied and started again while tasks run: all of them still end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.conftest import stormy
from tests.chaos.house import House, house
from tests.chaos.stage import Person, Stage
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.conftest import administer, settings_on, with_database
from tests.soak import rounds
from tests.tasks.runs import create

from funmagic import hooks, seed
from funmagic.core.resources import open_resources
from funmagic.core.settings import Settings
from funmagic.migrations import runner
from funmagic.simulators.server import Running

AWAY_S = rounds(4, 300)


@pytest.fixture(scope="module")
def home() -> Iterator[House]:
    with house() as servers:
        yield servers


@pytest.fixture
async def settings(home: House, simulators: Running, models_dir: Path) -> Settings:
    """On servers of these tests' own, with a database of each test's own."""
    name = f"t_{secrets.token_hex(6)}"
    await administer(home.environment, f'CREATE DATABASE "{name}"')
    url = with_database(home.environment["DATABASE_URL"], name)
    settings = stormy(settings_on(home.environment, url, models_dir), simulators)
    await asyncio.to_thread(runner.upgrade, url)
    async with open_resources(settings) as resources:
        hooks.wire(settings)
        await seed.run(resources)
    return settings


@pytest.mark.hazard("S7")
@pytest.mark.timeout(rounds(300, 1800))
@pytest.mark.parametrize("server", ["valkey", "postgres", "seaweedfs"])
async def test_tasks_outlive_an_outage_of(server: str, home: House, stage: Stage) -> None:
    """Some tasks wait, some are at the vendor, some are about to be stored when it happens."""
    async with stage.person() as ada:
        asked = []
        async with stage.nursery.worker(stage.settings):
            for work_s in (0.1, 1.0, 2.0, 2.5):
                await stage.fal.pace(work_s=work_s)
                asked.append(await ada.ask())
            async with home.without(server):
                await asyncio.sleep(AWAY_S / 2)
                during = await create(ada.browser, ada.photo)
                await asyncio.sleep(AWAY_S / 2)
            if during.status_code == 201:
                asked.append(during.json()["taskId"])
            else:  # refused for the moment and told so; the balance shows that nothing is held
                assert during.status_code == 503
                assert int(during.headers["Retry-After"]) > 0
            tasks = [await ended_at_last(ada, task_id) for task_id in asked]
            tasks.append(await ada.ended(await ada.ask()))
        balance = (await ada.browser.get("/api/credits")).json()
    for task in tasks:
        await assert_delivered_once(stage.resources, task)
    assert len(await stage.fal.jobs()) == len(tasks)
    assert (balance["balance"], balance["reserved"]) == (50 - 5 * len(tasks), 0)
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M7")
async def test_a_task_made_while_the_queue_is_down_runs_when_it_is_back(
    home: House, stage: Stage
) -> None:
    async with stage.person() as ada:
        async with home.without("valkey"):
            answer = await create(ada.browser, ada.photo)
            assert (answer.status_code, answer.json()["status"]) == (201, "pending")
        async with stage.nursery.worker(stage.settings):
            task = await ada.ended(answer.json()["taskId"])
    await assert_delivered_once(stage.resources, task)


async def ended_at_last(person: Person, task_id: str) -> dict[str, Any]:
    """The task's end; pages may answer 503 while their servers come back."""
    for _ in range(100):
        try:
            return await person.ended(task_id, wait_s=150)
        except KeyError:  # no task in the answer, but an error
            await asyncio.sleep(0.2)
    raise AssertionError("the site does not come back")
