"""JSON of signing in and out."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field

from funmagic.accounts import service, sessions
from funmagic.accounts.limits import SignInLimits
from funmagic.accounts.models import User
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.resources import Resources


class MagicLinkRequest(CamelModel):
    """``next`` is a path on this site; anything else is taken as ``/``."""

    email: str = Field(max_length=400)
    next: str | None = Field(default=None, max_length=4_000)


class SentView(CamelModel):
    sent: bool


class UserView(CamelModel):
    id: str
    email: str
    name: str
    role: str

    @classmethod
    def of(cls, user: NamedDependency[User]) -> UserView:
        return cls(id=str(user.id), email=user.email, name=user.name, role=user.role)


class SessionView(CamelModel):
    user: UserView | None


@post("/magic-link", status_code=202)
async def send_magic_link(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    data: JSONBody[MagicLinkRequest],
) -> SentView:
    """Mail a sign-in link. The answer is the same for known and unknown addresses."""
    address = service.normal_email(data.email)
    limits: SignInLimits = request.app.state["sign_in_limits"]
    await limits.count(email=address, client=request.client.host if request.client else "")
    await service.request_magic_link(
        resources,
        address,
        next_path=data.next,
        locale=request_locale(request),
        browser_token=sessions.mark_browser(request),
    )
    return SentView(sent=True)


@post("/logout", status_code=204)
async def sign_out(request: Request[Any, Any, Any], resources: NamedDependency[Resources]) -> None:
    """End this browser's session. Signing out twice is fine."""
    async with resources.db.transaction() as session:
        await sessions.sign_out(request, session)


@get("/session")
async def show_session(user_or_none: NamedDependency[User | None]) -> SessionView:
    """Who is signed in here."""
    return SessionView(user=UserView.of(user_or_none) if user_or_none else None)


router = Router("/api/auth", route_handlers=[send_magic_link, sign_out, show_session])
