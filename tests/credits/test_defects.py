"""The proofs of the ledger prove something: they see the defects that are planted for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from hypothesis.errors import Flaky
from tests.credits.defects import DEFECTS, planted, sound
from tests.credits.machine import explore
from tests.credits.racing import Arena, Racing
from tests.credits.script import Scripted, Stage
from tests.credits.theatre import Theatre

from funmagic.core.db import Database

Plant = Callable[[str], AbstractContextManager[None]]

#: Enough for each defect to show itself many times over.
STEPS = 5_000
HISTORIES = 100


@pytest.fixture
def plant(runner: asyncio.Runner, database_url: str) -> Iterator[Plant]:
    """Puts a defect into this test's own database, and takes it out again."""
    database = Database(database_url, pool_size=1)

    async def install(function: str) -> None:
        async with database.transaction() as s:
            await (await s.connection()).exec_driver_sql(function)

    @contextmanager
    def planting(name: str) -> Iterator[None]:
        runner.run(install(planted(name)))
        with pytest.raises((AssertionError, Flaky)):  # a race need not repeat itself
            yield
        runner.run(install(sound(DEFECTS[name][0])))

    yield planting
    runner.run(database.close())


def test_any_order_of_calls_brings_defects_to_light(stage: Stage, plant: Plant) -> None:
    for name in (
        "a release subtracts twice",
        "a capture takes what was resolved before",
        "a release takes what was resolved before",
        "an adjustment moves the account without an entry",
        "a capture of a part keeps the rest on hold",
    ):
        with plant(name):
            explore(lambda: Scripted(stage), stage, stage.steps + STEPS, calls=50, shrink=False)


def test_calls_at_once_bring_defects_to_light(arena: Arena, plant: Plant) -> None:
    for name in (
        "the key is looked up before the account is locked",
        "the account is not locked",
        "a key that was used moves the account again, without an entry",
    ):
        with plant(name):
            explore(lambda: Racing(arena), arena, arena.steps + STEPS, calls=25, shrink=False)


def test_histories_with_kills_bring_defects_to_light(theatre: Theatre, plant: Plant) -> None:
    for name in (
        "the key is looked up before the account is locked",
        "a capture takes what was resolved before",
        "a release subtracts twice",
        "an adjustment moves the account without an entry",
    ):
        with plant(name):
            for number in range(HISTORIES):
                theatre.tell(number)
