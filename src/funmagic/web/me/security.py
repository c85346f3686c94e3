"""One's own password and address: changed only by who has just proved that it is they."""

from __future__ import annotations

from typing import Any

from litestar import Request, delete, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field

from funmagic.accounts import entrance
from funmagic.accounts.api import MAX_EMAIL_CHARS, MAX_PASSWORD_CHARS, SentView
from funmagic.accounts.guards import recently_authenticated
from funmagic.accounts.models import User
from funmagic.core.http import CamelModel, request_locale


class NewPassword(CamelModel):
    """8 to 256 characters of any kind, and none that is common."""

    password: str = Field(max_length=MAX_PASSWORD_CHARS)


class NewAddress(CamelModel):
    email: str = Field(max_length=MAX_EMAIL_CHARS)


@put("/password", status_code=204, guards=[recently_authenticated])
async def change_password(
    request: Request[Any, Any, Any], user: NamedDependency[User], data: JSONBody[NewPassword]
) -> None:
    """Set or change one's password. Every other session ends, and a mail says so."""
    await entrance.change_password(request, user, data.password)


@delete("/password", status_code=204, guards=[recently_authenticated])
async def remove_password(request: Request[Any, Any, Any], user: NamedDependency[User]) -> None:
    """Have no password any more: one signs in by mail then. Every other session ends."""
    await entrance.change_password(request, user, None)


@post("/email", status_code=202, guards=[recently_authenticated])
async def ask_email_change(
    request: Request[Any, Any, Any], user: NamedDependency[User], data: JSONBody[NewAddress]
) -> SentView:
    """Mail a link to the address one wants to have; nothing changes before it is opened. The answer
    is the same where the address has an account."""
    await entrance.ask_email_change(request, user, data.email, locale=request_locale(request))
    return SentView(sent=True)
