"""Leaving, and staying after all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field

from funmagic.accounts import erasure, sessions
from funmagic.accounts.api import MAX_EMAIL_CHARS
from funmagic.accounts.guards import recently_authenticated
from funmagic.accounts.models import User
from funmagic.core.http import CamelModel
from funmagic.core.resources import Resources
from funmagic.web.me.views import MeView, me_view


class DeletionRequest(CamelModel):
    """``confirm`` is one's own e-mail address."""

    confirm: str = Field(max_length=MAX_EMAIL_CHARS)


class DeletionView(CamelModel):
    """When everything will be gone. Until then one can sign in and stay."""

    deletion_due_at: datetime


@delete("/", status_code=200, guards=[recently_authenticated])
async def ask_deletion(
    request: Request[Any, Any, Any],
    user: NamedDependency[User],
    resources: NamedDependency[Resources],
    data: JSONBody[DeletionRequest],
) -> DeletionView:
    """Have one's account erased in 14 days. Every session ends, this one included, and every key.

    The last super admin cannot leave (409, ``last_super_admin``).
    """
    async with resources.db.transaction() as session:
        due_at = await erasure.ask(resources, session, user, confirm=data.confirm)
        await sessions.sign_out(request, session)
    return DeletionView(deletion_due_at=due_at)


@post("/restoration", status_code=200)
async def restore_me(user: NamedDependency[User], resources: NamedDependency[Resources]) -> MeView:
    """Stay after all. Repeating is fine."""
    async with resources.db.transaction() as session:
        staying = await erasure.restore(resources, session, user.id)
        return await me_view(session, staying)
