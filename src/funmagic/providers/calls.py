"""The record of calls to vendors: written before a call is made, and again when it is answered.

``intent → submitted → done | failed | abandoned``; a vendor that answers directly skips
``submitted``. A finished call never moves again. An *abandoned* call is one nobody waits for any
more: it may still learn its handle and its cost, but its result is discarded. One abandoned without
a handle is a possible orphan: nobody knows whether the vendor made its job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.errors import Conflict
from funmagic.providers.contract import Trouble
from funmagic.providers.models import ProviderCall

# No row where a younger worker (a higher fence) has already called for this task. A call whose
# worker was cut short may be on record without its knowing: it stays one.
INTEND = text("""
    INSERT INTO provider_calls
           (id, task_id, step_id, call_no, provider_key, model, fence, state, request)
    SELECT :call_id, :task_id, :step_id,
           coalesce((SELECT max(call_no) FROM provider_calls
                      WHERE task_id = :task_id AND step_id = :step_id), 0) + 1,
           :provider_key, :model, :fence, 'intent', :request
     WHERE NOT EXISTS (SELECT FROM provider_calls
                        WHERE task_id = :task_id AND fence > :fence)
    ON CONFLICT (id) DO UPDATE SET fence = excluded.fence
    RETURNING call_no
""").bindparams(bindparam("request", type_=JSONB))

SUBMITTED = text("""
    UPDATE provider_calls
       SET state = CASE state WHEN 'intent' THEN 'submitted' ELSE state END,
           handle = :handle,
           submitted_at = now(),
           ask_again_at = CASE state WHEN 'abandoned' THEN now() END
     WHERE id = :call_id AND state IN ('intent', 'abandoned') AND handle IS NULL
    RETURNING state = 'submitted'
""").bindparams(bindparam("handle", type_=JSONB))

DONE = text("""
    UPDATE provider_calls
       SET state = CASE state WHEN 'abandoned' THEN state ELSE 'done' END,
           response = :response,
           meta = :meta,
           cost_usd_micros = :cost_usd_micros,
           finished_at = now(),
           ask_again_at = NULL
     WHERE id = :call_id
       AND (state IN ('intent', 'submitted') OR (state = 'abandoned' AND response IS NULL))
    RETURNING state = 'done'
""").bindparams(bindparam("response", type_=JSONB), bindparam("meta", type_=JSONB))

FAILED = text("""
    UPDATE provider_calls
       SET state = 'failed', error_trouble = :trouble, error_message = :message,
           cost_usd_micros = :cost_usd_micros, finished_at = now(),
           meta = meta || CAST(:marks AS jsonb)
     WHERE id = :call_id AND state IN ('intent', 'submitted')
    RETURNING true
""")

ABANDON = text("""
    UPDATE provider_calls
       SET state = 'abandoned', error_trouble = :trouble, error_message = :message,
           finished_at = now(), ask_again_at = CASE WHEN handle IS NOT NULL THEN now() END,
           meta = meta || CAST(:marks AS jsonb)
     WHERE id = :call_id
       AND (state = 'intent' OR (state = 'submitted' AND NOT :unless_submitted))
    RETURNING true
""")

ABANDON_OPEN = text("""
    UPDATE provider_calls
       SET state = 'abandoned', finished_at = now(),
           ask_again_at = CASE WHEN handle IS NOT NULL THEN now() END
     WHERE task_id = :task_id AND state IN ('intent', 'submitted')
