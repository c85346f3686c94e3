"""What the driver answers is what SQLAlchemy would have answered."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Integer, Select, Text, bindparam, cast, func, literal, literal_column, select
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB

from funmagic import seed
from funmagic.catalog import search, shelf
from funmagic.core.db import Database
from funmagic.core.resources import Resources

NUMBER = bindparam("number", type_=Integer)
OF_ALL_KINDS = select(
    cast(literal('{"a": ["é", 1, 2.5, null]}'), JSONB).label("json"),
    cast(literal(None), JSONB).label("nothing"),
    cast(literal("null"), JSONB).label("json_null"),
    func.now().is_not(None).label("flag"),
    (NUMBER + 1).label("more"),
    func.gen_random_uuid().is_not(None).label("known"),
)


def catalog() -> list[tuple[Select[Any], dict[str, Any]]]:
    first = search._first(shelf.offered(), "popular", False)
    of_type = search._first(shelf.offered(), "newest", True)
    return [
        (shelf._kinds(), {}),
        (shelf._featured(), {"most": 8}),
        (first, {"most": 25}),
        (of_type, {"most": 3, "type": "3d"}),
    ]


async def test_rows_are_those_of_a_transaction(resources: Resources) -> None:
    await seed.run(resources)
    for statement, parameters in [(OF_ALL_KINDS, {"number": 41}), *catalog()]:
        async with resources.db.transaction() as session:
            expected = (await session.execute(statement, parameters)).all()
        async with resources.db.reading() as reader:
            found = await reader.execute(statement, parameters)
        assert expected
        assert found.all() == expected
        assert [row._fields for row in found] == [row._fields for row in expected]
        assert [list(map(type, row)) for row in found] == [list(map(type, r)) for r in expected]


async def test_a_wrong_statement_is_no_outage_and_the_connection_stays_good(db: Database) -> None:
    async with db.reading() as reader:
        with pytest.raises(asyncpg.DataError):
            await reader.execute(select(literal(1) / bindparam("by", type_=Integer)), {"by": "x"})
        with pytest.raises(asyncpg.UndefinedColumnError):
            await reader.execute(select(literal_column("no_such_column")))
        assert (await reader.execute(select(cast(literal("x"), Text)))).all() == [("x",)]


async def test_reading_leaves_no_transaction_open(db: Database) -> None:
    async with db.reading() as reader:
        first = (await reader.execute(select(func.txid_current()))).all()
        assert (await reader.execute(select(func.txid_current()))).all() > first


async def test_a_table_that_changes_between_two_readings_is_read_as_it_is(db: Database) -> None:
    every: Select[Any] = select(literal_column("*")).select_from(sql("sheep"))
    async with db.transaction() as session:
        await session.execute(sql("CREATE TABLE sheep AS SELECT 1 AS id"))
    for _ in range(2 * db.engine.pool.size()):  # type: ignore[attr-defined]
        async with db.reading() as reader:
            assert (await reader.execute(every)).all() == [(1,)]
    async with db.transaction() as session:
        await session.execute(sql("ALTER TABLE sheep ALTER id TYPE text"))
    async with db.reading() as reader:
        assert (await reader.execute(every)).all() == [("1",)]


async def test_who_is_given_up_in_the_middle_leaves_nothing_to_the_next(db: Database) -> None:
    """At whatever moment: while a statement is made ready, asked or answered."""
    given_up = 0
    for number in range(300):
        async with db.reading() as reader:
            try:
                async with asyncio.timeout(number % 30 / 10_000):
                    await reader.execute(select(literal_column(f"{number} AS number")))
                    await reader.execute(select(func.pg_sleep(number % 3 / 1_000)))
            except TimeoutError:
                given_up += 1
        async with db.reading() as reader:
            other = await reader.execute(select(literal_column(f"{-number}")))
            assert other.all() == [(-number,)]
    assert 30 < given_up < 300
