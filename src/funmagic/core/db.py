"""PostgreSQL through SQLAlchemy: the declarative base, the engine, the transaction at the edge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import DateTime, MetaData, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from funmagic.core.outages import LOST, is_passing
from funmagic.core.outages import DatabaseAway as DatabaseAway
from funmagic.core.reading import Reading

CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
# A connection idle for longer is replaced: something in between may have forgotten it.
TRUSTED_IDLE_S = 60.0


class Base(DeclarativeBase):
    """Base of every table. Names of constraints are predictable, so migrations stay readable."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        UUID: PG_UUID(as_uuid=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
    }


def async_url(database_url: str) -> URL:
    """``postgresql://…`` as SQLAlchemy's asyncpg address; ``?host=`` names a socket folder."""
    return make_url(database_url).set(drivername="postgresql+asyncpg")


# Whatever goes wrong while a connection is made.
NOT_CONNECTED: Final = (OSError, TimeoutError, SQLAlchemyError, *LOST)

ENDINGS = "endings"  # what is to be done once a session's transaction is over


# What a function takes that reads columns, not objects.
Reader = AsyncSession | Reading


def at_end(session: AsyncSession, act: Callable[[], Awaitable[object]]) -> None:
    """Do something right after the session's transaction, committed or not, and before whoever
    opened it goes on. ``act`` raises nothing, and is not relied upon: a process may die first."""
    session.info.setdefault(ENDINGS, []).append(act)


class Database:
    """One pool of connections for one process. ``info`` is what its sessions carry along."""

    def __init__(
        self, database_url: str, *, pool_size: int = 10, info: Mapping[Any, Any] | None = None
    ) -> None:
        self.engine: AsyncEngine = create_async_engine(
            async_url(database_url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=15,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "server_settings": {
                    "application_name": "funmagic",
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "lock_timeout": str(LOCK_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
                },
            },
        )
        event.listen(self.engine.sync_engine, "checkin", _note_use)
        event.listen(self.engine.sync_engine, "checkout", _refuse_dead)
        self._sessions = async_sessionmaker(
            self.engine, expire_on_commit=False, info=dict(info or {})
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back on any error.

        Raises :class:`DatabaseAway` for every kind of outage, whatever the driver calls it.
        """
        session = self._sessions()
        try:
            async with self._in_transaction(session):
                yield session
        finally:
            for act in session.info.pop(ENDINGS, ()):
                await act()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """A connection for what is read outside a transaction, by the driver itself.

        Raises :class:`DatabaseAway`, as does what is read.
        """
        try:
            connection = await self.engine.raw_connection()
        except (*NOT_CONNECTED, AsyncAdapt_asyncpg_dbapi.Error) as error:
            raise DatabaseAway(str(error)) from error
        try:
            yield Reading(connection.driver_connection)
        except asyncio.CancelledError:  # given up, maybe because the line has gone silent
            connection.invalidate()
            raise
        finally:
            connection.close()  # goes back to the pool, without a word to the server

    @asynccontextmanager
    async def _in_transaction(self, session: AsyncSession) -> AsyncIterator[None]:
        async with session:
            try:
                await session.connection()
            except NOT_CONNECTED as error:
                raise DatabaseAway(str(error)) from error
            try:
                yield
                await session.commit()
            except DBAPIError as error:
                if is_outage(error):
                    raise DatabaseAway(str(error.orig)) from error
                raise

    async def ping(self) -> None:
        """Raises where PostgreSQL does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def _note_use(_: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _refuse_dead(connection: Any, record: Any, _: Any) -> None:
    """Give out no dead connection: the pool makes another where this raises.

    The driver hears by itself when a server closes an idle connection, so a question to the server
    at every checkout (three round trips) would mostly tell nothing new, and on a line that has
    silently gone dead it would wait for minutes.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server has closed this connection")
    if time.monotonic() - record.info.get("used_at", time.monotonic()) > TRUSTED_IDLE_S:
        raise DisconnectionError("idle for too long to be trusted")


def is_outage(error: DBAPIError) -> bool:
    """Whether an error is the server's state rather than the statement's fault."""
    return error.connection_invalidated or is_passing(getattr(error.orig, "sqlstate", None))
