"""Creating a task, and reading one's own.

A task, its first event, its place in the outbox and its hold are one transaction: either the person
has a task that will run and credits set aside for it, or nothing happened.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.assets import service as assets
from funmagic.catalog import service as catalog
from funmagic.catalog.models import Tool as ToolTable
from funmagic.catalog.service import ToolRow
from funmagic.core import errors, log
from funmagic.core.clock import now
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.credits import service as credits
from funmagic.jobs import outbox
from funmagic.tasks.models import ENDED, Task
from funmagic.tasks.orders import NewTask, Order, Refused, order_of

QUEUE: Final = "ai-tasks"
PARENT_NOT_READY: Final = N_("The step before this one has no finished picture to start from.")
NO_TASK: Final = N_("We could not find this task.")
HOLD_DESCRIPTION: Final = N_("Reserved for a task")
# A task no worker takes for this long is given up; a claimed one has its step's own deadline.
LONGEST_WAIT: Final = timedelta(hours=1)
IDEMPOTENCY_KEY = re.compile(r"\A[\x21-\x7e]{1,100}\Z")

FIND_BY_KEY = text("""
    SELECT id, request_hash, status, price_credits FROM tasks
     WHERE user_id = :user_id AND idempotency_key = :key
""")
# A task a child may start from: one's own, completed, of the same tool and of the step that is
# followed, with a picture.
PARENT = """
    SELECT FROM tasks AS parent
     WHERE parent.id = CAST(:parent_id AS uuid) AND parent.user_id = :user_id
       AND parent.tool_id = :tool_id AND parent.status = 'completed'
       AND parent.config #>> '{steps,0,id}' = :follows
       AND EXISTS (SELECT FROM assets
                    WHERE task_id = parent.id AND user_id = :user_id AND source = 'output'
                      AND kind = 'image' AND status = 'ready')
"""
IS_PARENT = text(f"SELECT EXISTS ({PARENT})")
# The task, its step, its first event, its place in the outbox and its hold, or nothing. Later parts
# see the rows of ``task`` alone, so where it inserts none they do nothing.
CREATE = text(f"""
    WITH offer AS (
        SELECT FROM tools JOIN tool_types ON tool_types.id = tools.tool_type_id
         WHERE tools.id = :tool_id AND tools.slug = :slug
           AND tools.implementation = :implementation
           AND (tools.is_active AND tool_types.is_active OR CAST(:hidden_too AS boolean))
           AND tools.config = CAST(:tool_config AS jsonb)
    ), task AS (
        INSERT INTO tasks (id, user_id, tool_id, parent_task_id, price_credits, input, config,
                           deadline_at, idempotency_key, request_hash, request_id, last_seq)
        SELECT :task_id, :user_id, :tool_id, CAST(:parent_id AS uuid), :price_credits,
               CAST(:input AS jsonb), CAST(:config AS jsonb), :deadline_at, :idempotency_key,
               :request_hash, :request_id, 1
          FROM offer
         WHERE (SELECT count(*) FROM assets
                 WHERE id = ANY(CAST(:image_ids AS uuid[])) AND user_id = :user_id
                   AND status = 'ready' AND kind = 'image' AND source <> 'avatar') = :images
           AND (CAST(:parent_id AS uuid) IS NULL OR EXISTS ({PARENT}))
        ON CONFLICT (user_id, idempotency_key) DO NOTHING
        RETURNING id
    ), step AS (
        INSERT INTO task_steps (task_id, ordinal, step_id) SELECT id, 1, :step_id FROM task
    ), event AS (
        INSERT INTO task_events (task_id, seq, type, data)
        SELECT id, 1, 'created', CAST(:created AS jsonb) FROM task
    ), job AS (
        INSERT INTO outbox ({outbox.COLUMNS}) SELECT {outbox.VALUES} FROM task
    )
    SELECT id, CASE WHEN :price_credits > 0
                    THEN credit_hold(id, :user_id, :price_credits, :hold_description) END
      FROM task
