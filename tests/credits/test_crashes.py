"""A connection killed anywhere inside the ledger leaves whole bookings only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.credits.conftest import BooksOf, OpenAccount

from funmagic.core.db import Database, DatabaseAway
from funmagic.core.ids import new_id
from funmagic.credits import service as credits
from funmagic.credits.service import Balance

TABLES = ("credit_accounts", "credit_holds", "credit_transactions")

# Counts row writes before and after each happens, across transactions, and ends its own connection
# at the one asked for.
KILLER = """
CREATE FUNCTION kill_at_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('writes') = (SELECT fatal FROM kill_plan) THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
        PERFORM pg_sleep(5);
    END IF;
    RETURN NEW;
END
$$
"""


async def install_killer(db: Database) -> None:
    async with db.transaction() as s:
        await s.execute(text("CREATE SEQUENCE writes"))
        await s.execute(text("CREATE TABLE kill_plan (fatal bigint NOT NULL)"))
        await s.execute(text("INSERT INTO kill_plan VALUES (0)"))
        await (await s.connection()).exec_driver_sql(KILLER)
        for table in TABLES:
            for moment in ("BEFORE", "AFTER"):
                await s.execute(
                    text(
                        f"CREATE TRIGGER zz_kill_{moment.lower()} {moment} INSERT OR UPDATE"
                        f" ON {table} FOR EACH ROW EXECUTE FUNCTION kill_at_write()"
                    )
                )


async def plan_kill(db: Database, write: int) -> None:
    """Kill at the ``write``-th write from now; 0 for never."""
    async with db.transaction() as s:
        await s.execute(text("UPDATE kill_plan SET fatal = :write"), {"write": write})
        await s.execute(text("ALTER SEQUENCE writes RESTART"))


def story(user_id: UUID) -> list[Callable[[AsyncSession], Awaitable[object]]]:
    """Every verb once, each with its key, so that any part of it can be told again."""
    first, second, third = new_id(), new_id(), new_id()
    welcome = f"welcome:{user_id}"
    return [
        lambda s: credits.grant(
            s, user_id, 50, type="welcome", idempotency_key=welcome, description="Welcome"
        ),
        lambda s: credits.hold(s, first, user_id, 10, description="One"),
        lambda s: credits.hold(s, second, user_id, 10, description="Two"),
        lambda s: credits.hold(s, third, user_id, 10, description="Three"),
        lambda s: credits.capture(s, first, description="One"),
        lambda s: credits.capture(s, second, 4, description="Two"),
        lambda s: credits.take_back(
            s, user_id, 60, idempotency_key=f"back:{user_id}", description="Payment taken back"
        ),
        lambda s: credits.release(s, third, description="Three"),
        lambda s: credits.grant(
            s, user_id, 30, type="bonus", idempotency_key=f"bonus:{user_id}", description="Gift"
        ),
    ]


@pytest.mark.hazard("M3")
@pytest.mark.parametrize("verbs_a_transaction", [1, 3])
async def test_a_kill_at_any_write_leaves_accounts_equal_to_their_entries(
    verbs_a_transaction: int, db: Database, open_account: OpenAccount, books: BooksOf
) -> None:
    await install_killer(db)
    kills = 0
    while True:
        ada = await open_account()
        verbs = story(ada)
        groups = [
            verbs[start : start + verbs_a_transaction]
            for start in range(0, len(verbs), verbs_a_transaction)
        ]
        await plan_kill(db, kills + 1)
        try:
            await tell(db, groups)
        except (DBAPIError, DatabaseAway):
            kills += 1
        else:
            break
        await plan_kill(db, 0)
        assert await books() == [], f"after the kill at write {kills}"
        await tell(db, groups)  # a retry goes on where the kill had left it
        async with db.transaction() as s:
            assert await credits.balance_of(s, ada) == Balance(6, 0, 0)

    assert kills > 40
    assert await books() == []


async def tell(
    db: Database, groups: list[list[Callable[[AsyncSession], Awaitable[object]]]]
) -> None:
    for group in groups:
        async with db.transaction() as s:
            for verb in group:
                await verb(s)
