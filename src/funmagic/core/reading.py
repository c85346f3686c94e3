"""Statements that only read, run by PostgreSQL's driver itself.

SQLAlchemy takes more time for running a small statement and reading its rows than PostgreSQL does
for answering it. Where somebody waits for a page, each is made into the driver's words once, and
what the driver answers is handed on.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from funmagic.core.outages import LOST, DatabaseAway, is_passing

DIALECT: Final = asyncpg_dialect()  # type: ignore[no-untyped-call]


class Found(list[Any]):
    """Rows, each a named tuple of the statement's columns."""

    def all(self) -> Found:
        """As SQLAlchemy's results have it, so that who reads need not know which of them it is."""
        return self


class Reading:
    """A connection of the driver's, outside any transaction: each statement stands for itself.

    It is one that SQLAlchemy has opened, which has told the driver how JSON is read.
    """

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    async def execute(
        self, statement: Select[Any], parameters: dict[str, Any] | None = None
    ) -> Found:
        """The statement's rows. ``parameters`` are numbers, words and lists of them.

        A statement had better be one that is made once: it is put into words once. Raises
        :class:`DatabaseAway`, and the driver's own errors for a statement that is wrong.
        """
        words = _in_words(statement)
        values = words.defaults | parameters if parameters else words.defaults
        try:
            rows = await self._connection.fetch(
                words.sql, *(values[name] for name in words.parameters)
            )
        except asyncpg.PostgresError as error:
            if is_passing(error.sqlstate):
                raise DatabaseAway(str(error)) from error
            raise
        except (*LOST, OSError) as error:
            if not self._connection.is_closed():
                raise
            raise DatabaseAway(str(error)) from error
        return Found(map(words.row, rows))


@dataclass(frozen=True, slots=True)
class _Words:
    """A statement in the driver's words: its parameters by place, and how its rows are read."""

    sql: str
    parameters: tuple[str, ...]
    defaults: dict[str, Any]
    row: Callable[[Any], Any]


@lru_cache(maxsize=64)
def _in_words(statement: Select[Any]) -> _Words:
    compiled: Any = statement.compile(dialect=DIALECT)
    names = [column.key or "" for column in statement.selected_columns]
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    return _Words(compiled.string, tuple(compiled.positiontup), dict(compiled.params), row._make)