""")  # noqa: S608 - the outbox's own constants
MARK_QUEUED = text("""
    UPDATE tasks SET status = 'queued', queued_at = now()
     WHERE id = ANY(:task_ids) AND status = 'pending'
""")


@dataclass(frozen=True, slots=True)
class Created:
    """A task that was made, now or earlier by the same request."""

    id: UUID
    status: str
    price_credits: int


def job_id(task_id: UUID, attempt: int) -> str:
    """The queue's id of one attempt. BullMQ allows no colon in it."""
    return f"{task_id}-{attempt}"


def job_of(task_id: UUID, attempt: int) -> dict[str, Any]:
    """What the queue is told of one attempt."""
    return {"taskId": str(task_id), "attempt": attempt}


async def create(
    session: AsyncSession,
    user: User,
    new: NewTask,
    *,
    idempotency_key: str | None = None,
    hidden_too: bool = False,
) -> Created:
    """Create a task and hold its price; with ``hidden_too`` also of a tool that is switched off.

    The same key with the same request returns the task it made before. Raises
    :class:`errors.NotFound` (tool, parent, or an image that is not one's own and confirmed),
    :class:`errors.Invalid` (step, input), :class:`errors.Conflict` (a price other than expected; a
    key used for something else; a parent to start from that is not ready) and
    :class:`errors.NotEnoughCredits`.

    Mostly one statement: it makes sure that the tool is still as this process remembers it and the
    images are usable. Where it inserts nothing, what it may be is looked up one by one.
    """
    if idempotency_key is not None and not IDEMPOTENCY_KEY.match(idempotency_key):
        raise errors.Invalid(N_("The Idempotency-Key must have 1 to 100 visible characters."))
    request_hash = new.request_hash()

    async def insert(tool: ToolRow) -> Created | None:
        order = order_of(tool, new)
        return await _insert(
            session, user.id, order, idempotency_key, request_hash, hidden_too=hidden_too
        )

    remembered = catalog.remembered(new.tool)
    if remembered is not None:
        # What it refuses may be the memory's fault and is asked again below.
        with suppress(errors.Invalid, errors.NotFound, Refused):
            created = await insert(remembered)
            if created is not None:
                return created
    if idempotency_key is not None:
        known = await _known_task(session, user.id, idempotency_key, request_hash)
        if known is not None:
            return known
    tool = await catalog.tool_by_slug(session, new.tool, hidden_too=hidden_too)
    order = order_of(tool, new)
    for asset_id in order.image_ids:
        await assets.usable_by(session, user.id, asset_id)
    await _check_parent(session, user.id, order)
    created = await insert(tool)
    if created is None and idempotency_key is not None:
        # Somebody with the same key was faster and has committed by now.
        created = await _known_task(session, user.id, idempotency_key, request_hash)
    if created is None:
        raise errors.Conflict
    return created


async def repeat(
    session: AsyncSession,
    user: User,
    task_id: UUID,
    *,
    expected_credits: int | None = None,
    idempotency_key: str | None = None,
    hidden_too: bool = False,
) -> Created:
    """The same again, at today's price: a new task like one of one's own that has ended.

    Raises :class:`errors.NotFound`, :class:`errors.Conflict` for one that has not ended, and what
    :func:`create` raises: what it was made of may be gone.
    """
    task = await owned_by(session, user.id, task_id)
    if task.status not in ENDED:
        raise errors.Conflict(N_("This task has not ended yet."), type="not_ended")
    slug = await session.scalar(select(ToolTable.slug).where(ToolTable.id == task.tool_id))
    step_id = task.config["steps"][0]["id"]
    new = NewTask(slug or "", step_id, task.input, expected_credits, task.parent_task_id)
    return await create(session, user, new, idempotency_key=idempotency_key, hidden_too=hidden_too)


async def note_sent(session: AsyncSession, payloads: list[dict[str, Any]]) -> None:
    """Note that the queue has these jobs; a task that runs already keeps its status."""
    task_ids = [UUID(payload["taskId"]) for payload in payloads if "taskId" in payload]
    await session.execute(MARK_QUEUED, {"task_ids": task_ids})


