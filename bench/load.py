"""Asks one address again and again, over connections that stay open: ``python -m bench.load``.

Prints how many answers a second there were and how long each took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import cast

import httptools
import uvloop

# What a browser sends; a visitor who has chosen a language before.
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCookie: fm_locale=en\r\n\r\n"
)


class Client(asyncio.Protocol):
    """One connection, one request at a time. ``on_answer`` is given each answer's seconds."""

    def __init__(self, on_answer: Callable[[float], None]) -> None:
        self._on_answer = on_answer
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.size_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclass
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(None)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            raise RuntimeError(f"answered with {status}")
        self.size_bytes = self._body_bytes
        self._on_answer(time.perf_counter() - self._began)

    def ask(self, request: bytes) -> None:
        self._body_bytes = 0
        self._began = time.perf_counter()
        self.transport.write(request)


async def connect(port: int, on_answer: Callable[[float], None]) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(on_answer), "127.0.0.1", port)
    return client


def request_of(port: int, path: str) -> bytes:
    """What a browser sends that has been here before."""
    return REQUEST.format(path=path, host=f"127.0.0.1:{port}").encode()


async def load(port: int, path: str, clients: int, seconds: float) -> dict[str, float]:
    """``clients`` at once for about ``seconds``; times in seconds."""
    request = request_of(port, path)
    began = time.perf_counter()
    took_s: list[float] = []

    def turn(at: int) -> Callable[[float], None]:
        def answered(seconds_taken: float) -> None:
            took_s.append(seconds_taken)
            if time.perf_counter() < began + seconds:
                opened[at].ask(request)
            else:
                opened[at].transport.close()

        return answered

    opened = [await connect(port, turn(at)) for at in range(clients)]
    for client in opened:
        client.ask(request)
    await asyncio.gather(*(client.lost for client in opened))
    ended = time.perf_counter()
    ordered = sorted(took_s)
    return {
        "per_second": len(took_s) / (ended - began),
        "p50_s": ordered[len(ordered) // 2],
        "p99_s": ordered[int(len(ordered) * 0.99)],
        "size_bytes": opened[0].size_bytes,
    }


if __name__ == "__main__":
    _, its_port, its_path, how_many, for_s = sys.argv
    figures = uvloop.run(load(int(its_port), its_path, int(how_many), float(for_s)))
    sys.stdout.write(json.dumps(figures))
