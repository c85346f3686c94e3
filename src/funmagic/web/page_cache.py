"""Pages drawn once for all visitors, and every text answer sent compressed.

A handler says :func:`shared` of an answer in which nothing is of one visitor. The layer then keeps
it for others who ask for the same address without being signed in: for as long
as the edition it was drawn of is the current one (:mod:`funmagic.core.cache`), and 300 seconds at
most. Where the database is away, the last one kept is shown, however old, with ``X-Stale-Since``
and the notice that the page had ready. Who waits for a drawing gets it compressed quickly; once
somebody else has asked for it, it is compressed thoroughly for all others.

Only answers to GET are compressed: those to other methods may hold what is told once, such as a new
key, and the length of a compressed answer says something about what is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core import log as logs
from funmagic.core.cache import FRESH, Cached, Edition, Together
from funmagic.core.clock import now
from funmagic.core.compression import (
    WORTH_BYTES,
    Effort,
    Encoding,
    best_encoding,
    compressed,
    is_text,
)
from funmagic.core.i18n import LOCALES
from funmagic.core.middleware import ASGIApp, Message, Receive, Scope, Send
from funmagic.core.settings import Settings
from funmagic.web.pages import LOCALE_COOKIE, AnyRequest, locale_cookie

MOST_BYTES: Final = 64 << 20
MOST_QUERY_BYTES: Final = 300
SHARED: Final = "fm_shared"
AS_OF: Final = "fm_edition"  # in a scope: the edition its page is drawn as of
SESSION: Final = SESSION_COOKIE.encode()
LOCALE: Final = f"{LOCALE_COOKIE}=".encode()
CACHE_CONTROL: Final = b"public, max-age=0, must-revalidate"
VARY: Final = b"Accept-Encoding, Cookie"
# How the notice of an old page stands in a new one, and in one that has become old.
READY_NOTICE: Final = b" data-stale hidden"
SHOWN_NOTICE: Final = b" data-stale"
# What is said anew of a page that is kept, and what only belongs to an answer with a body.
OWN_HEADERS: Final = frozenset({b"cache-control", b"etag", b"set-cookie", b"vary"})
BODY_HEADERS: Final = frozenset({b"content-length", b"content-type", b"content-encoding"})

Key = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Shared:
    until: datetime
    stale_since: datetime | None


def shared(request: AnyRequest, *made_of: Cached[Any], query: Iterable[str] = ()) -> None:
    """Say that the answer may be shown to everybody who is not signed in: nothing in it is of one.

    ``made_of`` are the copies it is made of. ``query`` are the parameters it depends on; with any
    other in the address it is not kept.
    """
    names = [name for name, _ in parse_qsl(request.url.query, keep_blank_values=True)]
    if len(names) != len(set(names)) or not set(names) <= set(query):
        return
    ends = [copy.until for copy in made_of if copy.until is not None]
    ages = [copy.stale_since for copy in made_of if copy.stale_since is not None]
    scope = cast(dict[str, Any], request.scope)
    scope[SHARED] = _Shared(min([now() + FRESH, *ends]), min(ages, default=None))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def encoded(self, encoding: Encoding | None, effort: Effort = "usual") -> _Answer:
        """The same in an encoding, where that is worth it."""
        headers = [each for each in self.headers if each[0].lower() != b"content-length"]
        body = self.body
        if len(body) >= WORTH_BYTES and is_text(headers):
            if not any(name.lower() == b"vary" and b"Accept-Encoding" in v for name, v in headers):
                headers.append((b"vary", b"Accept-Encoding"))
            if encoding is not None:
                body = compressed(body, encoding, effort)
                headers.append((b"content-encoding", encoding.encode()))
        headers.append((b"content-length", str(len(body)).encode()))
        return _Answer(self.status, headers, body)

    async def send_by(self, send: Send, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        headers = [*self.headers, *more]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class _Page:
    """An answer that is kept, with its forms: in each encoding, whole and for whoever has it."""

    def __init__(self, answer: _Answer, note: _Shared, edition: str | None) -> None:
        self._answer = answer
        self._note = note
        # Drawn of old copies, it is good only for as long as there is nothing better.
        self._edition = edition if note.stale_since is None else None
        self._until = note.until.timestamp()
        self._drawn_at = now()
        self._forms: dict[Encoding | None, tuple[_Answer, _Answer]] = {}
        self._quick: set[Encoding] = set()
        self._improving: set[asyncio.Task[None]] = set()  # so that nobody collects them
        self.etag = f'W/"{blake2b(answer.body, digest_size=16).hexdigest()}"'.encode()
        self.size_bytes = 2 * len(answer.body)  # as it is, and in two encodings

    def is_good(self, edition: str | None) -> bool:
        return edition is not None and edition == self._edition and time.time() < self._until

    def as_stale(self) -> _Page:
        """The same, marked as old."""
        if self._note.stale_since is not None:
            return self
        body = self._answer.body.replace(READY_NOTICE, SHOWN_NOTICE)
        note = _Shared(self._note.until, self._drawn_at)
        return _Page(_Answer(self._answer.status, self._answer.headers, body), note, None)

    def form(self, encoding: Encoding | None, etags: bytes) -> _Answer:
        """The page in an encoding, or the answer to whoever has it already by one of ``etags``."""
        made = self._forms.get(encoding)
        if made is None:
            made = self._forms[encoding] = self._made(encoding, "quick")
            if encoding is not None:
                self._quick.add(encoding)
        elif encoding is not None and encoding in self._quick:
            self._quick.discard(encoding)
            improving = asyncio.create_task(self._improve(encoding))
            self._improving.add(improving)
            improving.add_done_callback(self._improving.discard)
        return made[1] if self.etag in etags else made[0]

    async def _improve(self, encoding: Encoding) -> None:
        with suppress(RuntimeError):  # this process is ending
            self._forms[encoding] = await asyncio.to_thread(self._made, encoding, "thorough")

    def _made(self, encoding: Encoding | None, effort: Effort) -> tuple[_Answer, _Answer]:
        given = [each for each in self._answer.headers if each[0].lower() not in OWN_HEADERS]
        headers = [
            *given,
            (b"cache-control", CACHE_CONTROL),
            (b"vary", VARY),
            (b"etag", self.etag),
        ]
        if self._note.stale_since is not None:
            headers.append((b"x-stale-since", self._note.stale_since.isoformat().encode()))
        whole = _Answer(HTTPStatus.OK, headers, self._answer.body).encoded(encoding, effort)
        kept = [each for each in headers if each[0].lower() not in BODY_HEADERS]
        return whole, _Answer(HTTPStatus.NOT_MODIFIED, kept, b"")


@dataclass(slots=True)
class _Asked:
    """What of a request decides the form of its answer."""

    encoding: Encoding | None = None
    etags: bytes = b""
    cookies: list[bytes] = field(default_factory=list)
    is_personal: bool = False


class PageCache:
    """The layer. What is an answer's own, its id, is given outside of it; what is the same each
    time, such as the security headers, inside, and is kept with the page."""

    def __init__(self, app: ASGIApp, *, edition: Callable[[], Edition], settings: Settings) -> None:
        self._app = app
        self._edition = edition
        self._pages: OrderedDict[Key, _Page] = OrderedDict()
        self._size_bytes = 0
        self._together = Together()
        self._choices = {
            locale: (
                LOCALE + locale.encode(),
                (b"set-cookie", locale_cookie(settings, locale).to_header(header="").encode()),
            )
            for locale in LOCALES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        asked = _asked(scope)
        answer: _Page | _Answer | None
        if asked.is_personal or not _may_be_kept(scope):
            answer = await self._ask(scope, receive, send)
        else:
            key = (scope["raw_path"], scope["query_string"])
            answer, edition = self._pages.get(key), await self._edition().current()
            if answer is not None and answer.is_good(edition):
                self._pages.move_to_end(key)
            else:
                answer = await self._drawn_for_all(key, edition, scope, receive, send)
        if isinstance(answer, _Page):
            chosen, cookie = self._choices[scope["path"][1:3]]
            more = () if chosen in asked.cookies else (cookie,)
            await answer.form(asked.encoding, asked.etags).send_by(send, more)
        elif answer is not None:
            await answer.encoded(asked.encoding).send_by(send)

    async def _drawn_for_all(
        self, key: Key, edition: str | None, scope: Scope, receive: Receive, send: Send
    ) -> _Page | _Answer | None:
        """The page as it is now; those who ask for one that is known wait for the same drawing."""
        if key not in self._pages:  # it may turn out to be one visitor's
            return await self._drawn(key, edition, scope, receive, send)
        is_own = False
        request_id = logs.request_id() or ""

        async def draw() -> _Page | _Answer | None:
            nonlocal is_own
            is_own = True
            logs.begin(request_id)  # whoever else's turn it was before
            return await self._drawn(key, edition, scope, receive, send)

        answer = await self._together.run(key, draw)
        if is_own or isinstance(answer, _Page):
            return answer
        return await self._drawn(key, edition, scope, receive, send)

    async def _drawn(
        self, key: Key, edition: str | None, scope: Scope, receive: Receive, send: Send
    ) -> _Page | _Answer | None:
        """The page, drawn unless somebody else has by now. ``edition`` was asked for before
        anything of the page is read, and after everybody came who waits for it."""
        page = self._pages.get(key)
        if page is not None and page.is_good(edition):
            return page
        scope[AS_OF] = edition
        answer = await self._ask(scope, receive, send)
        note: _Shared | None = scope.get(SHARED)
        if answer is None:
            return None
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and page is not None:
            return self._keep(key, page.as_stale())
        self._forget(key)
        if note is None or answer.status != HTTPStatus.OK or _sets_cookies(answer):
            return answer
        return self._keep(key, _Page(answer, note, edition))

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> _Answer | None:
        """What the application answers; None where it was no whole text, and has been sent."""
        given = _Given(send)
        await self._app(scope, receive, given)
        return given.answer

    def _keep(self, key: Key, page: _Page) -> _Page:
        self._forget(key)
        self._pages[key] = page
        self._size_bytes += page.size_bytes
        while self._size_bytes > MOST_BYTES:
            self._forget(next(iter(self._pages)))
        return page

    def _forget(self, key: Key) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self._size_bytes -= page.size_bytes


class _Given:
    """Takes an answer as it is sent: a whole text is held, anything else sent on at once."""

    def __init__(self, send: Send) -> None:
        self.answer: _Answer | None = None
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and is_text(message.get("headers", ())):
            self._start = message
        elif self._start is None:
            await self._send(message)
        elif message.get("more_body"):
            start, self._start = self._start, None
            await self._send(start)
            await self._send(message)
        else:
            headers = list(self._start.get("headers", ()))
            self.answer = _Answer(self._start["status"], headers, message.get("body", b""))


def _asked(scope: Scope) -> _Asked:
    asked = _Asked()
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            asked.encoding = best_encoding(value)
        elif name == b"if-none-match":
            asked.etags = value
        elif name == b"cookie":
            asked.cookies += value.split(b"; ")
            asked.is_personal |= SESSION in value
        elif name == b"authorization":
            asked.is_personal = True
    return asked


def _may_be_kept(scope: Scope) -> bool:
    """Whether the address is a page's, in a language of ours."""
    path: str = scope["path"]
    is_page = path[1:3] in LOCALES and path[3:4] in {"", "/"}
    return is_page and len(scope["query_string"]) <= MOST_QUERY_BYTES


def _sets_cookies(answer: _Answer) -> bool:
    """Whether an answer carries another cookie than the language's, and so is one visitor's."""
    return any(
        name.lower() == b"set-cookie" and not value.startswith(LOCALE)
        for name, value in answer.headers
    )
