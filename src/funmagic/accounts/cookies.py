"""Our cookies: opaque tokens, never readable by scripts, never sent along by other sites.

They are written by :class:`CookieWriter`, an ASGI layer, because a service cannot know how its
answer will look.
"""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

from litestar import Request

from funmagic.core.middleware import ASGIApp, Message, Receive, Scope, Send
from funmagic.core.resources import Resources

MAX_TOKEN_CHARS = 64
# A browser takes a cookie of this name by https only, for this host alone and the whole of it: no
# neighbouring host and no answer by http can plant one (RFC 6265bis, 4.1.3.2).
HOST_PREFIX = "__Host-"
COOKIES_KEY = "fm_set_cookies"


def presented(
    request: Request[Any, Any, Any], name: str, max_chars: int = MAX_TOKEN_CHARS
) -> str | None:
    """What the browser brought under this name, where it may be ours by its length."""
    token = request.cookies.get(_full(request, name))
    return token if token and len(token) <= max_chars else None


def put(request: Request[Any, Any, Any], name: str, value: str, lifetime: timedelta) -> None:
    """Give the browser a cookie with the answer to this request; no lifetime takes it away."""
    cookie: SimpleCookie = SimpleCookie()
    name = _full(request, name)
    cookie[name] = value
    cookie[name]["path"] = "/"
    cookie[name]["httponly"] = True
    cookie[name]["samesite"] = "Lax"
    cookie[name]["max-age"] = int(lifetime.total_seconds())
    if _is_secure(request):
        cookie[name]["secure"] = True
    waiting: dict[str, str] = request.scope["state"].setdefault(COOKIES_KEY, {})
    waiting[name] = cookie[name].OutputString()


def _full(request: Request[Any, Any, Any], name: str) -> str:
    """The cookie's name as browsers see it."""
    return HOST_PREFIX + name if _is_secure(request) else name


def _is_secure(request: Request[Any, Any, Any]) -> bool:
    resources: Resources = request.app.state["resources"]
    return resources.settings.secure_cookies


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
