"""Every kind of outage is one error; a wrong statement is not one of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy import event, func, literal, select, text
from sqlalchemy.exc import DBAPIError

from funmagic.core.db import Database, DatabaseAway
from funmagic.core.http import as_funmagic_error
from funmagic.core.reading import Reading
from funmagic.core.settings import Settings

TABLE = text("CREATE TABLE sheep (id int)")
ONE = select(literal(1))


@pytest.mark.parametrize(
    "url",
    ["postgresql://postgres@/x?host=/no/such/folder", "postgresql://postgres@127.0.0.1:9/x"],
    ids=["no socket", "refused"],
)
async def test_a_server_that_cannot_be_reached_is_away(url: str) -> None:
    db = Database(url)
    for opened in (db.transaction, db.reading):
        with pytest.raises(DatabaseAway):
            async with opened():
                pass
    await db.close()


async def test_a_connection_that_is_cut_is_an_outage_and_the_next_one_works(db: Database) -> None:
    for opened in (db.transaction, db.reading):
        with pytest.raises(DatabaseAway):
            async with opened() as reader:
                await reader.execute(select(func.pg_terminate_backend(func.pg_backend_pid())))
        async with opened() as reader:
            assert (await reader.execute(ONE)).all() == [(1,)]


@dataclass
class Ending:
    """A connection of the driver's that fails, because its server has ended it or by mistake."""

    has_ended: bool

    async def fetch(self, *_: object) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation is …")

    def is_closed(self) -> bool:
        return self.has_ended


async def test_only_a_connection_that_has_ended_is_an_outage(db: Database) -> None:
    with pytest.raises(DatabaseAway):
        await Reading(cast(Any, Ending(has_ended=True))).execute(ONE)
    with pytest.raises(asyncpg.InternalClientError):
        await Reading(cast(Any, Ending(has_ended=False))).execute(ONE)
    async with db.reading() as reader:
        both = await asyncio.gather(
            reader.execute(ONE), reader.execute(ONE), return_exceptions=True
        )
    assert asyncpg.InterfaceError in [type(answer) for answer in both]


@pytest.mark.parametrize("trouble", [asyncpg.InterfaceError, asyncpg.InternalClientError])
async def test_a_connection_that_ends_while_it_is_made_is_an_outage(
    settings: Settings, trouble: type[Exception]
) -> None:
    def refuse(*_: object) -> None:
        raise trouble("connection is closed")

    db = Database(settings.database_url.get_secret_value())
    event.listen(db.engine.sync_engine, "connect", refuse)
    for opened in (db.transaction, db.reading):
        with pytest.raises(DatabaseAway):
            async with opened():
                pass
    event.remove(db.engine.sync_engine, "connect", refuse)
    for opened in (db.transaction, db.reading):
        async with opened() as reader:
            assert (await reader.execute(ONE)).all() == [(1,)]
    await db.close()


async def test_a_connection_given_up_in_the_middle_is_not_used_again(settings: Settings) -> None:
    """It may be given up because nothing comes from it any more, and nothing ever will."""
    db = Database(settings.database_url.get_secret_value(), pool_size=1)
    its_id = select(func.pg_backend_pid())
    for opened in (db.transaction, db.reading):
        async with opened() as reader:
            before = (await reader.execute(its_id)).all()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), opened() as reader:
                await reader.execute(select(func.pg_sleep(5)))
        async with opened() as reader:
            assert (await reader.execute(its_id)).all() != before
    await db.close()


async def test_a_connection_given_up_in_the_middle_goes_back(db: Database) -> None:
    for opened in (db.transaction, db.reading):
        for _ in range(2 * db.engine.pool.size()):  # type: ignore[attr-defined]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02), opened() as reader:
                    await reader.execute(select(func.pg_sleep(5)))
        async with opened() as reader:
            assert (await reader.execute(ONE)).all() == [(1,)]


async def test_a_lock_that_takes_too_long_is_an_outage(db: Database) -> None:
    async with db.transaction() as session:
        await session.execute(TABLE)
    locked, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with db.transaction() as session:
            await session.execute(text("LOCK TABLE sheep"))
            locked.set()
            await done.wait()

    holding = asyncio.create_task(hold())
    await locked.wait()
    with pytest.raises(DatabaseAway):  # noqa: PT012  # as above
        async with db.transaction() as session:
            await session.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await session.execute(text("SELECT count(*) FROM sheep"))
    done.set()
    await holding


async def test_a_wrong_statement_is_our_fault_and_leaves_nothing(db: Database) -> None:
    with pytest.raises(DBAPIError):  # noqa: PT012  # the transaction's end is what is tested
        async with db.transaction() as session:
            await session.execute(TABLE)
            await session.execute(text("SELECT no_such_column"))
    async with db.transaction() as session:
        assert await session.scalar(text("SELECT to_regclass('sheep')")) is None


async def test_an_error_of_the_callers_own_stays_what_it_is_and_rolls_back(db: Database) -> None:
    with pytest.raises(TimeoutError):  # noqa: PT012  # as above
        async with db.transaction() as session:
            await session.execute(TABLE)
            raise TimeoutError
    async with db.transaction() as session:
        assert await session.scalar(text("SELECT to_regclass('sheep')")) is None


def test_an_outage_is_told_as_a_503_with_the_time_to_come_back() -> None:
    problem = as_funmagic_error(DatabaseAway("x"))
    assert (problem.status, problem.type) == (503, "unavailable")
    assert problem.retry_after_s
