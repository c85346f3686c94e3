"""The bare server's application: the file named by BODY, and not a line more."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BODY = Path(os.environ["BODY"]).read_bytes()
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-encoding", b"br"),
        (b"content-length", str(len(BODY)).encode()),
    ],
}


async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await send(START)
        await send({"type": "http.response.body", "body": BODY})
