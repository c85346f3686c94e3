"""People: the list, and one with what they have and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import people
from funmagic.accounts.models import ROLES, User
from funmagic.accounts.roles import ROLE_NAMES, SUPER_ADMIN
from funmagic.catalog import service as catalog
from funmagic.core.i18n import translate
from funmagic.core.resources import Resources
from funmagic.dashboard.api.users import person_view
from funmagic.dashboard.contexts import Option, PersonRow, TaskRow, UsersView, UserView
from funmagic.dashboard.pages.acts import act_line
from funmagic.dashboard.pages.drawing import draw
from funmagic.tasks import service as tasks
from funmagic.tasks.models import Task
from funmagic.web.contexts import Tone
from funmagic.web.handlers.profile import METHOD_NAMES
from funmagic.web.pages import AnyRequest, known_locale
from funmagic.web.tool_page import STATUSES

PAGE_ROWS: Final = 20
RECENT_TASKS: Final = 10
TONES: Final[dict[str, Tone]] = {"user": "neutral", "admin": "info", "super_admin": "success"}


@get("/users")
async def list_users(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    role: Annotated[str, QueryParameter(max_length=20)] = "",
    cursor: FromQuery[str | None] = None,
) -> Template:
    """Everybody, the newest first."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        found, older = await people.page(
            session, q=q, role=role or None, limit=PAGE_ROWS, cursor=cursor
        )
    place = f"/{locale}/dashboard/users"
    asked = {name: value for name, value in (("q", q), ("role", role)) if value}
    view = UsersView(
        rows=tuple(_row(each, locale) for each in found),
        q=q,
        role=role,
        roles=_roles(locale),
        newest_path=f"{place}?{urlencode(asked)}" if asked else place,
        older_path=f"{place}?{urlencode({**asked, 'cursor': older})}" if older else None,
        is_first_page=cursor is None,
    )
    return await draw(request, resources, user, "users.html", view)


@get("/users/{user_id:uuid}")
async def show_user(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
    user_id: FromPath[UUID],
) -> Template:
    """One person: profile, credits, recent tasks, what happened, and their role."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        person = await person_view(session, user_id)
        found = await people.one(session, user_id)
        recent = await tasks.recent_of(session, found, None, RECENT_TASKS)
        task_rows = await _task_rows(session, recent, locale)
    view = UserView(
        person=person,
        row=_row(found, locale),
        roles=_roles(locale),
        may_change_role=user.role == SUPER_ADMIN and user.id != user_id,
        providers=[METHOD_NAMES[each] for each in person.providers],
        tasks=task_rows,
        sign_ins=tuple(act_line(a, locale) for a in person.acts if a.action == "session.started"),
        acts=tuple(act_line(a, locale) for a in person.acts if a.action != "session.started"),
        done=tuple(act_line(a, locale) for a in person.done),
    )
    return await draw(request, resources, user, "user.html", view)


def _row(user: User, locale: str) -> PersonRow:
    return PersonRow(
        path=f"/{locale}/dashboard/users/{user.id}",
        email=user.email,
        name=user.name,
        role=translate(locale, ROLE_NAMES[user.role]),
        tone=TONES[user.role],
        is_verified=user.email_verified_at is not None,
        is_leaving=user.deletion_due_at is not None,
        created_at=user.created_at,
    )


def _roles(locale: str) -> tuple[Option, ...]:
    return tuple(Option(role, translate(locale, ROLE_NAMES[role])) for role in ROLES)


async def _task_rows(
    session: AsyncSession, recent: Sequence[Task], locale: str
) -> tuple[TaskRow, ...]:
    titles = await catalog.titles(session, {task.tool_id for task in recent}, locale)
    rows = []
    for task in recent:
        status, tone = STATUSES[task.status]
        rows.append(
            TaskRow(
                title=titles[task.tool_id],
                status=translate(locale, status),
                tone=tone,
                price_credits=task.price_credits,
                at=task.created_at,
            )
        )
    return tuple(rows)
