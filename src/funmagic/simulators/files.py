"""Files a simulated vendor keeps and gives out, some of them not what they claim to be."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from funmagic.simulators.faults import Send

#: The oldest files go when there are more, or more bytes of them.
MAX_FILES = 4_000
MAX_KEPT_BYTES = 512 << 20
CHUNK = bytes(64 << 10)


@dataclass(frozen=True, slots=True)
class File:
    """What is served under one address, and how.

    After ``content`` come as many zeros as ``length_bytes`` wants, which are never held in memory.
    ``cut_at_bytes`` is where the connection breaks. With a ``location`` the answer is a redirect.
    """

    content: bytes
    content_type: str
    length_bytes: int = 0
    tells_length: bool = True
    cut_at_bytes: int | None = None
    location: str | None = None
    fetched: Callable[[], None] = lambda: None


class Files:
    """Files by name, bounded: who asks for one that had to go gets 404."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, File] = OrderedDict()
        self._kept_bytes = 0

    def put(self, file: File, name: str) -> str:
        """Keep it under a new name that ends with this one; returns the new name."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:]
        made = f"{secrets.token_hex(10)}_{plain}"
        self._kept[made] = file
        self._kept_bytes += len(file.content)
        while len(self._kept) > MAX_FILES or self._kept_bytes > MAX_KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.content)
        return made

    def get(self, name: str) -> File | None:
        return self._kept.get(name)

    def clear(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0


async def serve(file: File, send: Send) -> None:
    """Answer one GET."""
    file.fetched()
    if file.location is not None:
        headers = [(b"location", file.location.encode("latin-1")), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})
        return
    length = max(len(file.content), file.length_bytes)
    headers = [(b"content-type", file.content_type.encode("latin-1"))]
    if file.tells_length:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    end = length if file.cut_at_bytes is None else min(file.cut_at_bytes, length)
    content = memoryview(file.content)[:end]
    sent = 0
    while sent < end:
        if sent < len(content):
            chunk = bytes(content[sent : sent + len(CHUNK)])
        else:
            chunk = CHUNK[: end - sent]
        sent += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if file.cut_at_bytes is None or not file.tells_length:
        await send({"type": "http.response.body"})
    # else the server finds the answer incomplete, sends what there is, and hangs up
