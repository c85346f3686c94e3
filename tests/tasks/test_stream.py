"""Live events: none lost, none doubled, in order, whenever a listener comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site, environment_of
from tests.tasks.runs import create, ended
from tests.uploads import upload

from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.tasks import events
from funmagic.tasks.hub import EventHub, Watcher
from funmagic.tasks.stream import TaskStream

EVENTS = 60
LISTENERS = 200


async def frames(response: httpx.Response) -> AsyncIterator[tuple[int | None, dict[str, Any]]]:
    """``(id, data)`` of each frame; comments are passed over."""
    seq: int | None = None
    async for line in response.aiter_lines():
        assert not line.startswith("event:"), "onmessage hears only unnamed events"
        if line.startswith("id: "):
            seq = int(line[4:])
        elif line.startswith("data: "):
            yield seq, json.loads(line[6:])
            seq = None


@pytest.fixture
async def hub(resources: Resources) -> AsyncIterator[EventHub]:
    hub = EventHub(resources)
    hub.start()
    yield hub
    await hub.stop()


async def new_task(site: Site, make_user: MakeUser, astronaut: bytes) -> tuple[UUID, UUID]:
    ada = await make_user()
    async with site.browser(ada) as browser:
        answer = await create(browser, await upload(browser, astronaut))
    return ada.id, UUID(answer.json()["taskId"])


async def tell(resources: Resources, task_id: UUID, type_: str, **data: Any) -> None:
    async with resources.db.transaction() as session:
        event = await events.append(session, task_id, type_, **data)
    await events.publish(resources.redis, [event])


async def listen(stream: TaskStream) -> list[int]:
    """The numbers a listener gets, to the end of the stream."""
    lines = [line async for frame in stream.frames() for line in frame.decode().splitlines()]
    return [int(line[4:]) for line in lines if line.startswith("id: ")]


@pytest.mark.hazard("S1")
@pytest.mark.hazard("S2")
@pytest.mark.hazard("S3")
@pytest.mark.timeout(180)
async def test_listeners_who_come_at_any_moment_hear_everything_once_and_in_order(
    site: Site, make_user: MakeUser, resources: Resources, hub: EventHub, astronaut: bytes
) -> None:
    user_id, task_id = await new_task(site, make_user, astronaut)
    chance = random.Random(7)

    async def come(number: int) -> tuple[int, list[int]]:
        await asyncio.sleep(chance.random() * 2.0)
        last_seq = chance.choice([0, 0, number % 5])
        stream = TaskStream(
            resources, hub, user_id=user_id, task_id=task_id, last_seq=last_seq, locale="en"
        )
        return last_seq, await listen(stream)

    async def publish() -> None:
        for number in range(EVENTS):
            await tell(resources, task_id, "progress", stepId="remove", progress=number)
            await asyncio.sleep(2.0 / EVENTS)
        await tell(resources, task_id, "completed", output={"assets": []})

    results, _ = await asyncio.gather(
        asyncio.gather(*(come(number) for number in range(LISTENERS))), publish()
    )
    last = EVENTS + 2  # «created» came first, «completed» last
    for start, got in results:
        assert got == list(range(start + 1, last + 1))


@pytest.mark.hazard("S1")
@pytest.mark.hazard("S2")
@pytest.mark.hazard("S3")
async def test_what_happens_between_the_replay_and_going_live_is_not_lost(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    hub: EventHub,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user_id, task_id = await new_task(site, make_user, astronaut)
    read_after = events.read_after

    async def slow_read(session: Any, task: UUID, seq: int) -> list[events.Event]:
        found = await read_after(session, task, seq)
        if seq == 0:
            # The replay has been read; before anybody listens for more, more happens.
            await tell(resources, task_id, "progress", stepId="remove", progress=50)
            await tell(resources, task_id, "completed", output={"assets": []})
            await asyncio.sleep(0.2)
        return found

    monkeypatch.setattr(events, "read_after", slow_read)
    # Only what was heard may help here, not the periodic look at the table.
    monkeypatch.setattr("funmagic.tasks.hub.CATCH_UP_EVERY_S", 3600.0)
    stream = TaskStream(resources, hub, user_id=user_id, task_id=task_id, last_seq=0, locale="en")
    assert await asyncio.wait_for(listen(stream), 3) == [1, 2, 3]


@pytest.mark.hazard("S1")
@pytest.mark.hazard("S2")
@pytest.mark.hazard("S3")
async def test_doubled_and_disordered_publications_are_put_right(
    site: Site, make_user: MakeUser, resources: Resources, hub: EventHub, astronaut: bytes
) -> None:
    user_id, task_id = await new_task(site, make_user, astronaut)
    stream = TaskStream(resources, hub, user_id=user_id, task_id=task_id, last_seq=0, locale="en")
    listening = asyncio.create_task(listen(stream))
    await asyncio.sleep(0.2)
    async with resources.db.transaction() as session:
        told = [
            await events.append(session, task_id, "progress", progress=number)
            for number in range(5)
        ]
        told.append(await events.append(session, task_id, "completed", output={"assets": []}))
    muddled = [told[2], told[2], told[0], told[4], told[1], told[0], told[3], told[5], told[5]]
    await events.publish(resources.redis, muddled)
    assert await asyncio.wait_for(listening, 5) == [1, 2, 3, 4, 5, 6, 7]


async def test_events_are_delivered_even_if_nothing_is_ever_published(
    site: Site, make_user: MakeUser, resources: Resources, hub: EventHub, astronaut: bytes
) -> None:
    user_id, task_id = await new_task(site, make_user, astronaut)
    stream = TaskStream(resources, hub, user_id=user_id, task_id=task_id, last_seq=0, locale="en")
    listening = asyncio.create_task(listen(stream))
    await asyncio.sleep(0.2)
    async with resources.db.transaction() as session:
        await events.append(session, task_id, "completed", output={"assets": []})
    assert await asyncio.wait_for(listening, 10) == [1, 2]


async def test_a_slow_listener_loses_nothing_to_a_full_mailbox(
    site: Site, make_user: MakeUser, resources: Resources, hub: EventHub, astronaut: bytes
) -> None:
    user_id, task_id = await new_task(site, make_user, astronaut)
    stream = TaskStream(resources, hub, user_id=user_id, task_id=task_id, last_seq=0, locale="en")
    frames_ = stream.frames()
    await anext(frames_)
    for number in range(150):
        await tell(resources, task_id, "progress", progress=number % 100)
    await tell(resources, task_id, "completed", output={"assets": []})
    got = [line async for frame in frames_ for line in frame.decode().splitlines()]
    assert [line for line in got if line.startswith("id: ")] == [
        f"id: {seq}" for seq in range(1, 153)
    ]


async def test_what_a_full_mailbox_could_not_take_is_news_later() -> None:
    watcher = Watcher()
    for seq in range(1, 71):
        watcher.hear(events.Event(UUID(int=1), seq, "progress", {}))
    while not watcher.inbox.empty():
        watcher.inbox.get_nowait()
    watcher.nudge(70)
    assert watcher.inbox.qsize() == 1


def test_a_nudge_that_is_no_news_is_dropped() -> None:
    watcher = Watcher()
    watcher.nudge(3)
    watcher.nudge(3)
    assert watcher.inbox.qsize() == 1


@pytest.mark.usefixtures("running_worker")
async def test_the_stream_over_http_ends_after_the_end_and_then_answers_204(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        address = f"/api/tasks/{task_id}/stream"
        async with browser.stream("GET", address) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            got = [frame async for frame in frames(response)]
        assert got[0] == (None, {"type": "connected", "taskId": task_id})
        assert [seq for seq, _ in got[1:]] == list(range(1, len(got)))
        types = [data["type"] for _, data in got]
        assert types[1:3] == ["created", "step_started"]
        assert types[-2:] == ["step_completed", "completed"]
        progress = [data["progress"] for _, data in got if data["type"] == "progress"]
        assert progress == sorted(progress)
        url = got[-1][1]["output"]["assets"][0]["url"]
        async with httpx.AsyncClient() as storage:
            assert (await storage.get(url)).headers["content-type"] == "image/png"

        last = str(got[-1][0])
        again = await browser.get(address, headers={"Last-Event-ID": last})
        assert again.status_code == 204
        async with browser.stream("GET", address, headers={"Last-Event-ID": "2"}) as response:
            rest = [seq async for seq, _ in frames(response)]
        assert rest == [None, *range(3, int(last) + 1)]


@pytest.mark.usefixtures("running_worker")
async def test_events_never_carry_addresses_keys_or_vendors(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        await ended(browser, task_id)
    async with resources.db.transaction() as session:
        stored = await session.scalar(text("SELECT string_agg(data::text, '') FROM task_events"))
    for secret in ("http", "outputs/", "local", "u2netp"):
        assert secret not in str(stored)


async def test_a_server_told_to_stop_ends_its_streams_at_once(
    site: Site, make_user: MakeUser, resources: Resources, settings: Settings, astronaut: bytes
) -> None:
    ada = await make_user()
    async with site.browser(ada) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "funmagic.cli", "web", "--port", str(port)),
        env=environment_of(settings),
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as browser:
            browser.cookies.set(SESSION_COOKIE, await site.session_of(ada))
            await answers(browser)
            async with browser.stream("GET", f"/api/tasks/{task_id}/stream") as response:
                heard = frames(response)
                assert (await anext(heard))[1]["type"] == "connected"
                assert (await anext(heard))[0] == 1
                process.terminate()
                began = asyncio.get_running_loop().time()
                assert [frame async for frame in heard] == []
        # uvicorn ends itself by the signal it was given.
        assert await asyncio.wait_for(process.wait(), 10) in {0, -signal.SIGTERM}
        assert asyncio.get_running_loop().time() - began < 3
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def answers(browser: httpx.AsyncClient) -> None:
    """Wait until the server does."""
    for _ in range(600):
        with contextlib.suppress(httpx.TransportError):
            if (await browser.get("/healthz")).status_code == 200:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("the server never came up")
