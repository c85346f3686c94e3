"""A task's events: numbered without gaps in the transaction of what they tell, published after it.

The number is taken by updating the task's row, whose lock is held until the commit; so events of
one task are numbered in the order in which they become visible. The channel carries what the table
holds; a lost publication costs nothing but time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.log import logger

log = logger(__name__)

TERMINAL: Final = frozenset({"completed", "failed"})
CHANNEL_PREFIX: Final = "task:"
READ_BATCH: Final = 500

APPEND = text("""
    WITH next AS (
        UPDATE tasks SET last_seq = last_seq + 1 WHERE id = :task_id RETURNING last_seq
    )
    INSERT INTO task_events (task_id, seq, type, data)
    SELECT :task_id, last_seq, :type, :data FROM next
    RETURNING seq
""").bindparams(bindparam("data", type_=JSONB))
READ_AFTER = text("""
    SELECT seq, type, data FROM task_events
     WHERE task_id = :task_id AND seq > :seq
     ORDER BY seq LIMIT :batch
""")
LAST_SEQS = text("SELECT id, last_seq FROM tasks WHERE id = ANY(:task_ids)")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``data`` names assets by id; addresses are signed on delivery."""

    task_id: UUID
    seq: int
    type: str
    data: dict[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL

    def to_json(self) -> str:
        return json.dumps({"seq": self.seq, "type": self.type, "data": self.data})

    @classmethod
    def from_json(cls, task_id: UUID, payload: str) -> Event:
        body = json.loads(payload)
        return cls(task_id, int(body["seq"]), str(body["type"]), dict(body["data"]))


async def append(session: AsyncSession, task_id: UUID, type: str, **data: Any) -> Event:
    """Add an event in the caller's transaction. Publish it after the commit, not before."""
    values = {"task_id": task_id, "type": type, "data": data}
    seq = (await session.execute(APPEND, values)).scalar_one()
    return Event(task_id, seq, type, data)


async def publish(redis: Redis, events: Sequence[Event]) -> None:
    """Tell listeners of committed events. Never raises: the table is what counts."""
    try:
        for event in events:
            await redis.publish(f"{CHANNEL_PREFIX}{event.task_id}", event.to_json())
    except (RedisError, OSError) as error:
        log.warning("events not published", error=str(error))


async def read_after(session: AsyncSession, task_id: UUID, seq: int) -> list[Event]:
    """The next events after ``seq``, at most ``READ_BATCH``."""
    rows = await session.execute(READ_AFTER, {"task_id": task_id, "seq": seq, "batch": READ_BATCH})
    return [Event(task_id, row.seq, row.type, row.data) for row in rows]


async def last_seqs(session: AsyncSession, task_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How far each task has come, in one query."""
    rows = await session.execute(LAST_SEQS, {"task_ids": list(task_ids)})
    return {row.id: row.last_seq for row in rows}
