"""Accounts of people, and the proof that the books agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.credits.machine import PEOPLE
from tests.credits.racing import Arena
from tests.credits.script import Stage, watching
from tests.credits.theatre import Theatre

from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.credits import service as credits
from funmagic.reports.reconcile import Difference, reconcile

OpenAccount = Callable[..., Awaitable[UUID]]
BooksOf = Callable[[], Awaitable[list[Difference]]]


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Database]:
    """The database with twenty connections, so that twenty people really act at once."""
    database = Database(database_url, pool_size=20)
    yield database
    await database.close()


@pytest.fixture
def open_account(db: Database) -> OpenAccount:
    """A new user, with a welcome of ``amount`` credits where that is not 0."""

    async def opened(amount: int = 0) -> UUID:
        user_id = new_id()
        async with db.transaction() as s:
            await s.execute(
                text("INSERT INTO users (id, email) VALUES (:id, :email)"),
                {"id": user_id, "email": f"{user_id}@example.com"},
            )
            if amount:
                await credits.grant(
                    s,
                    user_id,
                    amount,
                    type="welcome",
                    idempotency_key=f"welcome:{user_id}",
                    description="Welcome credits",
                )
        return user_id

    return opened


@pytest.fixture
def books(db: Database) -> BooksOf:
    """What the ledger contradicts itself in; tasks are left out, as these holds have none."""

    async def differences() -> list[Difference]:
        async with db.transaction() as s:
            return [found for found in await reconcile(s) if found.kind != "task_hold"]

    return differences


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop of our own: Hypothesis calls plain functions, and those wait for PostgreSQL."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as running:
        yield running


@pytest.fixture
def stage(runner: asyncio.Runner, database_url: str) -> Iterator[Stage]:
    connection = runner.run(watching(database_url))
    people = [UUID(int=number + 1) for number in range(PEOPLE)]
    users = [(person, f"{person}@example.com") for person in people]
    runner.run(connection.executemany("INSERT INTO users (id, email) VALUES ($1, $2)", users))
    yield Stage(runner, connection, people)
    runner.run(connection.close())


@pytest.fixture
def arena(runner: asyncio.Runner, database_url: str) -> Iterator[Arena]:
    watcher, database = runner.run(watching(database_url)), Database(database_url, pool_size=2)
    yield Arena(runner, database, watcher)
    runner.run(database.close())
    runner.run(watcher.close())


@pytest.fixture
def theatre(runner: asyncio.Runner, database_url: str) -> Iterator[Theatre]:
    opened = Theatre(runner, database_url, runner.run(watching(database_url)))
    yield opened
    opened.close()
