"""Entries cannot be changed; where somebody did it anyway, reconcile says so."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.credits.conftest import BooksOf, OpenAccount
from tests.credits.tasks_for_holds import add_task

from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.credits import service as credits
from funmagic.reports import reconcile as report
from funmagic.reports.reconcile import reconcile

UNLOCK = (
    "ALTER TABLE credit_transactions DISABLE TRIGGER credit_transactions_append_only",
    "ALTER TABLE credit_transactions DROP CONSTRAINT ck_credit_transactions_after",
    "ALTER TABLE credit_transactions DROP CONSTRAINT ck_credit_transactions_type",
)


async def kinds(db: Database) -> set[str]:
    async with db.transaction() as s:
        return {difference.kind for difference in await reconcile(s)}


async def priced_task(
    db: Database, user_id: UUID, status: str, price: int = 5, *, held: int | None = None
) -> UUID:
    """A task as the engine would have left it, with its hold (of ``held`` credits) still open."""
    task_id = new_id()
    async with db.transaction() as s:
        await add_task(s, task_id, user_id, status=status, price_credits=price)
        if held != 0:
            await credits.hold(s, task_id, user_id, held or price, description="Task")
    return task_id


@pytest.mark.hazard("M13")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_transactions SET amount = 60",
        "UPDATE credit_transactions SET description = 'Welcome'",
        "DELETE FROM credit_transactions",
        "TRUNCATE credit_transactions",
        "TRUNCATE users CASCADE",
    ],
)
async def test_entries_are_append_only_even_for_the_owner(
    change: str, db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    await open_account(50)
    with pytest.raises(DBAPIError, match="append-only"):
        async with db.transaction() as s:
            await s.execute(text(change))
    assert await books() == []


@pytest.mark.hazard("M13")
async def test_a_user_with_a_ledger_cannot_be_deleted(
    db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(50)
    with pytest.raises(DBAPIError, match="credit_accounts"):
        async with db.transaction() as s:
            await s.execute(text("DELETE FROM users WHERE id = :id"), {"id": ada})


async def test_an_owner_that_is_no_superuser_has_no_right_to_change_entries(db: Database) -> None:
    """The grant says it too: what is left of the owner's own rights is reading and adding."""
    rights = text("""
        SELECT DISTINCT privilege_type FROM information_schema.table_privileges
         WHERE table_name = 'credit_transactions'
    """)
    async with db.transaction() as s:
        granted = set((await s.execute(rights)).scalars())
    assert {"SELECT", "INSERT"} <= granted
    assert not granted & {"UPDATE", "DELETE", "TRUNCATE"}