""")

# Asked ever more rarely, as often as the call is old, and no longer than a day.
TAKE_UNASKED = text("""
    UPDATE provider_calls
       SET ask_again_at = CASE WHEN finished_at > now() - interval '1 day'
                               THEN now() + greatest(interval '10 s', now() - finished_at) END
     WHERE id IN (SELECT id FROM provider_calls
                   WHERE ask_again_at <= now()
                   ORDER BY ask_again_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING *
""").columns(*ProviderCall.__table__.columns)

ENDED_UNUSED = text("""
    UPDATE provider_calls
       SET ask_again_at = NULL, error_trouble = coalesce(error_trouble, :trouble),
           error_message = coalesce(error_message, :message), cost_usd_micros = :cost_usd_micros
     WHERE id = :call_id AND state = 'abandoned' AND response IS NULL
""")

ABANDONED = text("""
    SELECT count(*) FROM provider_calls
     WHERE task_id = :task_id AND step_id = :step_id AND provider_key = :provider_key
       AND state = 'abandoned'
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
    return bool(
        await s.scalar(SUBMITTED, {"call_id": call_id, "handle": _plain_json(dict(handle))})
    )


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
        "response": _plain_json(dict(response)),
        "meta": _plain_json(dict(meta)),
        "cost_usd_micros": cost_usd_micros,
    }
    return bool(await s.scalar(DONE, parameters))


async def failed(
    s: AsyncSession,
    call_id: UUID,
    trouble: Trouble,
    message: str,
    cost_usd_micros: int = 0,
    *,
    asked_again: bool = False,
) -> bool:
    """Book a failure and what it cost. False where the call had already ended.

    ``asked_again`` is noted in ``meta``: the same provider will be asked once more.
    """
    parameters = {
        "call_id": call_id,
        "trouble": str(trouble),
        "message": _plain(message)[:MESSAGE_LIMIT_CHARS],
        "cost_usd_micros": cost_usd_micros,
        "marks": _marks(asked_again),
    }
    return bool(await s.scalar(FAILED, parameters))


async def abandon(
    s: AsyncSession,
    call_id: UUID,
    trouble: Trouble,
    message: str,
    *,
    unless_submitted: bool = False,
    asked_again: bool = False,
) -> bool:
    """Stop waiting for a call, and say why. False where it had already ended.

    ``asked_again`` is noted in ``meta``: the same provider will be asked once more.

    With ``unless_submitted`` also False, and nothing done, where its handle has arrived meanwhile.
    """
    parameters = {
        "call_id": call_id,
        "trouble": str(trouble),
        "message": _plain(message)[:MESSAGE_LIMIT_CHARS],
        "unless_submitted": unless_submitted,
        "marks": _marks(asked_again),
    }
    return bool(await s.scalar(ABANDON, parameters))


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


async def abandoned_of(s: AsyncSession, task_id: UUID, step_id: str, provider_key: str) -> int:
    """How many calls of a step to one provider nobody waits for: each may have made a job."""
    values = {"task_id": task_id, "step_id": step_id, "provider_key": provider_key}
    return int(await s.scalar(ABANDONED, values) or 0)


async def take_unasked(s: AsyncSession, batch: int) -> list[ProviderCall]:
    """Abandoned calls with a handle that are due to be asked what they cost, at most ``batch``.

    Each comes up again later, to whoever asks first, until :func:`done` or :func:`ended_unused` is
    told of it or a day has passed.
    """
    statement = (
        select(ProviderCall).from_statement(TAKE_UNASKED).execution_options(populate_existing=True)
    )
    return list(await s.scalars(statement, {"batch": batch}))


async def ended_unused(
    s: AsyncSession, call_id: UUID, trouble: Trouble, message: str, cost_usd_micros: int
) -> None:
    """Book that an abandoned call failed at the vendor, and what it cost even so."""
    parameters = {
        "call_id": call_id,
        "trouble": str(trouble),
        "message": _plain(message)[:MESSAGE_LIMIT_CHARS],
        "cost_usd_micros": cost_usd_micros,
    }
    await s.execute(ENDED_UNUSED, parameters)


def _marks(asked_again: bool) -> str:
    return '{"askedAgain": true}' if asked_again else "{}"


def _plain(words: str) -> str:
    """A vendor's words as PostgreSQL takes them: no NUL, no halves of characters."""
    return words.encode("utf-8", "replace").decode().replace("\x00", "")


def _plain_json(value: Any) -> Any:
    """A vendor's values as PostgreSQL takes them: as above, and no numbers that are none."""
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_json(item) for item in value]
    return value
