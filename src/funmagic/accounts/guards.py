"""Handler dependencies and guards: who asks, and whether they may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from funmagic.accounts.models import User
from funmagic.accounts.sessions import proved_at, user_of, who
from funmagic.core.clock import now
from funmagic.core.errors import Forbidden, Unauthenticated
from funmagic.core.i18n import N_

ADMIN_ROLES: Final = frozenset({"admin", "super_admin"})
RECENT: Final = timedelta(minutes=15)


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


async def super_admin(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard of what only super_admins do. Raises :class:`Unauthenticated`, :class:`Forbidden`."""
    user = await current_user(cast("Request[Any, Any, Any]", connection))
    if user.role != "super_admin":
        raise Forbidden


async def recently_authenticated(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """A guard of what a stolen session must not be enough for.

    Raises :class:`Unauthenticated` for strangers, and :class:`Forbidden` of the type
    ``reauthentication_required`` where the person proved who they are more than 15 minutes ago.
    """
    request = cast("Request[Any, Any, Any]", connection)
    await current_user(request)
    proved = await proved_at(request)
    if proved is None or now() - proved > RECENT:
        raise Forbidden(
            N_("Please confirm first that it is you."), type="reauthentication_required"
        )


async def within_scope(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """The application's guard: what a key is not meant for, it cannot do.

    A handler names the scope it wants by ``opt={"scope": "tasks:write"}``; by ``None`` it is open
    to everybody, and no key is looked at. One that says nothing is closed to keys. Raises
    :class:`Unauthenticated` for a bad key, :class:`Forbidden` (type ``key_not_allowed`` or
    ``scope_missing``).
    """
    if "authorization" not in connection.headers or handler.opt.get("scope", "") is None:
        return
    found = await who(cast("Request[Any, Any, Any]", connection))
    if found is None or found.key is None:
        return
    scope = handler.opt.get("scope")
    if scope is None:
        raise Forbidden(N_("This cannot be done with an API key."), type="key_not_allowed")
    if scope not in found.key.scopes:
        raise Forbidden(
            N_("This API key lacks the scope {scope}."),
            type="scope_missing",
            params={"scope": scope},
        )
