"""What fal's own client meets at an address: ``python sdk.py BASE`` tells it as JSON.

A process of its own, because the client reads its addresses from module constants and has no way to
close its connections.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from typing import Any

import fal_client
import fal_client.client
import httpx
from PIL import Image

KEY = "demo:secret"
MODEL = "fal-ai/bria/background/remove"


def main(base: str) -> None:
    fal_client.client.QUEUE_URL_FORMAT = f"{base}/queue/"
    fal_client.client.REST_URL = f"{base}/rest"
    fal_client.client.CDN_URL = f"{base}/cdn"
    told = {"life": life(base), "states": states(base), "errors": asyncio.run(errors(base))}
    sys.stdout.write(json.dumps(told))


def life(base: str) -> dict[str, Any]:
    """Upload, submit, follow, fetch; and find it all again by its id."""
    client = fal_client.SyncClient(key=KEY, default_timeout=60)
    address = client.upload(picture(), "image/png", "photo.png")
    control(base, "pace", queueS=0.2, workS=0.2)
    handle = client.submit(MODEL, {"image_url": address})
    events = [type(event).__name__ for event in handle.iter_events(with_logs=True, interval=0.02)]
    again = client.get_handle(MODEL, handle.request_id)
    return {
        "id": handle.request_id,
        "last": events[-1],
        "result": handle.get(),
        "again": again.get(),
        "status": type(again.status(with_logs=True)).__name__,
    }


def states(base: str) -> dict[str, Any]:
    """A job that waits; one that works, and is cancelled."""
    client = fal_client.SyncClient(key=KEY, default_timeout=60)
    control(base, "pace", queueS=3600)
    waiting = client.submit(MODEL, {"image_url": data_uri()}).status()
    control(base, "pace", workS=3600)
    handle = client.submit(MODEL, {"image_url": data_uri()})
    working = handle.status(with_logs=True)
    handle.cancel()
    assert isinstance(waiting, fal_client.Queued)
    assert isinstance(working, fal_client.InProgress)
    return {
        "position": waiting.position,
        "logs": working.logs,
        "cancelled": type(handle.status(with_logs=True)).__name__,
    }


async def errors(base: str) -> list[dict[str, Any]]:
    """A refusal, a broken runner, a wrong key."""
    control(base, "pace", workS=0)
    met = []
    for key, outcome in (
        (KEY, {"kind": "refused"}),
        (KEY, {"kind": "error", "errorType": "startup_timeout"}),
        ("bad:secret", {"kind": "ok"}),
    ):
        control(base, "outcome", **outcome)
        client = fal_client.AsyncClient(key=key, default_timeout=60)
        try:
            await client.subscribe(MODEL, {"image_url": data_uri()})
        except fal_client.FalClientHTTPError as error:
            detail = error.response.json()["detail"]
            kind = error.error_type or (detail[0]["type"] if isinstance(detail, list) else None)
            met.append({"status": error.status_code, "type": kind})
    return met


def control(base: str, what: str, **values: Any) -> None:
    httpx.put(f"{base}/control/{what}", json=values).raise_for_status()


def picture() -> bytes:
    written = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).save(written, "PNG")
    return written.getvalue()


def data_uri() -> str:
    return "data:image/png;base64," + base64.b64encode(picture()).decode()


if __name__ == "__main__":
    main(sys.argv[1])
