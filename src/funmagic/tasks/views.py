"""Tasks as JSON for their owner: no provider, no model, no configuration."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets import service as assets
from funmagic.assets.media import media_url
from funmagic.assets.views import AssetView, asset_view, thumbnail_url_of
from funmagic.catalog.models import Tool as ToolTable
from funmagic.core import errors
from funmagic.core.http import CamelModel
from funmagic.core.i18n import translate
from funmagic.core.resources import Resources
from funmagic.credits import service as credits
from funmagic.tasks import outlook
from funmagic.tasks.models import ENDED, WAITING, Task, TaskStep
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Tool
from funmagic.toolkit.schema import FormField, form_of

CHILDREN_SHOWN: Final = 50


class StepView(CamelModel):
    id: str
    title: str
    status: str
    progress: int


class ErrorView(CamelModel):
    type: str
    message: str


class ReceiptView(CamelModel):
    """Credits set aside, charged and given back for this task; the account as it is now."""

    held: int
    charged: int
    released: int
    balance: int
    available: int


class OutputView(CamelModel):
    assets: list[AssetView]


class ChildView(CamelModel):
    """A task that starts from this one."""

    id: UUID
    step: str
    status: str


class QueueView(CamelModel):
    """Tasks ahead of a waiting one, and about how many seconds until its turn."""

    place: int
    estimate_s: int | None


class TaskView(CamelModel):
    """One task. ``estimateS`` is what such a run usually takes, of one that has not ended.

    ``input`` has ``{assetId, url}`` for an image and ``{slug, name, imageUrl}`` for a choice;
    ``parent`` of a child is ``{imageUrl}``, the picture it starts from.
    """

    id: UUID
    tool: str
    step: str
    parent_task_id: UUID | None
    parent: dict[str, str | None] | None
    children: list[ChildView]
    status: str
    is_cancelling: bool
    can_retry: bool
    queue: QueueView | None
    estimate_s: int | None
    credits: int
    steps: list[StepView]
    input: dict[str, Any]
    output: OutputView | None
    error: ErrorView | None
    receipt: ReceiptView
    created_at: datetime
    completed_at: datetime | None


class TaskRow(CamelModel):
    """One line of a list: small on purpose."""

    id: UUID
    tool: str
    step: str
    status: str
    credits: int
    progress: int
    thumbnail_url: str | None
    error: ErrorView | None
    created_at: datetime
    completed_at: datetime | None


async def task_view(
    resources: Resources, session: AsyncSession, task: Task, *, locale: str = "en"
) -> TaskView:
    """The whole task; input images and outputs carry addresses signed now."""
    tool = await session.get(ToolTable, task.tool_id)
    plugin = discovery.tool(task.config["implementation"])
    step_id = step_of(task)
    steps = await session.scalars(
        select(TaskStep).where(TaskStep.task_id == task.id).order_by(TaskStep.ordinal)
    )
    is_over = task.status in ENDED
    usual_s = None if is_over else await outlook.usual_s(session, task.tool_id, step_id)
    return TaskView(
        id=task.id,
        tool=tool.slug if tool else "",
        step=step_id,
        parent_task_id=task.parent_task_id,
        parent=await _parent_view(resources, session, task),
        children=await _children(session, task),
        status=task.status,
        is_cancelling=not is_over and task.cancel_requested_at is not None,
        can_retry=is_over and tool is not None and tool.is_active,
        queue=await _queue_view(session, task, usual_s),
        estimate_s=usual_s,
        credits=task.price_credits,
        steps=[_step_view(plugin, step, locale) for step in steps],
        input=await _input_view(resources, session, task, plugin, locale),
        output=await _output_view(resources, session, task),
        error=_error_view(task, locale),
        receipt=await _receipt(session, task),
        created_at=task.created_at,
        completed_at=task.completed_at,
    )


def step_of(task: Task) -> str:
    """The id of the step a task runs."""
    return str(task.config["steps"][0]["id"])


async def task_rows(
    resources: Resources, session: AsyncSession, tasks: list[Task], *, locale: str = "en"
) -> list[TaskRow]:
    """Lines of a list, with the same four queries however many tasks there are."""
    task_ids = [task.id for task in tasks]
    slug_rows = await session.execute(
        select(ToolTable.id, ToolTable.slug).where(
            ToolTable.id.in_({task.tool_id for task in tasks})
        )
    )
    slugs = {row.id: row.slug for row in slug_rows}
    progress: dict[UUID, int] = {}
    for step in await session.scalars(select(TaskStep).where(TaskStep.task_id.in_(task_ids))):
        progress[step.task_id] = max(progress.get(step.task_id, 0), step.progress)
    firsts = {task.id: UUID(_output_ids(task)[0]) for task in tasks if _output_ids(task)}
    outputs = (
        {
            asset.id: asset
            for asset in await assets.of_task(session, tasks[0].user_id, list(firsts.values()))
        }
        if firsts
        else {}
    )
    rows = []
    for task in tasks:
        asset = outputs.get(firsts[task.id]) if task.id in firsts else None
        rows.append(
            TaskRow(
                id=task.id,
                tool=slugs[task.tool_id],
                step=step_of(task),
                status=task.status,
                credits=task.price_credits,
                progress=progress.get(task.id, 0),
                thumbnail_url=await thumbnail_url_of(resources.storage, asset) if asset else None,
                error=_error_view(task, locale),
                created_at=task.created_at,
                completed_at=task.completed_at,
            )
        )
    return rows


def _step_view(plugin: Tool, step: TaskStep, locale: str) -> StepView:
    known = plugin.step(step.step_id)
    return StepView(
        id=step.step_id,
        title=translate(locale, known.title) if known else step.step_id,
        status=step.status,
        progress=step.progress,
    )


async def _parent_view(
    resources: Resources, session: AsyncSession, task: Task
) -> dict[str, str | None] | None:
    if task.parent_task_id is None:
        return None
    try:
        picture = await assets.first_image_of(session, task.user_id, task.parent_task_id)
    except errors.NotFound:
        return {"imageUrl": None}
    return {"imageUrl": await resources.storage.presign_get(picture.storage_key)}


async def _children(session: AsyncSession, task: Task) -> list[ChildView]:
    """The newest children first."""
    found = await session.scalars(
        select(Task)
        .where(Task.parent_task_id == task.id, Task.user_id == task.user_id)
        .order_by(Task.id.desc())
        .limit(CHILDREN_SHOWN)
    )
    return [ChildView(id=child.id, step=step_of(child), status=child.status) for child in found]


async def _queue_view(session: AsyncSession, task: Task, usual_s: int | None) -> QueueView | None:
    if task.status not in WAITING:
        return None
    place = await outlook.place_of(session, task.id)
    return QueueView(place=place.ahead, estimate_s=place.wait_s(usual_s))


async def _input_view(
    resources: Resources, session: AsyncSession, task: Task, plugin: Tool, locale: str
) -> dict[str, Any]:
    step = plugin.step(step_of(task))
    shown = dict(task.input)
    for field in form_of(step.input_model) if step else ():
        given = task.input.get(field.name)
        if given is None:
            continue
        if field.kind == "image":
            found = await assets.of_task(session, task.user_id, [UUID(given)])
            url = await resources.storage.presign_get(found[0].storage_key) if found else None
            shown[field.name] = {"assetId": given, "url": url}
        if field.kind == "pick":
            shown[field.name] = _pick_view(task, field, given, locale)
    return shown


def _pick_view(task: Task, field: FormField, slug: str, locale: str) -> dict[str, str | None]:
    """What was chosen, as it was offered then: by the task's own snapshot."""
    settings = task.config["steps"][0]["settings"]
    offered = settings.get(to_camel(field.choices_from or ""), [])
    choice: dict[str, Any] = next((each for each in offered if each["slug"] == slug), {})
    image = choice.get("image")
    return {
        "slug": slug,
        "name": translate(locale, choice.get("name", slug)),
        "imageUrl": media_url(image),
    }


def _output_ids(task: Task) -> list[str]:
    return list((task.output or {}).get("assets", []))


async def _output_view(
    resources: Resources, session: AsyncSession, task: Task
) -> OutputView | None:
    ids = [UUID(asset_id) for asset_id in _output_ids(task)]
    if not ids:
        return None
    found = await assets.of_task(session, task.user_id, ids)
    return OutputView(assets=[await asset_view(resources.storage, asset) for asset in found])


def _error_view(task: Task, locale: str) -> ErrorView | None:
    if task.error_type is None:
        return None
    return ErrorView(type=task.error_type, message=translate(locale, task.error_message or ""))


async def _receipt(session: AsyncSession, task: Task) -> ReceiptView:
    hold = await credits.hold_of(session, task.id)
    balance = await credits.balance_of(session, task.user_id)
    held = hold.amount if hold else 0
    charged = hold.captured if hold else 0
    return ReceiptView(
        held=held,
        charged=charged,
        released=held - charged if hold and hold.state != "open" else 0,
        balance=balance.balance,
        available=balance.available,
    )
