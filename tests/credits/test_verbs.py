"""Each verb does what it says, once, and says no where it must."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.credits.conftest import BooksOf, OpenAccount

import funmagic.credits
from funmagic.core.db import Database
from funmagic.core.errors import Conflict, Invalid, NotEnoughCredits, NotFound
from funmagic.core.ids import new_id
from funmagic.credits import service as credits
from funmagic.credits.service import Balance, HoldView, Movement


async def balance(db: Database, user_id: UUID) -> Balance:
    async with db.transaction() as s:
        return await credits.balance_of(s, user_id)


async def bonus(db: Database, user_id: UUID, amount: int, key: str) -> Movement:
    async with db.transaction() as s:
        return await credits.grant(
            s, user_id, amount, type="bonus", idempotency_key=key, description="A gift"
        )


async def take_back(db: Database, user_id: UUID, amount: int, key: str) -> Movement:
    async with db.transaction() as s:
        return await credits.take_back(
            s, user_id, amount, idempotency_key=key, description="Payment taken back"
        )


async def held(db: Database, user_id: UUID, amount: int) -> UUID:
    hold_id = new_id()
    async with db.transaction() as s:
        await credits.hold(s, hold_id, user_id, amount, description="Background removal")
    return hold_id


async def test_a_person_without_an_account_has_no_credits(
    db: Database, open_account: OpenAccount
) -> None:
    assert await balance(db, await open_account()) == Balance(0, 0, 0)


async def test_a_hold_sets_credits_aside_and_a_capture_charges_them(
    db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(50)
    task = await held(db, ada, 5)
    assert await balance(db, ada) == Balance(50, 5, 0)

    async with db.transaction() as s:
        movement = await credits.capture(s, task, description="Background removal")

    assert movement == Movement(3, -5, 45, 0, replayed=False)
    assert await balance(db, ada) == Balance(45, 0, 0)
    async with db.transaction() as s:
        assert await credits.hold_of(s, task) == HoldView(5, 5, "captured")
    assert await books() == []


async def test_a_release_gives_the_whole_hold_back(
    db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(50)
    task = await held(db, ada, 5)
    async with db.transaction() as s:
        assert await credits.release(s, task, description="Failed") is not None
        assert await credits.release(s, task, description="Failed") is None
        assert await credits.capture(s, task, description="Too late") is None
        assert await credits.hold_of(s, task) == HoldView(5, 0, "released")
    assert await balance(db, ada) == Balance(50, 0, 0)
    assert await books() == []


async def test_a_partial_capture_writes_usage_and_release(
    db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(50)
    task = await held(db, ada, 5)
    async with db.transaction() as s:
        movement = await credits.capture(s, task, 2, description="Partly done")
        page = await credits.transactions_of(s, ada, limit=2)
    assert movement is not None
    assert (movement.amount, movement.balance_after, movement.reserved_after) == (-2, 48, 0)
    assert [(entry.type, entry.amount, entry.reserved_delta) for entry in page.items] == [
        ("usage", -2, -2),
        ("release", 0, -3),
    ]
    assert await books() == []


async def test_more_than_was_held_is_never_captured(
    db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(50)
    task = await held(db, ada, 5)
    with pytest.raises(IntegrityError):
        async with db.transaction() as s:
            await credits.capture(s, task, 6, description="Too much")
    assert await balance(db, ada) == Balance(50, 5, 0)


async def test_what_is_on_hold_cannot_be_held_twice(
    db: Database, open_account: OpenAccount
) -> None:
    bo = await open_account(8)
    await held(db, bo, 5)
    with pytest.raises(NotEnoughCredits):
        await held(db, bo, 4)
    await held(db, bo, 3)
    assert await balance(db, bo) == Balance(8, 8, 0)


async def test_the_same_hold_again_is_the_first_one_and_another_is_a_conflict(
    db: Database, open_account: OpenAccount
) -> None:
    ada, cy = await open_account(50), await open_account(50)
    task = await held(db, ada, 5)
    async with db.transaction() as s:
        again = await credits.hold(s, task, ada, 5, description="Background removal")
    assert again == Movement(2, 0, 50, 5, replayed=True)
    for user_id, amount in ((ada, 6), (cy, 5)):
        with pytest.raises(Conflict):
            async with db.transaction() as s:
                await credits.hold(s, task, user_id, amount, description="Background removal")


async def test_an_unknown_hold_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        async with db.transaction() as s:
            await credits.capture(s, new_id(), description="Nothing")


@pytest.mark.parametrize("amount", [0, -1, 1_000_000_001])
async def test_impossible_amounts_are_refused(
    amount: int, db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(50)
    with pytest.raises(ValueError, match="impossible amount"):
        await bonus(db, ada, amount, "k")
    with pytest.raises(ValueError, match="impossible amount"):
        await held(db, ada, amount)


@pytest.mark.parametrize("kind", ["purchase", "bonus", "welcome", "refund"])
async def test_a_grant_adds_to_the_balance_under_its_own_type(
    kind: Literal["purchase", "bonus", "welcome", "refund"],
    db: Database,
    open_account: OpenAccount,
) -> None:
    ada = await open_account()
    async with db.transaction() as s:
        await credits.grant(
            s,
            ada,
            100,
            type=kind,
            idempotency_key="order-1",
            description="100 credits",
            reference_type="order",
            reference_id="order-1",
        )
        (entry,) = (await credits.transactions_of(s, ada)).items
    assert (entry.type, entry.amount, entry.reference_id) == (kind, 100, "order-1")


async def test_an_adjustment_is_a_difference_and_stops_at_available(
    db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(50)
    await held(db, ada, 20)

    async def adjust(delta: int, key: str) -> Movement:
        async with db.transaction() as s:
            return await credits.adjust(
                s, ada, delta, idempotency_key=key, description="Correction", actor="root"
            )

    assert (await adjust(-30, "a")).amount == -30
    assert (await adjust(-30, "a")).replayed
    assert (await adjust(7, "b")).amount == 7
    with pytest.raises(NotEnoughCredits):
        await adjust(-8, "c")
    assert await balance(db, ada) == Balance(27, 20, 0)


@pytest.mark.hazard("M21")
async def test_money_taken_back_after_it_was_spent_is_owed_and_repaid_first(
    db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(50)
    task = await held(db, ada, 20)
    assert (await take_back(db, ada, 45, "dispute-1")).amount == -30
    assert (await take_back(db, ada, 45, "dispute-1")).replayed
    assert await balance(db, ada) == Balance(20, 20, 15)
    with pytest.raises(Conflict):
        await take_back(db, ada, 44, "dispute-1")

    await bonus(db, ada, 10, "g1")
    assert await balance(db, ada) == Balance(20, 20, 5)
    with pytest.raises(NotEnoughCredits):
        await held(db, ada, 1)

    async with db.transaction() as s:
        await credits.release(s, task, description="Failed")
    assert await balance(db, ada) == Balance(15, 0, 0)
    await held(db, ada, 15)
    assert await books() == []


@pytest.mark.hazard("M21")
async def test_no_hold_is_taken_while_something_is_owed(
    db: Database, open_account: OpenAccount
) -> None:
    """Even where credits are there: however that came to be, the debt comes first."""
    ada = await open_account(50)
    async with db.transaction() as s:
        await s.execute(text("UPDATE credit_accounts SET owed = 1"))
    with pytest.raises(NotEnoughCredits):
        await held(db, ada, 1)


@pytest.mark.hazard("M21")
async def test_a_hold_taken_before_is_still_charged_while_something_is_owed(
    db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    ada = await open_account(50)
    task = await held(db, ada, 20)
    await take_back(db, ada, 50, "dispute-1")
    async with db.transaction() as s:
        assert await credits.capture(s, task, description="Done") is not None
    assert await balance(db, ada) == Balance(0, 0, 20)
    await take_back(db, ada, 5, "dispute-2")
    assert await balance(db, ada) == Balance(0, 0, 25)
    await bonus(db, ada, 40, "g1")
    assert await balance(db, ada) == Balance(15, 0, 0)
    assert await books() == []


async def test_entries_come_in_pages_newest_first_and_only_ones_own(
    db: Database, open_account: OpenAccount
) -> None:
    ada, cy = await open_account(1), await open_account(1)
    for number in range(4):
        await bonus(db, ada, 10, f"bonus-{number}")
    async with db.transaction() as s:
        first = await credits.transactions_of(s, ada, limit=3)
        second = await credits.transactions_of(s, ada, limit=3, cursor=first.next_cursor)
        assert [entry.entry_no for entry in first.items] == [5, 4, 3]
        assert [entry.entry_no for entry in second.items] == [2, 1]
        assert second.next_cursor is None
        assert len((await credits.transactions_of(s, cy)).items) == 1
        with pytest.raises(Invalid):
            await credits.transactions_of(s, ada, cursor="nonsense")
        with pytest.raises(Invalid):
            await credits.transactions_of(s, ada, limit=101)
    shown = first.items[0].model_dump(by_alias=True)
    assert set(shown) == {
        "entryNo", "type", "amount", "reservedDelta", "balanceAfter", "reservedAfter",
        "description", "referenceType", "referenceId", "createdAt",
    }  # fmt: skip


async def test_the_database_runs_the_ledger_as_it_is_written(db: Database) -> None:
    """A change of ledger.sql needs a migration: installing it again must change nothing."""
    installed = text("""
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'credit%' ORDER BY proname
    """)
    source = (Path(funmagic.credits.__file__).parent / "ledger.sql").read_text(encoding="utf-8")
    async with db.transaction() as s:
        migrated = (await s.execute(installed)).all()
        connection = await s.connection()
        for statement in source.split("$$;\n"):
            if statement.strip():
                await connection.exec_driver_sql(statement + "$$")
        assert (await s.execute(installed)).all() == migrated
    assert len(migrated) == 13
