"""Any order of verbs, alone, again and at once, leaves the books that plain Python says it must."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.credits.conftest import OpenAccount
from tests.credits.machine import PEOPLE, unseen
from tests.credits.racing import Arena, Racing
from tests.credits.script import BOOKS, PLAY, Scripted, Stage
from tests.soak import SEED, rounds

from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.credits import service as credits

#: Times the books were compared with the model's, each after one call or after two at once.
ALONE_STEPS = rounds(48_000, 960_000)
RACING_STEPS = rounds(2_000, 40_000)
AT_A_TIME = 100  # examples of one seed


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop of our own: Hypothesis calls plain functions, and those wait for PostgreSQL."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as running:
        yield running


@pytest.fixture
def stage(runner: asyncio.Runner, database_url: str) -> Iterator[Stage]:
    connection = runner.run(connected(database_url))
    people = [UUID(int=number + 1) for number in range(PEOPLE)]
    users = [(person, f"{person}@example.com") for person in people]
    runner.run(connection.executemany("INSERT INTO users (id, email) VALUES ($1, $2)", users))
    yield Stage(runner, connection, people)
    runner.run(connection.close())


@pytest.fixture
def arena(runner: asyncio.Runner, database_url: str) -> Iterator[Arena]:
    watcher, database = runner.run(connected(database_url)), Database(database_url, pool_size=2)
    yield Arena(runner, database, watcher)
    runner.run(database.close())
    runner.run(watcher.close())


async def connected(database_url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(database_url)
    await connection.execute(BOOKS)
    await connection.execute(PLAY)
    return connection


def explore(
    machine: Callable[[], RuleBasedStateMachine], stage: Stage | Arena, steps: int, calls: int
) -> None:
    """Run machines of so many calls each until the books were compared ``steps`` times."""
    settings = hypothesis.settings(
        max_examples=AT_A_TIME,
        stateful_step_count=calls,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    seed = SEED
    while stage.steps < steps:
        try:
            seeded: Any = hypothesis.seed(seed)(lambda: machine())
            run_state_machine_as_test(seeded, settings=settings)
        except Exception as error:
            error.add_note(f"FUNMAGIC_SEED={seed} tells the same story.")
            raise
        seed += 1
    assert stage.steps >= steps


@pytest.mark.hazard("M5")
@pytest.mark.timeout(rounds(600, 20_000))
def test_any_order_of_calls_leaves_the_books_of_the_model(stage: Stage) -> None:
    explore(lambda: Scripted(stage), stage, ALONE_STEPS, 50)
    assert unseen(stage.seen) == set()


@pytest.mark.hazard("M5")
@pytest.mark.timeout(rounds(600, 20_000))
def test_any_calls_at_once_come_out_as_if_one_after_the_other(arena: Arena) -> None:
    explore(lambda: Racing(arena), arena, RACING_STEPS, 25)
    assert arena.met > RACING_STEPS // 10  # the second really waited for the first


@pytest.mark.hazard("M5")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_accounts SET reserved = -1",
        "UPDATE credit_accounts SET balance = -1",
        "UPDATE credit_accounts SET balance = reserved - 1",
        "UPDATE credit_accounts SET reserved = balance + 1",
        "UPDATE credit_accounts SET owed = -1",
        "UPDATE credit_holds SET amount = 0",
        "UPDATE credit_holds SET captured = 1",
        "UPDATE credit_holds SET state = 'captured', captured = amount + 1, resolved_at = now()",
        "UPDATE credit_holds SET state = 'gone', resolved_at = now()",
    ],
)
async def test_the_database_itself_refuses_an_unsound_account(
    change: str, db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(20)
    async with db.transaction() as s:
        await credits.hold(s, new_id(), ada, 5, description="Task")
    with pytest.raises(IntegrityError):
        async with db.transaction() as s:
            await s.execute(text(change))
