"""How often one person may change something. Every unsafe request is counted before it is read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, cast

from limits import RateLimitItem, parse
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from funmagic.accounts.sessions import user_of
from funmagic.core.errors import Unauthenticated
from funmagic.core.limits import Limiter, client_network
from funmagic.core.middleware import SAFE_METHODS
from funmagic.core.settings import Settings

#: For all routes together that name no limit of their own.
DEFAULT: Final = "120 per minute"


async def within_limits(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """The application's guard. It runs before a body is read, and no route can forget it.

    Counted is who asks: a person, by a browser or a key of theirs, else the client's address. A
    route with a limit of its own (``opt={"limit": "30 per minute"}``) is counted by itself. Raises
    :class:`funmagic.core.errors.TooManyRequests`.
    """
    if cast("Request[Any, Any, Any]", connection).method in SAFE_METHODS:
        return
    settings: Settings = connection.app.state["settings"]
    limiter: Limiter = connection.app.state["limiter"]
    own = handler.opt.get("limit")
    item = _item(own or DEFAULT, settings.write_limit_factor)
    await limiter.hit(item, "write", str(handler) if own else "any", *await _asker(connection))


def client_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Whom to count a request as whose person is not known: see :func:`client_network`.

    The socket's address, or what a trusted proxy has forwarded in its place.
    """
    return client_network(connection.client.host if connection.client else "")


async def _asker(connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[str, str]:
    try:
        user = await user_of(cast("Request[Any, Any, Any]", connection))
    except Unauthenticated:  # a key that opens nothing; who needs one is told so later
        user = None
    return ("client", client_of(connection)) if user is None else ("person", str(user.id))


@lru_cache(maxsize=256)
def _item(limit: str, factor: float) -> RateLimitItem:
    item = parse(limit)
    return type(item)(max(1, round(item.amount * factor)), item.multiples)
