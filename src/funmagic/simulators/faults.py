"""Trouble on demand: what a simulator does wrong, to which requests, and what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from litestar.exceptions import HTTPException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Under this name the server puts what ends the connection into the request's state.
DROP = "funmagic.drop"
MAX_FAULTS = 1_000
MAX_RECORDS = 20_000


class Body(BaseModel):
    """A control route's body: camelCase, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Match(Body):
    """Which requests a fault meets: all that is given must fit; ``path`` need only be contained."""

    key_id: str | None = None
    request_id: str | None = None
    model: str | None = None
    path: str | None = None


class Fault(Body):
    """What happens to the next ``times`` matching requests ``at`` one point of the protocol.

    First ``delay_s`` passes. Then ``cut`` ends the connection without an answer, ``before`` or
    ``after`` the request had its effect; else ``status`` is answered in place of the true answer
    and without any effect; else the request is served as ever. A ``body`` that is a string is sent
    as it is, anything else as JSON.
    """

    at: str
    times: int = Field(default=1, ge=1, le=1_000_000)
    status: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    delay_s: float = Field(default=0.0, ge=0.0, le=3600.0)
    cut: Literal["before", "after"] | None = None
    match: Match = Match()


@dataclass(frozen=True, slots=True)
class Visit:
    """One request in the protocol's own terms."""

    at: str
    method: str
    path: str
    key_id: str | None = None
    request_id: str | None = None
    model: str | None = None


@dataclass(slots=True)
class Record:
    """One request as it came. ``status`` is None until, and unless, it was answered."""

    visit: Visit
    query: str
    headers: dict[str, str]
    received_at: datetime
    status: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "at": self.visit.at,
            "method": self.visit.method,
            "path": self.visit.path,
            "query": self.query,
            "headers": self.headers,
            "keyId": self.visit.key_id,
            "requestId": self.visit.request_id,
            "model": self.visit.model,
            "receivedAt": self.received_at.isoformat(),
            "status": self.status,
        }


@dataclass(slots=True)
class _Queued:
    fault: Fault
    left: int


@dataclass(slots=True)
class Trouble:
    """The faults that wait, and the newest requests. One event loop alone may touch it."""

    points: tuple[str, ...]
    records: deque[Record] = field(default_factory=lambda: deque(maxlen=MAX_RECORDS))
    _queued: list[_Queued] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Queue it behind the others. Raises HTTPException 400 for an unknown point."""
        if fault.at not in self.points:
            raise HTTPException(status_code=400, detail=f"at: one of {', '.join(self.points)}")
        if len(self._queued) >= MAX_FAULTS:
            raise HTTPException(status_code=400, detail=f"at most {MAX_FAULTS} faults may wait")
        self._queued.append(_Queued(fault, fault.times))

    def take(self, visit: Visit) -> Fault | None:
        """The first waiting fault that meets this request; it has one time less left."""
        for queued in self._queued:
            if queued.fault.at == visit.at and _meets(queued.fault.match, visit):
                queued.left -= 1
                if queued.left == 0:
                    self._queued.remove(queued)
                return queued.fault
        return None

    def clear(self) -> None:
        self._queued.clear()
        self.records.clear()


class FaultLayer:
    """Around an application: records every request that is a visit, and lets faults meet it.

    ``read`` tells a request in the protocol's terms, or None for one that is none of its business.
    """

    def __init__(
        self, app: ASGIApp, trouble: Trouble, read: Callable[[Scope], Visit | None]
    ) -> None:
        self._app = app
        self._trouble = trouble
        self._read = read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = self._read(scope) if scope["type"] == "http" else None
        if visit is None:
            await self._app(scope, receive, send)
            return
        record = Record(
            visit,
            scope["query_string"].decode("latin-1"),
            _shown(scope["headers"]),
            datetime.now(UTC),
        )
        self._trouble.records.append(record)
        fault = self._trouble.take(visit)

        async def note_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
            await send(message)

        if fault is None:
            await self._app(scope, receive, note_and_send)
        else:
            await self._meet(fault, scope, receive, note_and_send)

    async def _meet(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(fault.delay_s)
        if fault.cut is not None:
            if fault.cut == "after":
                await self._app(scope, receive, _send_nothing)
            await drop(scope, receive)
        elif fault.status is not None:
            while (await receive()).get("more_body"):
                pass  # take the request in before answering it, like any server
            await _answer(fault, fault.status, send)
        else:
            await self._app(scope, receive, send)


async def drop(scope: Scope, receive: Receive) -> None:
    """End the connection without (further) answer."""
    scope["state"][DROP]()
    while (await receive())["type"] != "http.disconnect":
        pass


def bearer_of(headers: Iterable[tuple[bytes, bytes]], scheme: str) -> str | None:
    """What follows ``scheme`` in the Authorization header."""
    for name, value in headers:
        if name == b"authorization":
            word, _, secret = value.decode("latin-1").partition(" ")
            return secret.strip() if word.lower() == scheme.lower() else None
    return None


def _meets(match: Match, visit: Visit) -> bool:
    return (
        match.key_id in (None, visit.key_id)
        and match.request_id in (None, visit.request_id)
        and match.model in (None, visit.model)
        and (match.path is None or match.path in visit.path)
    )


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers without secrets: ``Key id:…``, ``Bearer …``."""
    shown = {}
    for name, value in headers:
        text = value.decode("latin-1")
        if name in (b"authorization", b"cookie"):
            scheme, _, secret = text.partition(" ")
            key_id, colon, _ = secret.partition(":")
            text = f"{scheme} {key_id}:…" if colon else f"{scheme} …"
        shown[name.decode("latin-1")] = text
    return shown


async def _send_nothing(message: Message) -> None:
    pass


async def _answer(fault: Fault, status: int, send: Send) -> None:
    if isinstance(fault.body, str):
        content, content_type = fault.body.encode(), "text/plain; charset=utf-8"
    else:
        body = {"detail": "Simulated fault"} if fault.body is None else fault.body
        content, content_type = json.dumps(body).encode(), "application/json"
    headers = {"content-type": content_type} | {
        name.lower(): value for name, value in fault.headers.items()
    }
    headers["content-length"] = str(len(content))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
