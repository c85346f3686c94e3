"""A tool's page: what it does, what it costs, the place to run it, and one's own runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.guards import is_admin
from funmagic.accounts.models import User
from funmagic.assets.service import ROUTES
from funmagic.catalog import service as catalog
from funmagic.catalog.service import ToolRow
from funmagic.core.clock import now
from funmagic.core.errors import NotFound
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.tasks import service as tasks
from funmagic.tasks.models import Task
from funmagic.tasks.views import TaskRow, TaskView, task_rows, task_view
from funmagic.toolkit.schema import form_of
from funmagic.web.contexts import Picture, Run, Shown, Stage, Tone, ToolView
from funmagic.web.pages import AnyRequest, drawn, known_locale, page_of, viewer_of

RUNS_SHOWN: Final = 6
# Whoever comes back within this time finds the finished task; later, a fresh start.
SHOWN_AFTERWARDS: Final = timedelta(hours=1)
NEW: Final = "new"  # ?task=new: a fresh start, whatever was run before

STAGES: Final[dict[str, Stage]] = {
    "pending": "running",
    "queued": "running",
    "processing": "running",
    "completed": "completed",
    "failed": "failed",
}
STATUSES: Final[dict[str, tuple[str, Tone]]] = {
    "pending": (N_("Waiting"), "warning"),
    "queued": (N_("Waiting"), "warning"),
    "processing": (N_("Running"), "info"),
    "completed": (N_("Done"), "success"),
    "failed": (N_("Failed"), "danger"),
}


@get("/{locale:str}/tools/{slug:str}", include_in_schema=False)
async def show_tool(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    slug: FromPath[str],
    task: FromQuery[str | None] = None,
    preview: FromQuery[bool] = False,
) -> Template:
    """The page of one tool, opened on the person's running or just finished task.

    ``preview`` shows an admin a tool that is not offered.
    """
    known_locale(locale)
    preview = preview and is_admin(user_or_none)
    async with resources.db.transaction() as session:
        tool = await catalog.tool_by_slug(session, slug, preview=preview)
        viewer = await viewer_of(session, user_or_none)
        shown: TaskView | None = None
        rows: list[TaskRow] = []
        if user_or_none is not None:
            recent = await tasks.recent_of(session, user_or_none, slug, RUNS_SHOWN)
            rows = await task_rows(resources, session, recent, locale=locale)
            opened = await _opened(session, user_or_none, slug, task, recent)
            if opened is not None:
                shown = await task_view(resources, session, opened, locale=locale)
    view = _view(tool, locale, shown, rows)
    return drawn(request, "pages/tool.html", page_of(request, viewer), view)


async def _opened(
    session: AsyncSession, user: User, slug: str, named: str | None, recent: list[Task]
) -> Task | None:
    """The task to open the page with. Raises :class:`NotFound` for one that is not theirs."""
    if named is None:
        latest = recent[0] if recent else None
        is_over = latest is not None and STAGES[latest.status] != "running"
        if latest is None or (is_over and latest.created_at < now() - SHOWN_AFTERWARDS):
            return None
        return latest
    if named == NEW:
        return None
    try:
        task_id = UUID(named)
    except ValueError:
        raise NotFound from None
    task = await tasks.owned_by(session, user.id, task_id)
    if (await catalog.tool_by_slug(session, slug)).id != task.tool_id:
        raise NotFound
    return task


def _view(tool: ToolRow, locale: str, task: TaskView | None, rows: list[TaskRow]) -> ToolView:
    step = tool.plugin.steps[0]
    field = next(item for item in form_of(step.input_model) if item.kind == "image")
    return ToolView(
        slug=tool.slug,
        step=step.id,
        field=field.name,
        route=field.upload_route or "tool-input",
        max_bytes=ROUTES[field.upload_route or "tool-input"].max_bytes,
        title=translate(locale, tool.title),
        description=translate(locale, tool.description),
        features=tuple(translate(locale, feature) for feature in tool.features),
        action=translate(locale, step.action),
        working=f"{translate(locale, step.title)}…",
        price_credits=tool.step_price(step.id),
        is_before_after=tool.plugin.result_view == "before-after",
        stage=STAGES[task.status] if task else "idle",
        shown=_shown(task, field.name) if task else None,
        runs=tuple(_run(row, tool.slug, locale, task) for row in rows),
    )


def _shown(task: TaskView, field: str) -> Shown:
    result = task.output.assets[0] if task.output else None
    width, height = (result.width or 0, result.height or 0) if result else (0, 0)
    before_url = (task.input.get(field) or {}).get("url")
    return Shown(
        id=str(task.id),
        before=Picture(before_url, width, height) if before_url else None,
        after=Picture(result.url, width, height) if result and result.url else None,
        download_url=(result.download_url if result else None) or "",
        percent=task.steps[0].progress or None,
        error=task.error.message if task.error else "",
        charged=task.receipt.charged,
        released=task.receipt.released,
        available=task.receipt.available,
    )


def _run(row: TaskRow, slug: str, locale: str, shown: TaskView | None) -> Run:
    status, tone = STATUSES[row.status]
    return Run(
        id=str(row.id),
        path=f"/{locale}/tools/{slug}?task={row.id}",
        status=translate(locale, status),
        tone=tone,
        at=row.created_at,
        picture=Picture(row.thumbnail_url, 0, 0) if row.thumbnail_url else None,
        is_current=shown is not None and shown.id == row.id,
    )
