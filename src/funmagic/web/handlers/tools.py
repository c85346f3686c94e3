"""A tool's page: what it does, what it costs, the place to run it, and one's own runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.guards import is_admin
from funmagic.accounts.models import User
from funmagic.catalog import service as catalog
from funmagic.catalog import shelf
from funmagic.catalog.runs import standing
from funmagic.catalog.service import ToolRow
from funmagic.core.clock import now
from funmagic.core.errors import NotFound
from funmagic.core.middleware import SHOWS_MODELS
from funmagic.core.paging import decode_cursor, encode_cursor
from funmagic.tasks import service as tasks
from funmagic.tasks.models import Task
from funmagic.tasks.views import task_rows, task_view
from funmagic.toolkit.contract import Tool as Plugin
from funmagic.web.contexts import Viewer
from funmagic.web.page_cache import shared
from funmagic.web.pages import PAGE_HEADERS, AnyRequest, drawn, known_locale, page_of, viewer_of
from funmagic.web.tool_contexts import Offer, ToolView
from funmagic.web.tool_page import MODELS, STAGES, Family, tool_view
from funmagic.web.tool_showcase import Around, showcase
from funmagic.web.visits import Visit

RUNS_SHOWN: Final = 12
# Whoever comes back within this time finds their newest task; later, a fresh start.
SHOWN_AFTERWARDS: Final = timedelta(days=7)
NEW: Final = "new"  # ?task=new: a fresh start, whatever was run before
PAGE: Final = "pages/tool.html"


@get("/{locale:str}/tools/{slug:str}", include_in_schema=False)
async def show_tool(
    request: AnyRequest,
    visit: NamedDependency[Visit],
    locale: FromPath[str],
    slug: FromPath[str],
    task: FromQuery[str | None] = None,
    runs: FromQuery[str | None] = None,
) -> Template | Redirect:
    """The page of one tool, opened on the person's newest task or the one named.

    A named task of another tool, or from before its tool's slug was changed, leads to its page of
    today. ``runs`` is the cursor of the list of runs. Admins see tools that are switched off, and
    may try them. Whoever is not signed in sees the tool alone, drawn of what the catalog keeps.
    """
    known_locale(locale)
    before = task_id_of(decode_cursor(runs, str)[0]) if runs else None
    user, resources = visit.user, visit.resources
    if user is None:
        return await _for_everybody(request, visit, locale, slug)
    async with resources.db.transaction() as session:
        named = await _named(session, user, task)
        if named is not None and (today := await catalog.slug_of(session, named.tool_id)) != slug:
            return Redirect(
                f"/{locale}/tools/{today}?task={named.id}",
                status_code=302,
                headers=PAGE_HEADERS,
            )
        tool, offer = await _tool(session, user, slug)
        viewer = await viewer_of(session, user)
        found = await tasks.recent_of(session, user, slug, RUNS_SHOWN + 1, before=before)
        rows = await task_rows(resources, session, found[:RUNS_SHOWN], locale=locale)
        opened = named
        if task is None:
            opened = await _latest(session, user, slug, offer != "ended")
        family: Family | None = None
        if opened is not None:
            family = Family(
                await task_view(resources, session, opened, locale=locale),
                await _ancestors(session, opened, len(tool.plugin.steps)),
            )
        rating = await shelf.rating_of(session, slug)
        own = await standing(session, user.id, tool.id)
    around = Around(
        rating=rating,
        kinds=(await visit.catalog.kinds()).value,
        related=(await visit.catalog.shown(slug)).value.related if offer == "everybody" else (),
        own=own,
    )
    older = encode_cursor(str(found[RUNS_SHOWN - 1].id)) if len(found) > RUNS_SHOWN else None
    shop = showcase(tool, around, locale, resources.settings.public_url)
    view = tool_view(tool, locale, family, rows, older, shop=shop, offer=offer)
    return _page(request, viewer, tool, view)


async def _for_everybody(request: AnyRequest, visit: Visit, locale: str, slug: str) -> Template:
    """The page for whoever is not known: the same for all of them, and drawn without the database
    where the catalog is kept."""
    shown, kinds = await visit.catalog.shown(slug), await visit.catalog.kinds()
    tool = shown.value.tool
    around = Around(
        rating=shown.value.rating,
        kinds=kinds.value,
        related=shown.value.related,
        is_stale=any(copy.stale_since for copy in (shown, kinds)),
    )
    shared(request, shown, kinds)
    shop = showcase(tool, around, locale, visit.settings.public_url)
    return _page(request, None, tool, tool_view(tool, locale, None, (), None, shop=shop))


def _page(request: AnyRequest, viewer: Viewer | None, tool: ToolRow, view: ToolView) -> Template:
    if any(step.capability in MODELS for step in tool.plugin.steps):
        cast(dict[str, Any], request.scope)[SHOWS_MODELS] = True
    page = page_of(request, viewer, public=f"/tools/{tool.slug}")
    return drawn(request, template_of(tool.plugin), page, view)


def template_of(plugin: Plugin) -> str:
    """The tool's own template, else everybody's."""
    if plugin.template is None:
        return PAGE
    return f"tools/{plugin.key.replace('-', '_')}/{plugin.template}"


def task_id_of(text: str) -> UUID:
    """Raises :class:`NotFound` for what is no id."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


async def _tool(session: AsyncSession, user: User, slug: str) -> tuple[ToolRow, Offer]:
    """The tool, and to whom it is offered. Raises :class:`NotFound` where that is nobody here."""
    try:
        return await catalog.tool_by_slug(session, slug), "everybody"
    except NotFound:
        hidden = await catalog.tool_by_slug(session, slug, hidden_too=True)
        if not is_admin(user) and await tasks.latest_of(session, user, slug) is None:
            raise
    return hidden, "admins" if is_admin(user) else "ended"


async def _named(session: AsyncSession, user: User, named: str | None) -> Task | None:
    """The task the address names. Raises :class:`NotFound` for one that is not theirs."""
    if named is None or named == NEW:
        return None
    return await tasks.owned_by(session, user.id, task_id_of(named))


async def _latest(session: AsyncSession, user: User, slug: str, can_run: bool) -> Task | None:
    """The task to open the page with, where none is named; an old one gives way to the form."""
    latest = await tasks.latest_of(session, user, slug)
    is_over = latest is not None and STAGES[latest.status] != "running"
    if latest is None or (can_run and is_over and latest.created_at < now() - SHOWN_AFTERWARDS):
        return None
    return latest


async def _ancestors(session: AsyncSession, task: Task, most: int) -> tuple[Task, ...]:
    """The tasks whose results ``task`` rests on, the first of all first."""
    found: list[Task] = []
    parent_id = task.parent_task_id
    while parent_id is not None and len(found) < most:
        parent = await tasks.owned_by(session, task.user_id, parent_id)
        found.insert(0, parent)
        parent_id = parent.parent_task_id
    return tuple(found)
