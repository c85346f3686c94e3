"""The end of a task: outputs, status, money and the last event in one transaction.

Every settlement first locks the task's row under the worker's fence, so of any number of
settlements one happens. Only after its commit is the job acknowledged and anybody told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets import service as assets
from funmagic.catalog import runs
from funmagic.core.i18n import N_
from funmagic.credits import service as credits
from funmagic.providers import calls
from funmagic.providers.contract import Result, Trouble
from funmagic.tasks import claims, events
from funmagic.tasks.claims import Claim
from funmagic.tasks.events import Event
from funmagic.tasks.messages import BY_TROUBLE, CANCELLED

CHARGED: Final = N_("Charged for a completed task")
RETURNED: Final = N_("Returned: the task did not complete")

STEP_DONE = text("""
    UPDATE task_steps
       SET status = 'completed', progress = 100, output = :output, completed_at = now()
     WHERE task_id = :task_id AND step_id = :step_id
""").bindparams(bindparam("output", type_=JSONB))
STEP_FAILED = text("""
    UPDATE task_steps SET status = 'failed', completed_at = now()
     WHERE task_id = :task_id AND status <> 'completed'
    RETURNING step_id
""")
COMPLETE = text("""
    UPDATE tasks
       SET status = 'completed', output = :output, completed_at = now(),
           lease_owner = NULL, lease_expires_at = NULL
     WHERE id = :task_id
""").bindparams(bindparam("output", type_=JSONB))
FAIL = text("""
    UPDATE tasks
       SET status = 'failed', error_type = :error_type, error_message = :error_message,
           completed_at = now(), lease_owner = NULL, lease_expires_at = NULL
     WHERE id = :task_id
""")
COUNT_RUN = text("UPDATE tools SET usage_count = usage_count + 1 WHERE id = :tool_id")
# Five minutes after its deadline nobody is asked any more: whoever tried has died of it.
OVERDUE = """
    SELECT id, deadline_at > now() - interval '5 minutes'
               AND EXISTS (SELECT FROM provider_calls
                            WHERE task_id = tasks.id AND state = 'submitted') AS may_be_ready,
           cancel_requested_at IS NOT NULL AS is_cancelling
      FROM tasks
     WHERE status IN ('pending', 'queued', 'processing') AND deadline_at < now()
       AND (lease_expires_at IS NULL OR lease_expires_at < now())
"""
# First what needs no question, so that many questions cannot keep credits from returning.
FIND_OVERDUE = text(f"{OVERDUE} ORDER BY may_be_ready, deadline_at LIMIT :batch")
TAKE_OVERDUE = text(f"{OVERDUE} AND id = :task_id FOR UPDATE SKIP LOCKED")


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """An output that lies in the storage already; its row is written by the settlement."""

    name: str
    kind: str
    storage_key: str
    content_type: str
    size_bytes: int
    etag: str
    file_name: str
    width: int | None
    height: int | None
    thumbnail_key: str | None = None
    is_relief: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed: a stable type, and what its owner is told (an English message id)."""

    type: str
    message: str


async def complete(
    session: AsyncSession,
    held: Claim,
    *,
    step_id: str,
    call_id: UUID,
    outputs: Sequence[StoredOutput],
    result: Result,
) -> list[Event]:
    """Record the outputs, charge the hold, end the task. Raises :class:`claims.LeaseLost`."""
    await claims.lock(session, held)
    asset_ids = [await _add_asset(session, held, step_id, output) for output in outputs]
    output = {"assets": [str(asset_id) for asset_id in asset_ids]}
    await calls.done(
        session, call_id, {"outputs": len(outputs)}, result.meta, result.cost_usd_micros
    )
    await session.execute(STEP_DONE, {"task_id": held.id, "step_id": step_id, "output": output})
    await session.execute(COMPLETE, {"task_id": held.id, "output": output})
    await runs.record_run(session, held.user_id, held.tool_id)
    told = [
        await events.append(session, held.id, "step_completed", stepId=step_id, output=output),
        await events.append(session, held.id, "completed", output=output),
    ]
    if held.price_credits:
        await credits.capture(session, held.id, description=CHARGED)
    return told


