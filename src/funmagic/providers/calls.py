"""The record of calls to vendors: written before a call is made, and again when it is answered.

``intent → submitted → done | failed | abandoned``; a vendor that answers directly skips
``submitted``. A finished call never moves again. An *abandoned* call is one nobody waits for any
more: it may still learn its handle and its cost, but its result is discarded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.errors import Conflict
from funmagic.providers.contract import Trouble
from funmagic.providers.models import ProviderCall

# No row where a younger worker (a higher fence) has already called for this task.
INTEND = text("""
    INSERT INTO provider_calls
           (id, task_id, step_id, call_no, provider_key, model, fence, state, request)
    SELECT :call_id, :task_id, :step_id,
           coalesce((SELECT max(call_no) FROM provider_calls
                      WHERE task_id = :task_id AND step_id = :step_id), 0) + 1,
           :provider_key, :model, :fence, 'intent', :request
     WHERE NOT EXISTS (SELECT FROM provider_calls
                        WHERE task_id = :task_id AND fence > :fence)
    RETURNING call_no
""").bindparams(bindparam("request", type_=JSONB))

SUBMITTED = text("""
    UPDATE provider_calls
       SET state = CASE state WHEN 'intent' THEN 'submitted' ELSE state END,
           handle = :handle,
           submitted_at = now()
     WHERE id = :call_id AND state IN ('intent', 'abandoned') AND handle IS NULL
    RETURNING state = 'submitted'
""").bindparams(bindparam("handle", type_=JSONB))

DONE = text("""
    UPDATE provider_calls
       SET state = CASE state WHEN 'abandoned' THEN state ELSE 'done' END,
           response = :response,
           meta = :meta,
           cost_usd_micros = :cost_usd_micros,
           finished_at = now()
     WHERE id = :call_id
       AND (state IN ('intent', 'submitted') OR (state = 'abandoned' AND response IS NULL))
    RETURNING state = 'done'
""").bindparams(bindparam("response", type_=JSONB), bindparam("meta", type_=JSONB))

FAILED = text("""
    UPDATE provider_calls
       SET state = 'failed', error_trouble = :trouble, error_message = :message,
           finished_at = now()
     WHERE id = :call_id AND state IN ('intent', 'submitted')
    RETURNING true
""")

ABANDON = text("""
    UPDATE provider_calls
       SET state = 'abandoned', finished_at = now()
     WHERE id = :call_id AND state IN ('intent', 'submitted')
    RETURNING true
""")

ABANDON_OPEN = text("""
    UPDATE provider_calls SET state = 'abandoned', finished_at = now()
     WHERE task_id = :task_id AND state IN ('intent', 'submitted')
""")

LAST_OF = text("""
    SELECT * FROM provider_calls
     WHERE task_id = :task_id AND step_id = :step_id
     ORDER BY call_no DESC
     LIMIT 1
""").columns(*ProviderCall.__table__.columns)

# Vendors' messages are kept for operators; a page of HTML in one is not worth more than this.
MESSAGE_LIMIT_CHARS = 2_000


async def intend(
    s: AsyncSession,
    *,
    call_id: UUID,
    task_id: UUID,
    step_id: str,
    provider_key: str,
    model: str,
    fence: int,
    request: Mapping[str, Any],
) -> int:
    """Write down that a call will be made; returns its number within the step, from 1.

    ``request`` describes the call in JSON without secrets or file contents. Raises
    :class:`Conflict` where a worker with a higher fence has taken the task over.
    """
    call_no = await s.scalar(
        INTEND,
        {
            "call_id": call_id,
            "task_id": task_id,
            "step_id": step_id,
            "provider_key": provider_key,
            "model": model,
            "fence": fence,
            "request": dict(request),
        },
    )
    if call_no is None:
        raise Conflict("Another worker has taken this task over.")
    return int(call_no)


async def submitted(s: AsyncSession, call_id: UUID, handle: Mapping[str, Any]) -> bool:
    """Keep the vendor's handle. False where the call was abandoned (the handle is kept even so)."""
    return bool(await s.scalar(SUBMITTED, {"call_id": call_id, "handle": dict(handle)}))


async def done(
    s: AsyncSession,
    call_id: UUID,
    response: Mapping[str, Any],
    meta: Mapping[str, Any],
    cost_usd_micros: int,
) -> bool:
    """Book the answer and its cost. False where nobody may use the result (abandoned, finished)."""
    parameters = {
        "call_id": call_id,
        "response": dict(response),
        "meta": dict(meta),
        "cost_usd_micros": cost_usd_micros,
    }
    return bool(await s.scalar(DONE, parameters))


async def failed(s: AsyncSession, call_id: UUID, trouble: Trouble, message: str) -> bool:
    """Book a failure. False where the call had already ended."""
    parameters = {
        "call_id": call_id,
        "trouble": str(trouble),
        "message": message[:MESSAGE_LIMIT_CHARS],
    }
    return bool(await s.scalar(FAILED, parameters))


async def abandon(s: AsyncSession, call_id: UUID) -> bool:
    """Stop waiting for a call. False where it had already ended."""
    return bool(await s.scalar(ABANDON, {"call_id": call_id}))


async def abandon_open(s: AsyncSession, task_id: UUID) -> None:
    """Stop waiting for whatever a task that has ended was still waiting for."""
    await s.execute(ABANDON_OPEN, {"task_id": task_id})


async def last_of(s: AsyncSession, task_id: UUID, step_id: str) -> ProviderCall | None:
    """The newest call of a step, read fresh from the database."""
    statement = (
        select(ProviderCall).from_statement(LAST_OF).execution_options(populate_existing=True)
    )
    row = await s.scalars(statement, {"task_id": task_id, "step_id": step_id})
    return row.one_or_none()
