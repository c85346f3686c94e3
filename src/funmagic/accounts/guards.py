"""Handler dependencies: who asks."""

from __future__ import annotations

from typing import Any

from litestar import Request

from funmagic.accounts.models import User
from funmagic.accounts.sessions import user_of
from funmagic.core.errors import Unauthenticated


async def current_user(request: Request[Any, Any, Any]) -> User:
    """The signed-in person. Raises :class:`Unauthenticated`."""
    user = await user_of(request)
    if user is None:
        raise Unauthenticated
    return user


async def current_user_or_none(request: Request[Any, Any, Any]) -> User | None:
    """The signed-in person, or None."""
    return await user_of(request)
