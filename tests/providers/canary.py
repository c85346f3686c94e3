"""A scripted HTTP server on loopback, and a network that writes down whom it was to connect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

import httpcore

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
Script = Callable[["Visit"], Awaitable[None]]


@dataclass
class Visit:
    """One request as it came, and the way to answer it."""

    target: str
    headers: dict[str, str]
    writer: asyncio.StreamWriter
    sent_bytes: int = 0
    method: str = "GET"
    body: bytes = b""

    async def say(self, *parts: bytes) -> None:
        """Write some of the answer; a visitor who has left is no matter."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            self.sent_bytes += len(part)


@dataclass
class Canary:
    """``visits`` are the requests that came; ``connections`` counts them with the silent ones."""

    port: int
    connections: int = 0
    visits: list[Visit] = field(default_factory=list)


def head(status: int = 200, **headers: str) -> bytes:
    """A response's first lines; ``content_type`` becomes ``content-type``."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode()


def whole(
    body: bytes = PNG, content_type: str = "image/png", status: int = 200, **headers: str
) -> Script:
    """A complete answer."""

    async def say(visit: Visit) -> None:
        first = head(status, content_type=content_type, content_length=str(len(body)), **headers)
        await visit.say(first, body)

    return say


def redirect(location: str, status: int = 302) -> Script:
    """A redirect, whose body is none of anybody's business."""

    async def say(visit: Visit) -> None:
        await visit.say(head(status, location=location, content_length="0"))

    return say


@asynccontextmanager
async def canary(
    script: Script | None = None, tls: ssl.SSLContext | None = None, *, lingers: bool = False
) -> AsyncIterator[Canary]:
    """A server that by default answers everything with a perfect PNG: who reaches it has a file.

    One that ``lingers`` keeps a connection after its answer and drops it at the next request.
    """
    answer = script or whole()
    place = Canary(port=0)
    talks: set[asyncio.Task[None]] = set()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place.connections += 1
        talk = asyncio.current_task()
        assert talk is not None
        talks.add(talk)
        # Cancelled only by our own end, below.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.partition(":") for line in rest if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split(" ")
            visit = Visit(target, headers, writer, method=method, body=body)
            place.visits.append(visit)
            await answer(visit)
            if lingers:
                await reader.read(1)
        writer.transport.abort() if talk.cancelling() else writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        talks.discard(talk)

    server = await asyncio.start_server(visited, "127.0.0.1", 0, ssl=tls)
    place.port = server.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        if talks:
            await asyncio.wait(talks)
        await server.wait_closed()


class Network(httpcore.AsyncNetworkBackend):
    """Connects to loopback really, to ``stand_in`` in place of any public address, else nowhere."""

    def __init__(self, stand_in: int | None = None) -> None:
        self.connects: list[tuple[str, int]] = []
        self._stand_in = stand_in
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connects.append((host, port))
        if self._stand_in is not None and ip_address(host).is_global:
            return await self._real.connect_tcp("127.0.0.1", self._stand_in, timeout)
        if ip_address(host).is_loopback:
            return await self._real.connect_tcp(host, port, timeout)
        raise httpcore.ConnectError(f"there is no way to {host}")
