"""BullMQ's tools of the Node world see our queue, and our worker takes what they add."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.interop.conftest import NodeQueue
from tests.jobs.workers import consuming
from tests.tasks.runs import TOOL, create, ended
from tests.uploads import upload

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.jobs.queue import Queue
from funmagic.tasks import service
from funmagic.tasks.orders import NewTask

ALLOWED = {"taskId", "attempt", "requestId"}


async def test_node_hears_and_lists_a_task_from_its_adding_to_its_end(
    node_queue: NodeQueue,
    site: Site,
    make_user: MakeUser,
    running_worker: None,
    astronaut: bytes,
) -> None:
    ada = await make_user("ada.lovelace@example.com")
    async with site.browser(ada) as browser:
        asset_id = await upload(browser, astronaut, name="My astronaut.jpg")
        task_id = (await create(browser, asset_id)).json()["taskId"]
        await ended(browser, task_id)
    job_id = f"{task_id}-1"
    for event in ("added", "active", "completed"):
        await node_queue.hears(event, job_id)
    assert [told["heard"] for told in node_queue.heard if told["jobId"] == job_id] == [
        "added",
        "waiting",
        "active",
        "completed",
    ]
    counts = await node_queue.ask("counts")
    assert counts == {"waiting": 0, "active": 0, "delayed": 0, "completed": 1, "failed": 0}
    [job] = await node_queue.ask("jobs")
    assert (job["id"], job["state"], job["name"]) == (job_id, "completed", "ai-tasks")
    assert job["data"]["taskId"] == task_id
    [shown] = (await node_queue.ask("board"))["queues"]
    assert (shown["name"], shown["counts"]["completed"]) == ("ai-tasks", 1)
    [listed] = shown["jobs"]
    assert (listed["id"], listed["data"]["taskId"]) == (job_id, task_id)
    for seen in (job, listed):
        assert set(seen["data"]) <= ALLOWED
        told = json.dumps(seen).lower()
        assert not [word for word in ("lovelace", "astronaut", str(ada.id)) if word in told]


@pytest.mark.hazard("U6")
async def test_node_lists_jobs_of_every_state_and_no_text_of_an_error(
    node_queue: NodeQueue, settings: Settings, resources: Resources
) -> None:
    going = asyncio.Event()

    async def work(job: dict[str, str]) -> None:
        if job["taskId"] == "bad":
            raise RuntimeError("canary-in-an-error")
        await going.wait()

    queue = Queue(settings, service.QUEUE)
    async with consuming(settings, work):
        await queue.add("bad-1", {"taskId": "bad", "attempt": 1})
        failed = await node_queue.hears("failed", "bad-1")
        await queue.add("long-1", {"taskId": "long", "attempt": 1})
        await node_queue.hears("active", "long-1")
        await queue.add("next-1", {"taskId": "next", "attempt": 1})
        await node_queue.hears("added", "next-1")
        listed = {job["id"]: job for job in await node_queue.ask("jobs")}
        [shown] = (await node_queue.ask("board"))["queues"]
        going.set()
        await node_queue.hears("completed", "next-1")
    await queue.close()
    assert failed["failedReason"] == "RuntimeError"
    assert {job_id: job["state"] for job_id, job in listed.items()} == {
        "bad-1": "failed",
        "long-1": "active",
        "next-1": "waiting",
    }
    assert {name: shown["counts"][name] for name in ("failed", "active", "waiting")} == {
        "failed": 1,
        "active": 1,
        "waiting": 1,
    }
    assert {job["id"] for job in shown["jobs"]} == set(listed)
    assert "canary" not in json.dumps([listed, shown, node_queue.heard])


async def test_our_worker_takes_a_job_that_node_added(
    node_queue: NodeQueue,
    site: Site,
    resources: Resources,
    make_user: MakeUser,
    running_worker: None,
    astronaut: bytes,
) -> None:
    ada = await make_user()
    async with site.browser(ada) as browser:
        asset_id = await upload(browser, astronaut)
        async with resources.db.transaction() as session:
            new = NewTask(TOOL, None, {"image": str(asset_id)})
            created = await service.create(session, ada, new)
            await session.execute(text("UPDATE outbox SET sent_at = now()"))
        task_id = str(created.id)
        job_id = f"{task_id}-1"
        data = {"taskId": task_id, "attempt": 1}
        assert await node_queue.ask("add", name="by-node", data=data, jobId=job_id) == job_id
        task = await ended(browser, task_id)
    assert task["status"] == "completed"
    await node_queue.hears("completed", job_id)