@pytest.mark.parametrize(
    ("tampering", "kind"),
    [
        ("UPDATE credit_transactions SET amount = 70 WHERE entry_no = 2", "chain"),
        ("UPDATE credit_transactions SET description = 'Other' WHERE entry_no = 2", "chain"),
        ("UPDATE credit_transactions SET actor = 'root' WHERE entry_no = 3", "chain"),
        ("UPDATE credit_transactions SET created_at = now() WHERE entry_no = 1", "chain"),
        ("DELETE FROM credit_transactions WHERE entry_no = 2", "chain"),
        ("DELETE FROM credit_transactions WHERE entry_no = 3", "account_sum"),
        ("UPDATE credit_accounts SET balance = balance + 1", "account_sum"),
        ("UPDATE credit_accounts SET owed = 4", "account_sum"),
        ("UPDATE credit_accounts SET head_hash = sha256('')", "chain"),
        ("UPDATE credit_holds SET amount = 9", "hold_entries"),
        ("UPDATE credit_holds SET amount = 9", "reserved_sum"),
        ("UPDATE credit_holds SET state = 'released', resolved_at = now()", "hold_entries"),
        ("DELETE FROM credit_holds", "reserved_sum"),
    ],
)
async def test_tampering_is_found(
    tampering: str, kind: str, db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(50)
    async with db.transaction() as s:
        await credits.grant(s, ada, 7, type="bonus", idempotency_key="gift", description="A gift")
    await priced_task(db, ada, "queued")
    assert await kinds(db) == set()
    async with db.transaction() as s:
        for statement in (*UNLOCK, tampering):
            await s.execute(text(statement))
    assert kind in await kinds(db)


async def test_a_rewritten_entry_with_a_fresh_hash_breaks_the_next_link(
    db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account()
    async with db.transaction() as s:
        await credits.grant(
            s, ada, 50, type="bonus", idempotency_key="only-gift", description="A gift"
        )
    await priced_task(db, ada, "queued")
    async with db.transaction() as s:
        for statement in (
            *UNLOCK,
            "UPDATE credit_transactions SET description = 'Other' WHERE type = 'bonus'",
            "UPDATE credit_transactions t SET hash = credit_entry_hash(t) WHERE type = 'bonus'",
        ):
            await s.execute(text(statement))
    async with db.transaction() as s:
        (difference,) = await reconcile(s)
    assert difference.subject == f"{ada} entry 2"
    assert difference.expected.startswith("previous hash")


async def settled(s: AsyncSession, task_id: UUID, how: str) -> None:
    if how == "captured":
        await credits.capture(s, task_id, description="Done")
    elif how == "captured in part":
        await credits.capture(s, task_id, 2, description="Done")
    elif how == "released":
        await credits.release(s, task_id, description="Failed")


@pytest.mark.parametrize(
    ("status", "how", "sound"),
    [
        ("pending", "open", True),
        ("queued", "open", True),
        ("processing", "open", True),
        ("completed", "captured", True),
        ("failed", "released", True),
        ("completed", "open", False),
        ("completed", "released", False),
        ("completed", "captured in part", False),
        ("failed", "open", False),
        ("failed", "captured", False),
        ("queued", "captured", False),
        ("processing", "released", False),
    ],
)
async def test_a_task_and_its_hold_end_the_same_way(
    status: str, how: str, sound: bool, db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(50)
    task_id = await priced_task(db, ada, status)
    async with db.transaction() as s:
        await settled(s, task_id, how)
    assert await kinds(db) == (set() if sound else {"task_hold"})


async def test_holds_and_tasks_must_have_each_other(
    db: Database, open_account: OpenAccount
) -> None:
    ada, cy = await open_account(50), await open_account(50)
    without_hold = await priced_task(db, ada, "queued", held=0)
    await priced_task(db, ada, "queued", 0, held=0)  # free: right as it is
    other_price = await priced_task(db, ada, "queued", 5, held=4)
    without_task, someone_elses = new_id(), new_id()
    async with db.transaction() as s:
        await credits.hold(s, without_task, ada, 5, description="Task")
        await add_task(s, someone_elses, ada, status="queued", price_credits=5)
        await credits.hold(s, someone_elses, cy, 5, description="Task")
    async with db.transaction() as s:
        found = await reconcile(s)
    assert {difference.kind for difference in found} == {"task_hold"}
    assert sorted(difference.subject for difference in found) == sorted(
        map(str, (without_hold, other_price, without_task, someone_elses, someone_elses))
    )


async def test_chains_longer_than_a_batch_are_read_to_their_end(
    db: Database, open_account: OpenAccount, books: BooksOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "CHAIN_BATCH", 3)
    for _ in range(3):
        user_id = await open_account(1)
        async with db.transaction() as s:
            for number in range(4):
                await credits.grant(
                    s,
                    user_id,
                    1,
                    type="bonus",
                    idempotency_key=f"{user_id}:{number}",
                    description="A gift",
                )
    assert await books() == []
    async with db.transaction() as s:
        for statement in (
            *UNLOCK,
            "UPDATE credit_transactions SET description = 'Other' WHERE entry_no = 5",
        ):
            await s.execute(text(statement))
    assert len(await books()) == 3


async def test_reconcile_reads_one_snapshot_and_writes_nothing(db: Database) -> None:
    async with db.transaction() as s:
        await reconcile(s)
        with pytest.raises(DBAPIError, match="read-only"):
            await s.execute(text("CREATE TABLE written (id int)"))
