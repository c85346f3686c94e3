"""Creating a task, and reading one's own.

A task, its first event, its place in the outbox and its hold are one transaction: either the person
has a task that will run and credits set aside for it, or nothing happened.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.assets import service as assets
from funmagic.catalog import service as catalog
from funmagic.catalog.models import Tool as ToolTable
from funmagic.catalog.service import ToolRow
from funmagic.core import errors, log
from funmagic.core.clock import now
from funmagic.core.http import field_message
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.credits import service as credits
from funmagic.jobs import outbox
from funmagic.tasks.models import Task
from funmagic.toolkit.contract import Step
from funmagic.toolkit.schema import form_of

QUEUE: Final = "ai-tasks"
HOLD_DESCRIPTION: Final = N_("Reserved for a task")
# A task no worker takes for this long is given up; a claimed one has its step's own deadline.
LONGEST_WAIT: Final = timedelta(hours=1)
IDEMPOTENCY_KEY = re.compile(r"\A[\x21-\x7e]{1,100}\Z")

FIND_BY_KEY = text("""
    SELECT id, request_hash, status, price_credits FROM tasks
     WHERE user_id = :user_id AND idempotency_key = :key
""")
# The task, its step, its first event, its place in the outbox and its hold, or nothing. Later parts
# see the rows of ``task`` alone, so where it inserts none they do nothing.
CREATE = text(f"""
    WITH offer AS (
        SELECT FROM tools JOIN tool_types ON tool_types.id = tools.tool_type_id
         WHERE tools.id = :tool_id AND tools.slug = :slug
           AND tools.implementation = :implementation
           AND tools.is_active AND tool_types.is_active
           AND tools.config = CAST(:tool_config AS jsonb)
    ), task AS (
        INSERT INTO tasks (id, user_id, tool_id, price_credits, input, config, deadline_at,
                           idempotency_key, request_hash, request_id, last_seq)
        SELECT :task_id, :user_id, :tool_id, :price_credits, CAST(:input AS jsonb),
               CAST(:config AS jsonb), :deadline_at, :idempotency_key, :request_hash, :request_id, 1
          FROM offer
         WHERE (SELECT count(*) FROM assets
                 WHERE id = ANY(CAST(:image_ids AS uuid[])) AND user_id = :user_id
                   AND status = 'ready' AND kind = 'image') = :images
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


class Refused(errors.Conflict):
    """The request does not fit the tool as it is; perhaps it fits as it has become."""


@dataclass(frozen=True, slots=True)
class Created:
    """A task that was made, now or earlier by the same request."""

    id: UUID
    status: str
    price_credits: int


@dataclass(frozen=True, slots=True)
class Order:
    """A request that fits a tool: which step, with what checked input, at what price."""

    tool: ToolRow
    step: Step
    input: dict[str, Any]
    price_credits: int

    @property
    def image_ids(self) -> list[UUID]:
        return image_ids(self.step, self.input)


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a person asks for. ``step`` None means the tool's first; an empty one is unknown."""

    tool: str
    step: str | None
    input: dict[str, Any]
    expected_credits: int | None = None

    def request_hash(self) -> bytes:
        """SHA-256 of the request in one canonical form: what the same key must come with."""
        canonical = json.dumps(
            [self.tool, self.step, self.input, self.expected_credits],
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode()).digest()


def job_id(task_id: UUID, attempt: int) -> str:
    """The queue's id of one attempt. BullMQ allows no colon in it."""
    return f"{task_id}-{attempt}"


def job_of(task_id: UUID, attempt: int) -> dict[str, Any]:
    """What the queue is told of one attempt."""
    return {"taskId": str(task_id), "attempt": attempt}


async def create(
    session: AsyncSession, user: User, new: NewTask, *, idempotency_key: str | None = None
) -> Created:
    """Create a task and hold its price.

    The same key with the same request returns the task it made before. Raises
    :class:`errors.NotFound` (tool, or an image that is not one's own and confirmed),
    :class:`errors.Invalid` (step, input), :class:`errors.Conflict` (a price other than expected; a
    key used for something else) and :class:`errors.NotEnoughCredits`.

    Mostly one statement: it makes sure that the tool is still as this process remembers it and the
    images are usable. Where it inserts nothing, what it may be is looked up one by one.
    """
    if idempotency_key is not None and not IDEMPOTENCY_KEY.match(idempotency_key):
        raise errors.Invalid(N_("The Idempotency-Key must have 1 to 100 visible characters."))
    request_hash = new.request_hash()

    async def insert(tool: ToolRow) -> Created | None:
        order = _order(tool, new)
        return await _insert(session, user.id, order, idempotency_key, request_hash)

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
    tool = await catalog.tool_by_slug(session, new.tool)
    for asset_id in _order(tool, new).image_ids:
        await assets.usable_by(session, user.id, asset_id)
    created = await insert(tool)
    if created is None and idempotency_key is not None:
        # Somebody with the same key was faster and has committed by now.
        created = await _known_task(session, user.id, idempotency_key, request_hash)
    if created is None:
        raise errors.Conflict
    return created


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
        raise errors.NotFound(N_("We could not find this task."))
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


def image_ids(step: Step, input_values: dict[str, Any]) -> list[UUID]:
    """The assets an input names, in the order of the form."""
    named = (
        input_values.get(field.name) for field in form_of(step.input_model) if field.kind == "image"
    )
    return [UUID(asset_id) for asset_id in named if asset_id is not None]


def _order(tool: ToolRow, new: NewTask) -> Order:
    """Hold a request against a tool.

    Raises :class:`errors.Invalid`, :class:`errors.NotFound` and :class:`Refused`.
    """
    step = _step_of(tool, new.step)
    input_values = _checked_input(step, new.input)
    price_credits = tool.step_price(step.id)
    _check_price(price_credits, new.expected_credits)
    return Order(tool, step, input_values, price_credits)


async def _insert(
    session: AsyncSession,
    user_id: UUID,
    order: Order,
    idempotency_key: str | None,
    request_hash: bytes,
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
        "tool_config": order.tool.config_json,
        "image_ids": image_ids,
        "images": len(image_ids),
        "price_credits": order.price_credits,
        "input": json.dumps(order.input),
        "config": json.dumps(_snapshot(order.tool, order.step)),
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


def _step_of(tool: ToolRow, step_id: str | None) -> Step:
    step = tool.plugin.step(step_id)
    if step is None:
        message = N_("This tool has no such step.")
        raise errors.Invalid(message, type="unknown_step", fields={"step": message})
    return step


def _checked_input(step: Step, given: dict[str, Any]) -> dict[str, Any]:
    try:
        checked = step.input_model.model_validate(given)
        return checked.model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        fields = {
            ".".join(["input", *map(str, item["loc"])]): field_message(item["msg"])
            for item in error.errors()
        }
        raise errors.Invalid(fields=fields) from None


def _check_price(price_credits: int, expected_credits: int | None) -> None:
    if expected_credits is not None and expected_credits != price_credits:
        raise Refused(
            N_("The price has changed to {credits} credits. Please confirm."),
            type="price_changed",
            params={"credits": price_credits},
        )


def _snapshot(tool: ToolRow, step: Step) -> dict[str, Any]:
    """What the task was priced by; a later change of the tool does not touch it."""
    configured = tool.step(step.id)
    return {
        "implementation": tool.implementation,
        "deadlineS": step.deadline_s,
        "steps": [{"id": step.id, **configured.model_dump(mode="json", by_alias=True)}],
    }
