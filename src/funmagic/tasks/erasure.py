"""What is personal in a person's tasks, taken out; that they ran, and what they cost, stays."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.erasure import NotYet

IS_BUSY = text("""
    SELECT EXISTS (SELECT FROM tasks
                    WHERE user_id = :user_id
                      AND status IN ('pending', 'queued', 'processing'))
""")
# An unfinished picture keeps its key until it is removed. A call that is still to be asked for its
# cost keeps what finds it again; the options are the admins' own.
ERASE: Final = (
    text("""
        UPDATE tasks SET input = '{}', output = NULL, idempotency_key = NULL, request_id = NULL,
                         request_hash = ''
         WHERE user_id = :user_id
    """),
    text("""
        UPDATE task_steps SET output = NULL
         WHERE task_id IN (SELECT id FROM tasks WHERE user_id = :user_id) AND output IS NOT NULL
    """),
    text("""
        UPDATE task_events SET data = '{}'
         WHERE task_id IN (SELECT id FROM tasks WHERE user_id = :user_id) AND NOT data ? 'key'
    """),
    text("""
        UPDATE provider_calls
           SET request = jsonb_build_object(
                   'capability', request -> 'capability', 'options', request -> 'options'),
               response = CASE WHEN response IS NOT NULL THEN CAST('{}' AS jsonb) END,
               handle = CASE WHEN ask_again_at IS NOT NULL THEN handle END,
               error_message = NULL
         WHERE task_id IN (SELECT id FROM tasks WHERE user_id = :user_id)
    """),
)


async def erase(session: AsyncSession, user_id: UUID) -> None:
    """Empty what a person gave and got. Raises :class:`NotYet` while one of their tasks runs."""
    if await session.scalar(IS_BUSY, {"user_id": user_id}):
        raise NotYet("a task is running")
    for statement in ERASE:
        await session.execute(statement, {"user_id": user_id})
