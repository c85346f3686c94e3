"""Tasks as JSON for their owner: no provider, no model, no configuration."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets import service as assets
from funmagic.assets.views import AssetView, asset_view
from funmagic.catalog.models import Tool as ToolTable
from funmagic.core.http import CamelModel
from funmagic.core.i18n import translate
from funmagic.core.resources import Resources
from funmagic.credits import service as credits
from funmagic.tasks.models import Task, TaskStep
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Tool
from funmagic.toolkit.schema import form_of


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


class TaskView(CamelModel):
    id: UUID
    tool: str
    status: str
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
    tool_slug = await session.scalar(select(ToolTable.slug).where(ToolTable.id == task.tool_id))
    plugin = discovery.tool(task.config["implementation"])
    steps = await session.scalars(
        select(TaskStep).where(TaskStep.task_id == task.id).order_by(TaskStep.ordinal)
    )
    return TaskView(
        id=task.id,
        tool=tool_slug or "",
        status=task.status,
        credits=task.price_credits,
        steps=[_step_view(plugin, step, locale) for step in steps],
        input=await _input_view(resources, session, task, plugin),
        output=await _output_view(resources, session, task),
        error=_error_view(task, locale),
        receipt=await _receipt(session, task),
        created_at=task.created_at,
        completed_at=task.completed_at,
    )


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
                status=task.status,
                credits=task.price_credits,
                progress=progress.get(task.id, 0),
                thumbnail_url=await resources.storage.presign_get(asset.storage_key)
                if asset is not None and asset.kind == "image"
                else None,
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


async def _input_view(
    resources: Resources, session: AsyncSession, task: Task, plugin: Tool
) -> dict[str, Any]:
    step = plugin.step(task.config["steps"][0]["id"])
    shown = dict(task.input)
    for field in form_of(step.input_model) if step else ():
        if field.kind != "image" or task.input.get(field.name) is None:
            continue
        found = await assets.of_task(session, task.user_id, [UUID(task.input[field.name])])
        shown[field.name] = {
            "assetId": task.input[field.name],
            "url": await resources.storage.presign_get(found[0].storage_key) if found else None,
        }
    return shown


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
