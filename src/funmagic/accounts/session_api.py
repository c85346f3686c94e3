"""JSON of one's own sessions, and of proving once more who one is."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from pydantic import Field

from funmagic.accounts import devices, entrance, reauthentication, sessions
from funmagic.accounts.models import User, UserSession
from funmagic.core.errors import NotFound
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.paging import Page
from funmagic.core.resources import Resources


class SessionLine(CamelModel):
    """A browser that is signed in. ``device`` is in words, ``lastUsedAt`` exact to 5 minutes."""

    id: UUID
    device: str
    method: str
    created_at: datetime
    last_used_at: datetime
    is_current: bool

    @classmethod
    def of(cls, found: UserSession, here: UserSession | None, locale: str) -> SessionLine:
        return cls(
            id=found.id,
            device=devices.described(found.user_agent, locale),
            method=found.method,
            created_at=found.created_at,
            last_used_at=found.last_used_at,
            is_current=here is not None and found.id == here.id,
        )


class PasswordRequest(CamelModel):
    password: str = Field(max_length=4_000)


class LinkRequest(CamelModel):
    """``next`` is a path on this site; anything else is taken as ``/``."""

    next: str | None = Field(default=None, max_length=4_000)


class LinkSentView(CamelModel):
    sent: bool


@get("/sessions")
async def list_sessions(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
) -> Page[SessionLine]:
    """Where one is signed in, the last used first; the newest 100 at most."""
    here, locale = await sessions.current(request), request_locale(request)
    async with resources.db.transaction() as session:
        found = await sessions.listed(session, user.id)
    return Page[SessionLine](items=[SessionLine.of(each, here, locale) for each in found])


@delete("/sessions/{session_id:uuid}", status_code=204)
async def end_session(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    session_id: FromPath[UUID],
) -> None:
    """Sign one browser out, this one included."""
    here = await sessions.current(request)
    async with resources.db.transaction() as session:
        if here is not None and here.id == session_id:
            await sessions.sign_out(request, session)
        else:
            await sessions.end(session, user.id, session_id)


@delete("/sessions", status_code=204)
async def end_other_sessions(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
) -> None:
    """Sign every other browser out."""
    here = await sessions.current(request)
    if here is None:
        raise NotFound
    async with resources.db.transaction() as session:
        await sessions.end_all(session, user.id, but=here.id)


@post("/reauthenticate", status_code=204)
async def reauthenticate(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    data: JSONBody[PasswordRequest],
) -> None:
    """Prove by password that it is still the same person. The session's token changes."""
    await entrance.prove_password(request, user, data.password)
    async with resources.db.transaction() as session:
        await sessions.authenticated_again(request, session)


@post("/reauthenticate/link", status_code=202, opt={"limit": "5 per 15 minutes"})
async def mail_reauthentication(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    data: JSONBody[LinkRequest],
) -> LinkSentView:
    """Mail a link by which the person proves, in this browser, that it is they."""
    async with resources.db.transaction() as session:
        await reauthentication.mail_link(
            request,
            resources,
            session,
            user,
            next_path=data.next,
            locale=request_locale(request),
        )
    return LinkSentView(sent=True)


router = Router(
    "/api/auth",
    route_handlers=[
        list_sessions,
        end_session,
        end_other_sessions,
        reauthenticate,
        mail_reauthentication,
    ],
)
