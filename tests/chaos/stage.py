"""What a storm is played on: the product, a simulated vendor, workers to kill, a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import TextClause
from tests.chaos.nursery import Nursery, Point
from tests.conftest import MakeUser, Site
from tests.tasks import runs
from tests.uploads import upload
from tests.vendors import FalControl

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings


@dataclass(frozen=True)
class Person:
    """Somebody with a browser and an uploaded photo."""

    browser: httpx.AsyncClient
    photo: UUID

    async def ask(self) -> str:
        """Press the button; the new task's id."""
        answer = await runs.create(self.browser, self.photo)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["taskId"])

    async def ended(self, task_id: str, *, wait_s: float = 30) -> dict[str, Any]:
        """The task once it is completed or failed."""
        return await runs.ended(self.browser, task_id, wait_s=wait_s)


@dataclass(frozen=True)
class Stage:
    """The running product on the simulated fal."""

    site: Site
    fal: FalControl
    nursery: Nursery
    resources: Resources
    settings: Settings
    make_user: MakeUser
    photo: bytes

    @asynccontextmanager
    async def person(
        self, email: str = "ada@example.com", *, credits_: int = 50
    ) -> AsyncIterator[Person]:
        """Bring somebody in who can pay."""
        async with self.site.browser(await self.make_user(email, credits_)) as browser:
            yield Person(browser, await upload(browser, self.photo))

    async def kill_at(self, point: Point, settings: Settings | None = None) -> None:
        """Let a worker run into its end."""
        victim = await self.nursery.start(settings or self.settings, point)
        assert (await self.nursery.wait(victim)).killed, f"no worker came by: {point.name}"

    async def scalar(self, statement: TextClause) -> Any:
        """One value out of the database."""
        async with self.resources.db.transaction() as session:
            return await session.scalar(statement)

    async def execute(self, statement: TextClause, **values: Any) -> None:
        """Change the database behind the product's back."""
        async with self.resources.db.transaction() as session:
            await session.execute(statement, values)
