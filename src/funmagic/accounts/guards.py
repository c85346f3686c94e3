"""Handler dependencies and guards: who asks, and whether they may."""

from __future__ import annotations

from typing import Any, Final, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from funmagic.accounts.models import User
from funmagic.accounts.sessions import user_of
from funmagic.core.errors import Forbidden, Unauthenticated

ADMIN_ROLES: Final = frozenset({"admin", "super_admin"})


async def current_user(request: Request[Any, Any, Any]) -> User:
    """The signed-in person. Raises :class:`Unauthenticated`."""
    user = await user_of(request)
    if user is None:
        raise Unauthenticated
    return user


async def current_user_or_none(request: Request[Any, Any, Any]) -> User | None:
    """The signed-in person, or None."""
    return await user_of(request)


def is_admin(user: User | None) -> bool:
    """Whether this person may see and change what is everybody's: tools and providers."""
    return user is not None and user.role in ADMIN_ROLES


async def admin(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A router's guard. Raises :class:`Unauthenticated`, :class:`Forbidden` for all but admins.

    It runs before anything is read of the request, and no handler behind it can forget it.
    """
    if not is_admin(await current_user(cast("Request[Any, Any, Any]", connection))):
        raise Forbidden
