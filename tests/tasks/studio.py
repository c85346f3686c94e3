"""Vendors that do what a test tells them, inside this process: one answers directly, one by jobs.

The ``studio`` fixture configures them and lets the drawing step work by them in that order.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from sqlalchemy import text
from tests.conftest import PHOTOS, MakeUser, Site
from tests.tasks.figures import DRAW, configure, draw
from tests.tasks.runs import ended
from tests.uploads import upload

from funmagic import worker
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.providers import registry
from funmagic.providers.contract import (
    Adapter,
    Answer,
    Call,
    Capability,
    Connection,
    File,
    Finished,
    Health,
    Offer,
    Pending,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.reports.reconcile import reconcile
from funmagic.tasks.engine import Engine

ADD_PROVIDER = text("INSERT INTO providers (id, key, label) VALUES (:id, :key, :key)")
CALLS = text("""
    SELECT provider_key, state, error_trouble, error_message, cost_usd_micros
      FROM provider_calls
     WHERE task_id = (SELECT id FROM tasks ORDER BY id DESC LIMIT 1) ORDER BY call_no
""")
NOT_ENDED_ONCE = text("""
    SELECT count(*) FROM tasks
     WHERE (SELECT count(*) FROM task_events
             WHERE task_id = tasks.id AND type IN ('completed', 'failed')) <> 1
""")
VENDOR_WORDS = "shard 7 of cluster blue is on fire"
COST_USD_MICROS = 40_000
LEASE_S = 10.0


class Vendor(Adapter):
    """Draws the astronaut. What happens on the way is up to the test."""

    offers: Mapping[Capability, Offer] = {Capability.IMAGE_EDIT: Offer(("model-1",))}

    def __init__(self, key: str, *, has_jobs: bool) -> None:
        self.key = self.label = key
        self.has_jobs = has_jobs
        self.reset()

    def reset(self) -> None:
        """Never asked, and nothing in the way."""
        self.creates: list[Call] = []
        self.cancels = 0
        self.on_create: Callable[[Call], Awaitable[None]] = _nothing
        self.on_poll: Callable[[], Awaitable[bool]] = _done
        self.on_cancel: Callable[[], Awaitable[None]] = _ignored

    async def submit(self, request: Request, call: Call) -> Answer:
        await call.begin()
        self.creates.append(call)
        await self.on_create(call)
        if self.has_jobs:
            return Pending({"job": len(self.creates)}, poll_after_s=0.2)
        return Finished(_picture(call))

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        if await self.on_poll():
            return Finished(_picture(call))
        return Pending(handle, poll_after_s=0.2)

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        self.cancels += 1
        await self.on_cancel()

    async def check_health(self, connection: Connection) -> Health:
        return Health(True, "fine")

    def always(self, trouble: Trouble, **more: Any) -> None:
        """Every create fails so."""

        async def fail(_: Call) -> None:
            raise ProviderError(trouble, VENDOR_WORDS, **more)

        self.on_create = fail

    def works_on(self) -> None:
        """No job ends by itself."""

        async def not_yet() -> bool:
            return False

        self.on_poll = not_yet

    def ends_jobs_with(self, trouble: Trouble, **more: Any) -> None:
        async def fail() -> bool:
            raise ProviderError(trouble, VENDOR_WORDS, **more)

        self.on_poll = fail


class Studio:
    """The drawing step on scripted vendors, and a person who can pay."""

    def __init__(self, site: Site, resources: Resources, make_user: MakeUser, photo: bytes) -> None:
        # A slow machine must not cost the leases: a call made once more is what is counted here.
        patient = resources.settings.model_copy(update={"lease_s": LEASE_S})
        self.site, self.resources = site, replace(resources, settings=patient)
        self._make_user, self._photo = make_user, photo
        self.direct = Vendor("direct", has_jobs=False)
        self.steady = Vendor("steady", has_jobs=True)
        self.engine = Engine(self.resources, "tests")

    async def open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mine = {vendor.key: vendor for vendor in (self.direct, self.steady)}
        adapters = {**registry.adapters(), **mine}
        monkeypatch.setattr(registry, "_adapters", cache(lambda: adapters))
        async with self.resources.db.transaction() as session:
            for key in mine:
                await session.execute(ADD_PROVIDER, {"id": new_id(), "key": key})

    async def ask_in_turn(self, *keys: str) -> None:
        """The vendors the step is configured with, in their order."""
        choices = [{"provider": key, "model": "model-1", "options": {}} for key in keys]
        await configure(self.resources, [DRAW, "providers"], choices)

    @asynccontextmanager
    async def person(self, email: str = "ada@example.com") -> AsyncIterator[Person]:
        async with self.site.browser(await self._make_user(email, 500)) as browser:
            yield Person(browser, await upload(browser, self._photo))

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        working = asyncio.create_task(worker.work(self.resources, stop))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(working, 30)

    async def calls(self) -> list[Any]:
        """Those of the newest task, in their order."""
        async with self.resources.db.transaction() as session:
            return list((await session.execute(CALLS)).all())

    async def execute(self, statement: str, **values: Any) -> Any:
        """Do something behind the product's back; the first value it answers, if any."""
        async with self.resources.db.transaction() as session:
            done: Any = await session.execute(text(statement), values)
            return done.scalar() if done.returns_rows else None

    async def assert_one_end(self) -> None:
        """The books are right, and every task has ended once."""
        async with self.resources.db.transaction() as session:
            assert await session.scalar(NOT_ENDED_ONCE) == 0
        async with self.resources.db.transaction() as session:
            assert await reconcile(session) == []


class Person:
    """Somebody with a browser and an uploaded photo."""

    def __init__(self, browser: Any, photo: Any) -> None:
        self.browser, self._photo = browser, photo

    async def draw(self, **more: Any) -> str:
        answer = await draw(self.browser, self._photo, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["taskId"])

    async def cancel(self, task_id: str) -> Any:
        return await self.browser.post(f"/api/tasks/{task_id}/cancellation")

    async def ended(self, task_id: str) -> dict[str, Any]:
        return await ended(self.browser, task_id, wait_s=40)


async def until(is_so: Callable[[], Any]) -> None:
    """Wait for something that is bound to come."""
    for _ in range(1200):
        if is_so():
            return
        await asyncio.sleep(0.025)
    raise AssertionError("it never came")


def _picture(call: Call) -> Result:
    path = call.work_dir / "picture.jpg"
    shutil.copy(PHOTOS / "astronaut.jpg", path)
    return Result((File(path, "image/jpeg"),), COST_USD_MICROS)


async def _nothing(_: Call) -> None: ...


async def _ignored() -> None: ...


async def _done() -> bool:
    return True
