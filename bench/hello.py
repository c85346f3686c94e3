"""The bare server's application: the answer in the folder ANSWER, byte for byte, and nothing more.

With PLAIN=1 only as many headers as a browser needs to show it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ANSWER = Path(os.environ["ANSWER"])
BODY = (ANSWER / "page.br").read_bytes()
NEEDED = {"content-type", "content-encoding", "content-length"}
HEADERS = json.loads((ANSWER / "headers.json").read_text())
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (name.encode(), value.encode())
        for name, value in HEADERS
        if "PLAIN" not in os.environ or name in NEEDED
    ],
}


async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["type"] == "http":
        await send(START)
        await send({"type": "http.response.body", "body": BODY})
