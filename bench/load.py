"""Asks one address again and again, over connections that stay open: ``python -m bench.load``.

Prints how many answers a second there were and how long each took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import httptools
import uvloop

# What a browser sends; a visitor who has chosen a language before.
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nCookie: fm_locale=en\r\n\r\n"
)


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, request: bytes, until: float, took_s: list[float]) -> None:
        self._request = request
        self._until = until
        self._took_s = took_s
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.size_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclass
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed by the server"))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            raise RuntimeError(f"answered with {status}")
        ended = time.perf_counter()
        self._took_s.append(ended - self._began)
        self.size_bytes = self._body_bytes
        if ended < self._until:
            self._ask()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._body_bytes = 0
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def load(port: int, path: str, clients: int, seconds: float) -> dict[str, float]:
    """``clients`` at once for about ``seconds``; times in seconds."""
    request = REQUEST.format(path=path, host=f"127.0.0.1:{port}").encode()
    began = time.perf_counter()
    took_s: list[float] = []
    opened = [
        await asyncio.get_running_loop().create_connection(
            lambda: Client(request, began + seconds, took_s), "127.0.0.1", port
        )
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in opened))
    ended = time.perf_counter()
    ordered = sorted(took_s)
    return {
        "per_second": len(took_s) / (ended - began),
        "p50_s": ordered[len(ordered) // 2],
        "p99_s": ordered[int(len(ordered) * 0.99)],
        "size_bytes": opened[0][1].size_bytes,
    }


if __name__ == "__main__":
    _, its_port, its_path, how_many, for_s = sys.argv
    figures = uvloop.run(load(int(its_port), its_path, int(how_many), float(for_s)))
    sys.stdout.write(json.dumps(figures))
