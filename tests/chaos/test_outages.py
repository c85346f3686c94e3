"""Our own servers stopped, emptied and started again while tasks run: all of them still end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests import conftest
from tests.chaos.conftest import LEASE_S, RECONCILE_EVERY_S
from tests.chaos.house import House, house
from tests.chaos.nursery import Nursery
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.conftest import MakeUser, Site
from tests.soak import rounds
from tests.tasks.runs import create, ended
from tests.uploads import upload
from tests.vendors import FalControl

from funmagic import hooks, seed
from funmagic.core.resources import Resources, open_resources
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
    """On servers of these tests' own, with a database of their own."""
    url = home.environment["DATABASE_URL"]
    settings = conftest._settings(home.environment, url, models_dir).model_copy(
        update={
            "simulators_url": simulators.url,
            "lease_s": LEASE_S,
            "reconcile_every_s": RECONCILE_EVERY_S,
        }
    )
    await asyncio.to_thread(runner.upgrade, url)
    async with open_resources(settings) as resources:
        hooks.wire(settings)
        await seed.run(resources)
    return settings


@pytest.mark.hazard("S7")
@pytest.mark.timeout(rounds(300, 1800))
@pytest.mark.parametrize("server", ["valkey", "postgres", "seaweedfs"])
async def test_tasks_outlive_an_outage_of(
    server: str,
    home: House,
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    """Some tasks wait, some are at the vendor, some are about to be stored when it happens."""
    ada = await make_user(f"ada.{server}@example.com")
    async with site.browser(ada) as browser:
        photo = await upload(browser, astronaut)
        asked = []
        async with nursery.worker(settings):
            for work_s in (0.1, 1.0, 2.0, 2.5):
                await fal.pace(work_s=work_s)
                asked.append((await create(browser, photo)).json()["taskId"])
            async with home.without(server):
                await asyncio.sleep(AWAY_S / 2)
                during = await create(browser, photo)
                await asyncio.sleep(AWAY_S / 2)
            if during.status_code == 201:
                asked.append(during.json()["taskId"])
            else:
                assert_clean(during)
            tasks = [await ended_at_last(browser, task_id) for task_id in asked]
            later = (await create(browser, photo)).json()["taskId"]
            tasks.append(await ended(browser, later, wait_s=30))
        for task in tasks:
            await assert_delivered_once(resources, task)
        assert len(await fal.jobs()) == len(tasks)
        balance = (await browser.get("/api/credits")).json()
    assert (balance["balance"], balance["reserved"]) == (50 - 5 * len(tasks), 0)
    await assert_books_are_right(resources)


@pytest.mark.hazard("M7")
async def test_a_task_made_while_the_queue_is_down_runs_when_it_is_back(
    home: House,
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    async with site.browser(await make_user("m7@example.com")) as browser:
        photo = await upload(browser, astronaut)
        async with home.without("valkey"):
            answer = await create(browser, photo)
            assert answer.status_code == 201
            assert answer.json()["status"] == "pending"
        async with nursery.worker(settings):
            task = await ended(browser, answer.json()["taskId"], wait_s=30)
    await assert_delivered_once(resources, task)


def assert_clean(answer: httpx.Response) -> None:
    """Refused for the moment, told so, and nothing held: the books are compared in the end."""
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


async def ended_at_last(browser: httpx.AsyncClient, task_id: str) -> dict[str, object]:
    """The task's end; pages may answer 503 while their servers come back."""
    for _ in range(100):
        try:
            return await ended(browser, task_id, wait_s=90)
        except KeyError:  # no task in the answer, but an error
            await asyncio.sleep(0.2)
    raise AssertionError("the site does not come back")
