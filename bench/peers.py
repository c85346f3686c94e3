"""How such products usually start a job: three statements, two commits, then the queue.

SELECT the balance; UPDATE it; commit. INSERT the task; commit. Add the job to BullMQ. Nothing here
keeps a racer from overspending, and a crash between the commits keeps credits reserved for ever.
The peers use the same server, the same pool size and the same durability as we do.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import bullmq
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.ground import Ground
from funmagic.core.clock import now
from funmagic.core.db import Base, Database
from funmagic.core.ids import new_id

PRICE_CREDITS = 5
CONFIG = {
    "implementation": "background-remove",
    "deadlineS": 180,
    "steps": [
        {
            "id": "remove",
            "priceCredits": PRICE_CREDITS,
            "providers": [{"provider": "local", "model": "u2netp", "options": {}}],
            "settings": {},
        }
    ],
}


class PeerBase(DeclarativeBase):
    type_annotation_map = Base.type_annotation_map


class Account(PeerBase):
    __tablename__ = "peer_accounts"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    balance: Mapped[int]
    reserved: Mapped[int]


class PeerTask(PeerBase):
    __tablename__ = "peer_tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("peer_accounts.user_id"), index=True)
    tool_id: Mapped[UUID]
    status: Mapped[str]
    step_id: Mapped[str]
    price_credits: Mapped[int]
    input: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    deadline_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Entry(PeerBase):
    """A line of a ledger, without a chain of hashes."""

    __tablename__ = "peer_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("peer_accounts.user_id"), index=True)
    type: Mapped[str]
    amount: Mapped[int]
    balance_after: Mapped[int]
    reserved_after: Mapped[int]
    description: Mapped[str]
    reference_id: Mapped[str]
    created_at: Mapped[datetime]


class PeerStep(PeerBase):
    __tablename__ = "peer_steps"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("peer_tasks.id"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[str]
    status: Mapped[str]


class PeerEvent(PeerBase):
    __tablename__ = "peer_events"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("peer_tasks.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    data: Mapped[dict[str, Any]]


SELECT_BALANCE = "SELECT balance, reserved FROM peer_accounts WHERE user_id = $1"
UPDATE_BALANCE = "UPDATE peer_accounts SET reserved = $2 WHERE user_id = $1"
INSERT_TASK = """
    INSERT INTO peer_tasks (id, user_id, tool_id, status, step_id, price_credits, input, config,
                            idempotency_key, deadline_at, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb, $9, $10, $11)
"""


class Peers:
    """The same job started three ways by a product without a ledger."""

    def __init__(self, ground: Ground, db: Database, pool: Any) -> None:
        self._db = db
        self._pool = pool
        self._people = [person.user.id for person in ground.people]
        self._photo = ground.people[0].photo
        self._tool_id = new_id()
        self._queue = bullmq.Queue("peer-tasks", {"connection": ground.resources.redis})

    async def by_orm(self, client: int, *, as_much: bool = False, enqueue: bool = True) -> None:
        """Through an object mapper. ``as_much`` keeps a ledger line, a step and an event too."""
        values = self._task(client)
        async with self._db.transaction() as session:
            query = select(Account).where(Account.user_id == values["user_id"])
            account = (await session.execute(query)).scalar_one()
            assert account.balance - account.reserved >= PRICE_CREDITS
            account.reserved += PRICE_CREDITS
            if as_much:
                session.add(_entry(account, values["id"]))
        async with self._db.transaction() as session:
            session.add(PeerTask(**values))
            if as_much:
                await session.flush()
                session.add(
                    PeerStep(task_id=values["id"], ordinal=1, step_id="remove", status="pending")
                )
                session.add(
                    PeerEvent(task_id=values["id"], seq=1, type="created", data={"step": "remove"})
                )
        if enqueue:
            await self.enqueue(values["id"])

    async def by_hand(self, client: int, *, enqueue: bool = True) -> None:
        """Three statements as bare as the driver takes them."""
        values = self._task(client)
        async with self._pool.acquire() as connection, connection.transaction():
            account = await connection.fetchrow(SELECT_BALANCE, values["user_id"])
            assert account["balance"] - account["reserved"] >= PRICE_CREDITS
            reserved = account["reserved"] + PRICE_CREDITS
            await connection.execute(UPDATE_BALANCE, values["user_id"], reserved)
        values |= {name: json.dumps(values[name]) for name in ("input", "config")}
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(INSERT_TASK, *values.values())
        if enqueue:
            await self.enqueue(values["id"])

    async def enqueue(self, task_id: UUID) -> None:
        await self._queue.add("peer", {"taskId": str(task_id)}, {"jobId": f"{task_id}-1"})

    def _task(self, client: int) -> dict[str, Any]:
        return {
            "id": new_id(),
            "user_id": self._people[client],
            "tool_id": self._tool_id,
            "status": "pending",
            "step_id": "remove",
            "price_credits": PRICE_CREDITS,
            "input": {"image": self._photo},
            "config": CONFIG,
            "idempotency_key": secrets.token_hex(8),
            "deadline_at": now() + timedelta(hours=1),
            "created_at": now(),
        }


def _entry(account: Account, task_id: UUID) -> Entry:
    return Entry(
        id=new_id(),
        user_id=account.user_id,
        type="reservation",
        amount=PRICE_CREDITS,
        balance_after=account.balance,
        reserved_after=account.reserved,
        description="Reserved for a task",
        reference_id=str(task_id),
        created_at=now(),
    )


async def make_tables(ground: Ground) -> None:
    """The peers' own tables, with one account a person."""
    async with ground.resources.db.engine.begin() as connection:
        await connection.run_sync(PeerBase.metadata.create_all)
    async with ground.resources.db.transaction() as session:
        session.add_all(
            Account(user_id=person.user.id, balance=100_000_000, reserved=0)
            for person in ground.people
        )


async def open_pool(ground: Ground, size: int) -> Any:
    """The driver's own pool."""
    url = ground.settings.database_url.get_secret_value()
    return await asyncpg.create_pool(url, min_size=size, max_size=size)
