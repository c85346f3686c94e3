"""Creating a task, and reading one's own.

A task, its first event, its place in the outbox and its hold are one transaction: either the person
has a task that will run and credits set aside for it, or nothing happened.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
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
from funmagic.tasks import events
from funmagic.tasks.models import Task, TaskStep
from funmagic.toolkit.contract import Step
from funmagic.toolkit.schema import form_of

QUEUE: Final = "ai-tasks"
HOLD_DESCRIPTION: Final = N_("Reserved for a task")
# A task no worker takes for this long is given up; a claimed one has its step's own deadline.
LONGEST_WAIT: Final = timedelta(hours=1)
IDEMPOTENCY_KEY = re.compile(r"\A[\x21-\x7e]{1,100}\Z")

FIND_BY_KEY = text("""
    SELECT id, request_hash FROM tasks WHERE user_id = :user_id AND idempotency_key = :key
""")
MARK_QUEUED = text("""
    UPDATE tasks SET status = 'queued', queued_at = now()
     WHERE id = ANY(:task_ids) AND status = 'pending'
""")


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


async def create(
    session: AsyncSession, user: User, new: NewTask, *, idempotency_key: str | None = None
) -> UUID:
    """Create a task and hold its price; returns its id.

    The same key with the same request returns the task it made before. Raises
    :class:`errors.NotFound` (tool, or an image that is not one's own and confirmed),
    :class:`errors.Invalid` (step, input), :class:`errors.Conflict` (a price other than expected; a
    key used for something else) and :class:`errors.NotEnoughCredits`.
    """
    request_hash = new.request_hash()
    if idempotency_key is not None:
        if not IDEMPOTENCY_KEY.match(idempotency_key):
            raise errors.Invalid(N_("The Idempotency-Key must have 1 to 100 visible characters."))
        known = await _known_task(session, user.id, idempotency_key, request_hash)
        if known is not None:
            return known
    tool = await catalog.tool_by_slug(session, new.tool)
    step = _step_of(tool, new.step)
    input_values = _checked_input(step, new.input)
    for asset_id in image_ids(step, input_values):
        await assets.usable_by(session, user.id, asset_id)
    price_credits = tool.step_price(step.id)
    _check_price(price_credits, new.expected_credits)

    task_id = new_id()
    adding = (
        insert(Task)
        .values(
            id=task_id,
            user_id=user.id,
            tool_id=tool.id,
            price_credits=price_credits,
            input=input_values,
            config=_snapshot(tool, step),
            deadline_at=now() + LONGEST_WAIT,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            request_id=log.request_id(),
        )
        .on_conflict_do_nothing(index_elements=["user_id", "idempotency_key"])
        .returning(Task.id)
    )
    if (await session.execute(adding)).one_or_none() is None:
        # Somebody with the same key was faster and has committed by now.
        assert idempotency_key is not None
        known = await _known_task(session, user.id, idempotency_key, request_hash)
        if known is None:
            raise errors.Conflict
        return known
    session.add(TaskStep(task_id=task_id, ordinal=1, step_id=step.id))
    await session.flush()
    await events.append(session, task_id, "created", stepId=step.id)
    await outbox.enqueue(session, QUEUE, job_id(task_id, 1), {"taskId": str(task_id), "attempt": 1})
    if price_credits:
        await credits.hold(session, task_id, user.id, price_credits, description=HOLD_DESCRIPTION)
    return task_id


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
    await outbox.dispatch_now(resources, [job_id(task_id, 1)], on_sent=note_sent)


def image_ids(step: Step, input_values: dict[str, Any]) -> list[UUID]:
    """The assets an input names, in the order of the form."""
    named = (
        input_values.get(field.name) for field in form_of(step.input_model) if field.kind == "image"
    )
    return [UUID(asset_id) for asset_id in named if asset_id is not None]


async def _known_task(
    session: AsyncSession, user_id: UUID, key: str, request_hash: bytes
) -> UUID | None:
    row = (await session.execute(FIND_BY_KEY, {"user_id": user_id, "key": key})).one_or_none()
    if row is None:
        return None
    if bytes(row.request_hash) != request_hash:
        raise errors.Conflict(
            N_("This Idempotency-Key was already used for another request."),
            type="idempotency_conflict",
        )
    task_id: UUID = row.id
    return task_id


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
        raise errors.Conflict(
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
