"""Browser sessions: an opaque token in a cookie, its hash in the database.

The token is made here and nowhere else: one brought along by the browser is never adopted, so a
session chosen by somebody else (fixation) cannot exist. Cookies are written by
:class:`CookieWriter`, an ASGI layer, because a service cannot know how its answer will look.
"""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

from litestar import Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User, UserSession
from funmagic.core.clock import now
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.ids import new_id
from funmagic.core.middleware import ASGIApp, Message, Receive, Scope, Send
from funmagic.core.resources import Resources

SESSION_COOKIE = "fm_session"
BROWSER_COOKIE = "fm_browser"
SESSION_LIFETIME = timedelta(days=30)
BROWSER_LIFETIME = timedelta(hours=1)
MAX_TOKEN_CHARS = 64
COOKIES_KEY = "fm_set_cookies"

FIND_USER = text("""
    SELECT users.id AS user_id, sessions.last_used_at < now() - interval '5 minutes' AS is_stale
      FROM sessions JOIN users ON users.id = sessions.user_id
     WHERE sessions.token_hash = :token_hash AND sessions.expires_at > now()
""")
TOUCH = text("UPDATE sessions SET last_used_at = now() WHERE token_hash = :token_hash")
END = text("DELETE FROM sessions WHERE token_hash = :token_hash")
END_EXPIRED = text("DELETE FROM sessions WHERE expires_at < now()")


async def sign_in(request: Request[Any, Any, Any], session: AsyncSession, user: User) -> None:
    """Start a new session for ``user``; the one this browser had ends, whoever's it was."""
    await _end_presented(request, session)
    await session.execute(END_EXPIRED)
    token = new_token()
    session.add(
        UserSession(
            id=new_id(),
            user_id=user.id,
            token_hash=hash_token(token),
            user_agent=request.headers.get("user-agent", "")[:300],
            expires_at=now() + SESSION_LIFETIME,
        )
    )
    _set_cookie(request, SESSION_COOKIE, token, SESSION_LIFETIME)


async def sign_out(request: Request[Any, Any, Any], session: AsyncSession) -> None:
    """End this browser's session, in the database as well as in the browser."""
    await _end_presented(request, session)
    _set_cookie(request, SESSION_COOKIE, "", timedelta(0))


async def user_of(request: Request[Any, Any, Any]) -> User | None:
    """Who is signed in, looked up once per request. ``Authorization`` makes cookies count for
    nothing."""
    known = request.scope["state"].get("fm_user", False)
    if known is not False:
        return known  # type: ignore[no-any-return]  # only this function writes it
    user = await _look_up(request)
    request.scope["state"]["fm_user"] = user
    return user


def browser_token(request: Request[Any, Any, Any]) -> str | None:
    """The random value by which we recognise the browser that asked for a link."""
    return _presented(request, BROWSER_COOKIE)


def mark_browser(request: Request[Any, Any, Any]) -> str:
    """The browser's own value, given to it now if it has none."""
    token = browser_token(request) or new_token()
    _set_cookie(request, BROWSER_COOKIE, token, BROWSER_LIFETIME)
    return token


async def _look_up(request: Request[Any, Any, Any]) -> User | None:
    token = _presented(request, SESSION_COOKIE)
    if token is None or "authorization" in request.headers:
        return None
    resources: Resources = request.app.state["resources"]
    token_hash = hash_token(token)
    async with resources.db.transaction() as session:
        row = (await session.execute(FIND_USER, {"token_hash": token_hash})).one_or_none()
        if row is None:
            return None
        if row.is_stale:
            await session.execute(TOUCH, {"token_hash": token_hash})
        return await session.get(User, row.user_id)


async def _end_presented(request: Request[Any, Any, Any], session: AsyncSession) -> None:
    token = _presented(request, SESSION_COOKIE)
    if token is not None:
        await session.execute(END, {"token_hash": hash_token(token)})


def _presented(request: Request[Any, Any, Any], name: str) -> str | None:
    token = request.cookies.get(name)
    return token if token and len(token) <= MAX_TOKEN_CHARS else None


def _set_cookie(
    request: Request[Any, Any, Any], name: str, value: str, lifetime: timedelta
) -> None:
    resources: Resources = request.app.state["resources"]
    cookie: SimpleCookie = SimpleCookie()
    cookie[name] = value
    cookie[name]["path"] = "/"
    cookie[name]["httponly"] = True
    cookie[name]["samesite"] = "Lax"
    cookie[name]["max-age"] = int(lifetime.total_seconds())
    if resources.settings.secure_cookies:
        cookie[name]["secure"] = True
    waiting: dict[str, str] = request.scope["state"].setdefault(COOKIES_KEY, {})
    waiting[name] = cookie[name].OutputString()


class CookieWriter:
    """Adds the cookies a request's services set to whatever answer is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waiting: dict[str, str] = {}
        scope["state"] = {**(scope.get("state") or {}), COOKIES_KEY: waiting}

        async def with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start" and waiting:
                message["headers"] = [
                    *message.get("headers", ()),
                    *((b"set-cookie", text.encode()) for text in waiting.values()),
                ]
            await send(message)

        await self._app(scope, receive, with_cookies)