async def owned_by(session: AsyncSession, user_id: UUID, task_id: UUID) -> Task:
    """The person's own task. Raises :class:`errors.NotFound`, the same for foreign and unknown."""
    found = await session.execute(
        select(Task)
        .where(Task.id == task_id, Task.user_id == user_id)
        .execution_options(populate_existing=True)
    )
    task = found.scalar_one_or_none()
    if task is None:
        raise errors.NotFound(NO_TASK)
    return task


async def recent_of(
    session: AsyncSession,
    user: User,
    tool_slug: str | None,
    limit: int,
    *,
    before: UUID | None = None,
) -> list[Task]:
    """The person's newest tasks first, of one tool or of all, older than ``before``."""
    query = select(Task).where(Task.user_id == user.id).order_by(Task.id.desc()).limit(limit)
    if tool_slug is not None:
        query = query.join(ToolTable, ToolTable.id == Task.tool_id).where(
            ToolTable.slug == tool_slug
        )
    if before is not None:
        query = query.where(Task.id < before)
    return list((await session.execute(query)).scalars())


async def latest_of(session: AsyncSession, user: User, tool_slug: str) -> Task | None:
    """The person's newest task of one tool."""
    return next(iter(await recent_of(session, user, tool_slug, 1)), None)


async def dispatch(resources: Resources, task_id: UUID) -> None:
    """Hand a committed task to the queue at once. Never raises: the relay sends what is missed."""
    await outbox.dispatch_now(
        resources, QUEUE, job_id(task_id, 1), job_of(task_id, 1), on_sent=note_sent
    )


async def _insert(
    session: AsyncSession,
    user_id: UUID,
    order: Order,
    idempotency_key: str | None,
    request_hash: bytes,
    *,
    hidden_too: bool,
) -> Created | None:
    """The task with all that belongs to it, or None where anything it rests on is not so."""
    task_id = new_id()
    image_ids = list(set(order.image_ids))
    values = {
        "task_id": task_id,
        "user_id": user_id,
        "tool_id": order.tool.id,
        "slug": order.tool.slug,
        "implementation": order.tool.implementation,
        "hidden_too": hidden_too,
        "tool_config": order.tool.config_json,
        "image_ids": image_ids,
        "images": len(image_ids),
        "parent_id": order.parent_task_id,
        "follows": order.step.follows,
        "price_credits": order.price_credits,
        "input": json.dumps(order.input),
        "config": json.dumps(order.snapshot()),
        "deadline_at": now() + LONGEST_WAIT,
        "idempotency_key": idempotency_key,
        "request_hash": request_hash,
        "request_id": log.request_id(),
        "step_id": order.step.id,
        "created": json.dumps({"stepId": order.step.id}),
        "hold_description": HOLD_DESCRIPTION,
        **outbox.row(QUEUE, job_id(task_id, 1), job_of(task_id, 1)),
    }
    with credits.ledger_errors():
        inserted = (await session.execute(CREATE, values)).one_or_none()
    return None if inserted is None else Created(task_id, "pending", order.price_credits)


async def _check_parent(session: AsyncSession, user_id: UUID, order: Order) -> None:
    """Raises :class:`errors.NotFound` for a parent not one's own, :class:`errors.Conflict` else."""
    if order.parent_task_id is None:
        return
    await owned_by(session, user_id, order.parent_task_id)
    values = {
        "parent_id": order.parent_task_id,
        "user_id": user_id,
        "tool_id": order.tool.id,
        "follows": order.step.follows,
    }
    if not await session.scalar(IS_PARENT, values):
        raise errors.Conflict(PARENT_NOT_READY, type="parent_not_ready")


async def _known_task(
    session: AsyncSession, user_id: UUID, key: str, request_hash: bytes
) -> Created | None:
    row = (await session.execute(FIND_BY_KEY, {"user_id": user_id, "key": key})).one_or_none()
    if row is None:
        return None
    if bytes(row.request_hash) != request_hash:
        raise errors.Conflict(
            N_("This Idempotency-Key was already used for another request."),
            type="idempotency_conflict",
        )
    return Created(row.id, row.status, row.price_credits)
