"""Pure ASGI layers around the whole application, outermost first.

``RequestLog`` gives every request an id and one log line; ``SecurityHeaders`` gives every answer
its headers; ``SameOrigin`` refuses unsafe requests that ride on a cookie from another site.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from funmagic.core import log as logs
from funmagic.core.log import REQUEST_ID

# ASGI 3: the three callables' own types, without a framework's view of them.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# A page sets this in its scope where it may show a 3D model: whose textures a browser reads by
# addresses of its own (``blob:``), made while the model is opened.
SHOWS_MODELS = "fm_shows_models"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def header(scope: Scope, name: bytes) -> str | None:
    """The first header called ``name`` (lower case), or None."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


class RequestLog:
    """Binds ``request_id`` (taken from ``X-Request-Id`` where well-formed) and logs the outcome."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        request_id = given if given and REQUEST_ID.match(given) else os.urandom(16).hex()
        logs.begin(request_id)
        tag = (b"x-request-id", request_id.encode())
        started = time.perf_counter()
        status = 0

        def tagged(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), tag]
            return send(message)

        try:
            await self._app(scope, receive, tagged)
        finally:
            duration_ms = round((time.perf_counter() - started) * 1000, 1)
            logs.answered(scope["method"], scope["path"], status, duration_ms, request_id)


class HeadAsGet:
    """Answers HEAD for pages and files as GET would be answered, without the body.

    Whoever checks a link or its age asks so, and ``Allow`` says that they may. The API is left out:
    of it some answers have no end.
    """

    def __init__(self, app: ASGIApp, *, but: str = "/api/") -> None:
        self._app = app
        self._but = but

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or scope["method"] == "GET":
            return self._app(scope, receive, send)
        if scope["path"].startswith(self._but):
            return self._app(scope, receive, send)
        is_head = scope["method"] == "HEAD"

        def fitting(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [_allowing_head(*each) for each in message.get("headers", ())]
            elif message["type"] == "http.response.body" and is_head:
                message = {**message, "body": b""}
            return send(message)

        return self._app({**scope, "method": "GET"} if is_head else scope, receive, fitting)


def _allowing_head(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header; ``Allow`` names HEAD where it names GET."""
    if name.lower() != b"allow" or b"GET" not in value or b"HEAD" in value:
        return name, value
    return name, value.replace(b"GET", b"GET, HEAD")


class SecurityHeaders:
    """Content-Security-Policy and its relatives on every answer, error pages included.

    What does not say that it may be kept, may not be kept: most answers are somebody's own.
    """

    def __init__(self, app: ASGIApp, *, storage_origin: str, https: bool) -> None:
        self._app = app
        headers = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "strict-origin-when-cross-origin",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }
        if https:
            headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"
        always = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._headers, self._headers_with_models = (
            [(b"content-security-policy", _policy(storage_origin, models=models)), *always]
            for models in (False, True)
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)

        def hardened(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                ours = self._headers_with_models if SHOWS_MODELS in scope else self._headers
                headers = [*given, *ours]
                for name, _ in given:
                    if name == b"cache-control" or name.lower() == b"cache-control":
                        break
                else:
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            return send(message)

        return self._app(scope, receive, hardened)


def _policy(storage_origin: str, *, models: bool = False) -> bytes:
    """The Content-Security-Policy; with ``models`` for pages that may show one."""
    blobs = " blob:" if models else ""
    policy = "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data: {storage_origin}",
            f"connect-src 'self'{blobs} {storage_origin}",
            "font-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
    return policy.encode()


class SameOrigin:
    """Unsafe requests must show that they come from our own pages, or carry ``Authorization``.

    Evidence is ``Sec-Fetch-Site: same-origin`` (or ``none``: typed by the person), else an
    ``Origin`` equal to the address the product is served at. No evidence means refusal: a
    browser always sends one of them with an unsafe request, a program sends ``Authorization``.

    ``forms_taken_at`` are whole paths that take a POST from anywhere: their handlers look at no
    cookie of ours and decide nothing.
    """

    def __init__(
        self, app: ASGIApp, *, origins: Iterable[str], forms_taken_at: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._forms_taken_at = frozenset(forms_taken_at)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or self._is_fine(scope):
            return self._app(scope, receive, send)
        return self._refuse(send)

    @staticmethod
    async def _refuse(send: Send) -> None:
        body = (
            b'{"error":{"type":"cross_site","message":'
            b'"This request did not come from our own pages."}}'
        )
        await send(
            {
                "type": "http.response.start",
                "status": 403,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _is_fine(self, scope: Scope) -> bool:
        if scope["method"] in SAFE_METHODS:
            return True
        if scope["method"] == "POST" and scope["path"] in self._forms_taken_at:
            return True
        if header(scope, b"authorization") is not None:
            return True
        site = header(scope, b"sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        origin = header(scope, b"origin")
        return origin is not None and self._normal(origin) in self._origins

    @staticmethod
    def _normal(origin: str) -> str:
        parts = urlsplit(origin)
        return f"{parts.scheme}://{parts.netloc}"
