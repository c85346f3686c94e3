"""Many at once: the account's lock and the hold's state decide, each exactly once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.credits.conftest import BooksOf, OpenAccount
from tests.soak import rounds

from funmagic.core.db import Database
from funmagic.core.errors import Conflict, NotEnoughCredits
from funmagic.core.ids import new_id
from funmagic.credits import service as credits
from funmagic.credits.service import Balance, Movement

RACERS = 20
ROUNDS = rounds(200, 1_000)


async def race(
    db: Database, acts: list[Callable[[AsyncSession], Awaitable[Movement]]]
) -> list[Movement | BaseException]:
    """All acts in transactions of their own that have begun before the first one acts."""
    start = asyncio.Barrier(len(acts))

    async def run(act: Callable[[AsyncSession], Awaitable[Movement]]) -> Movement:
        async with db.transaction() as s:
            await s.execute(text("SELECT 1"))
            await start.wait()
            return await act(s)

    return await asyncio.gather(*(run(act) for act in acts), return_exceptions=True)


def bonus(user_id: UUID, amount: int, key: str) -> Callable[[AsyncSession], Awaitable[Movement]]:
    return lambda s: credits.grant(
        s, user_id, amount, type="bonus", idempotency_key=key, description="A gift"
    )


@pytest.mark.hazard("M2")
async def test_two_hundred_holds_at_once_take_exactly_what_is_there(
    db: Database, crowd: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(37)

    async def hold() -> bool:
        try:
            async with crowd.transaction() as s:
                await credits.hold(s, new_id(), ada, 1, description="Background removal")
        except NotEnoughCredits:
            return False
        return True

    assert sum(await asyncio.gather(*(hold() for _ in range(200)))) == 37
    async with db.transaction() as s:
        assert await credits.balance_of(s, ada) == Balance(37, 37, 0)
    assert await books() == []


@pytest.mark.hazard("M12")
async def test_adjustments_and_settlements_at_once_add_up_exactly(
    db: Database, crowd: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(100)
    tasks = [new_id() for _ in range(50)]
    async with db.transaction() as s:
        for task in tasks:
            await credits.hold(s, task, ada, 2, description="Background removal")

    async def adjust(number: int) -> None:
        for _ in range(2):
            async with crowd.transaction() as s:
                await credits.adjust(
                    s, ada, 3, idempotency_key=f"a{number}", description="Gift", actor="root"
                )

    async def settle(task: UUID) -> None:
        async with crowd.transaction() as s:
            await credits.capture(s, task, description="Background removal")

    await asyncio.gather(*map(adjust, range(50)), *map(settle, tasks))
    async with db.transaction() as s:
        assert await credits.balance_of(s, ada) == Balance(100 + 150 - 100, 0, 0)
        entries = await credits.transactions_of(s, ada, limit=100)
        older = await credits.transactions_of(s, ada, limit=100, cursor=entries.next_cursor)
    assert Counter(entry.type for entry in entries.items + older.items) == {
        "welcome": 1,
        "reservation": 50,
        "usage": 50,
        "admin_adjust": 50,
    }
    assert await books() == []


@pytest.mark.hazard("M19")
@pytest.mark.parametrize("before", [0, 50])
async def test_twenty_racers_with_one_key_move_the_account_once(
    before: int, db: Database, crowd: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(before)  # with nothing before, the racers open the account as well
    outcomes = await race(crowd, [bonus(ada, 10, "gift")] * RACERS)

    movements = [found for found in outcomes if isinstance(found, Movement)]
    assert len(movements) == RACERS, outcomes
    assert sum(not movement.replayed for movement in movements) == 1
    assert {movement.balance_after for movement in movements} == {before + 10}
    async with db.transaction() as s:
        assert await credits.balance_of(s, ada) == Balance(before + 10, 0, 0)
    assert await books() == []


@pytest.mark.hazard("M19")
async def test_racers_with_one_hold_id_hold_once(
    db: Database, crowd: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada, task = await open_account(100), new_id()
    outcomes = await race(
        crowd, [lambda s: credits.hold(s, task, ada, 5, description="Once")] * RACERS
    )
    assert sum(isinstance(found, Movement) and not found.replayed for found in outcomes) == 1
    assert sum(isinstance(found, Movement) and found.replayed for found in outcomes) == RACERS - 1
    async with db.transaction() as s:
        assert await credits.balance_of(s, ada) == Balance(100, 5, 0)
    assert await books() == []


@pytest.mark.hazard("M19")
async def test_one_key_for_two_movements_is_a_conflict_for_whoever_comes_second(
    db: Database, crowd: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    """Other amounts and other accounts alike; two accounts do not share a lock."""
    ada, cy = await open_account(), await open_account()
    acts = [bonus((ada, cy)[number % 2], 10 + number % 3, "gift") for number in range(RACERS)]
    outcomes = await race(crowd, acts)

    assert sum(isinstance(found, Movement) and not found.replayed for found in outcomes) == 1
    assert {type(found) for found in outcomes} <= {Movement, Conflict}, outcomes
    assert sum(isinstance(found, Conflict) for found in outcomes) >= RACERS // 2
    async with db.transaction() as s:
        entries = [
            entry.amount
            for person in (ada, cy)
            for entry in (await credits.transactions_of(s, person)).items
        ]
        both = await credits.balance_of(s, ada), await credits.balance_of(s, cy)
    assert [sum(one.balance for one in both)] == entries
    assert await books() == []


@pytest.mark.hazard("M19")
async def test_a_conflict_leaves_nothing_of_the_callers_transaction(
    db: Database, open_account: OpenAccount
) -> None:
    """Even where the caller swallows it: no half of the work can be kept by mistake."""
    ada = await open_account()
    async with db.transaction() as s:
        await bonus(ada, 10, "gift")(s)

    async def swallow() -> None:
        async with db.transaction() as s:
            await bonus(ada, 5, "other gift")(s)
            with pytest.raises(Conflict):
                await bonus(ada, 11, "gift")(s)
            await credits.balance_of(s, ada)

    with pytest.raises(DBAPIError, match="current transaction is aborted"):
        await swallow()
    async with db.transaction() as s:
        assert await credits.balance_of(s, ada) == Balance(10, 0, 0)


@pytest.mark.hazard("M20")
async def test_capture_racing_release_resolves_each_hold_once(
    db: Database, crowd: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    people = [await open_account(ROUNDS) for _ in range(4)]
    tasks = [new_id() for _ in range(ROUNDS)]
    async with db.transaction() as s:
        for number, task in enumerate(tasks):
            await credits.hold(s, task, people[number % 4], 3, description="Background removal")

    async def capture(task: UUID) -> bool:
        async with crowd.transaction() as s:
            return await credits.capture(s, task, description="Done") is not None

    async def release(task: UUID) -> bool:
        async with crowd.transaction() as s:
            return await credits.release(s, task, description="Failed") is not None

    async def raced(task: UUID) -> bool:
        """Whether the capture won; both or none winning fails the test."""
        acts = [capture(task), release(task)]
        if random.random() < 0.5:
            captured, released = await asyncio.gather(*acts)
        else:
            released, captured = await asyncio.gather(*reversed(acts))
        assert captured != released
        return captured

    won = await asyncio.gather(*map(raced, tasks))
    async with db.transaction() as s:
        balances = [await credits.balance_of(s, person) for person in people]
    assert sum(person.balance for person in balances) == 4 * ROUNDS - 3 * sum(won)
    assert {person.reserved for person in balances} == {0}
    assert await books() == []