async def fail(
    session: AsyncSession,
    held: Claim,
    failure: Failure,
    *,
    answered: Result | None = None,
    **booking: Any,
) -> list[Event]:
    """End the task unfinished and give the hold back. Raises :class:`claims.LeaseLost`.

    ``booking`` is what :func:`end_call` takes, where a call ended so. ``answered`` is a result we
    could not use: the call succeeded and its cost is booked all the same.
    """
    await claims.lock(session, held)
    if booking.get("call_id") is not None:
        if answered is None:
            await end_call(session, **booking)
        else:
            unusable = {"unusable": failure.message}
            cost = answered.cost_usd_micros
            await calls.done(session, booking["call_id"], unusable, answered.meta, cost)
    return await end_unfinished(session, held.id, failure)


async def end_call(
    session: AsyncSession,
    *,
    call_id: UUID,
    trouble: Trouble = Trouble.BROKEN,
    vendor_message: str = "",
    cost_usd_micros: int = 0,
    is_still_running: bool = False,
) -> None:
    """Book the end of a call without a result.

    ``vendor_message`` is kept for operators; the owner never sees it. A call that for all we know
    ``is_still_running`` at the vendor is abandoned: it is asked for its cost later.
    """
    if is_still_running:
        await calls.abandon(session, call_id, trouble, vendor_message)
    else:
        await calls.failed(session, call_id, trouble, vendor_message, cost_usd_micros)


async def overdue(session: AsyncSession, batch: int) -> list[tuple[UUID, bool]]:
    """Tasks whose deadline has passed and that no living worker holds, at most ``batch``.

    Each with whether a vendor's job is on record that may be asked for one last time.
    """
    found = await session.execute(FIND_OVERDUE, {"batch": batch})
    return [(row.id, row.may_be_ready) for row in found]


async def fail_overdue(session: AsyncSession, task_id: UUID) -> list[Event]:
    """End one such task, if it still is one. One a transaction: each locks its owner's account."""
    row = (await session.execute(TAKE_OVERDUE, {"task_id": task_id})).one_or_none()
    if row is None:
        return []
    late = CANCELLED if row.is_cancelling else BY_TROUBLE[Trouble.TIMEOUT]
    return await end_unfinished(session, task_id, Failure(*late))


async def count_run(session: AsyncSession, tool_id: UUID) -> None:
    """Count a completed run, outside the settlement: a popular tool's row must not queue money."""
    await session.execute(COUNT_RUN, {"tool_id": tool_id})


async def end_unfinished(session: AsyncSession, task_id: UUID, failure: Failure) -> list[Event]:
    """Fail a task whose row the caller has locked, whatever it was doing."""
    error: dict[str, Any] = {"type": failure.type, "message": failure.message}
    await calls.abandon_open(session, task_id)
    failed_steps = (await session.execute(STEP_FAILED, {"task_id": task_id})).scalars().all()
    await session.execute(
        FAIL,
        {"task_id": task_id, "error_type": failure.type, "error_message": failure.message},
    )
    told = [
        await events.append(session, task_id, "step_failed", stepId=step_id, error=error)
        for step_id in failed_steps
    ]
    told.append(await events.append(session, task_id, "failed", error=error))
    # A free task has no hold; then there is nothing to give back.
    if await credits.hold_of(session, task_id) is not None:
        await credits.release(session, task_id, description=RETURNED)
    return told


async def _add_asset(
    session: AsyncSession, held: Claim, step_id: str, output: StoredOutput
) -> UUID:
    return await assets.add_output(
        session,
        user_id=held.user_id,
        kind=output.kind,
        storage_key=output.storage_key,
        content_type=output.content_type,
        size_bytes=output.size_bytes,
        etag=output.etag,
        width=output.width,
        height=output.height,
        thumbnail_key=output.thumbnail_key,
        is_relief=output.is_relief,
        file_name=output.file_name,
        task_id=held.id,
        step_id=step_id,
    )
