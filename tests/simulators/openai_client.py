"""A client that knows nothing but OpenAI's protocol, with a hand on the simulator's controls."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx
from PIL import Image

from funmagic.simulators.server import Running

KEY = "sk-demo-secret"
MODEL, SMALL = "gpt-image-2", "320x240"
Event = dict[str, Any]


class OpenAi:
    """The vendor as seen from outside."""

    def __init__(self, place: Running) -> None:
        self.place = place
        headers = {"Authorization": f"Bearer {KEY}"}
        self.http = httpx.Client(base_url=f"{place.url}/openai", headers=headers, timeout=60)

    def set(self, what: str, **values: Any) -> None:
        """Pace or outcome of creates from now on."""
        self.http.put(f"/control/{what}", json=values).raise_for_status()

    def fault(self, at: str, **values: Any) -> None:
        self.http.post("/control/faults", json={"at": at, **values}).raise_for_status()

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.http.get("/control/jobs").json())

    def requests(self) -> list[dict[str, Any]]:
        return list(self.http.get("/control/requests").json())

    def edit(
        self, *photos: bytes, mask: bytes | None = None, name: str = "image[]", **given: Any
    ) -> httpx.Response:
        """Ask for a small drawing of these photos, whatever the answer."""
        files = [(name, (f"{number}.png", it, "image/png")) for number, it in enumerate(photos)]
        if mask is not None:
            files.append(("mask", ("mask.png", mask, "image/png")))
        return self.http.post("/v1/images/edits", data=self.fields(**given), files=files)

    def events(self, photo: bytes, **given: Any) -> list[Event]:
        """The events of a drawing that is streamed to its end."""
        answer = self.edit(photo, stream="true", **given).raise_for_status()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return events_in(answer.content)

    def streaming(self, photo: bytes) -> AbstractContextManager[httpx.Response]:
        """A drawing whose stream is open for the length of the block."""
        return self.http.stream(
            "POST",
            "/v1/images/edits",
            data=self.fields(stream="true", partial_images="2"),
            files=[("image", ("a.png", photo, "image/png"))],
        )

    def fields(self, **given: Any) -> dict[str, Any]:
        return {"model": MODEL, "prompt": "Draw it.", "size": SMALL} | given

    def until(self, fits: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait for the jobs to be as they should."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if fits(jobs := self.jobs()):
                return jobs
            time.sleep(0.05)
        raise AssertionError(self.jobs())

    def clean(self) -> OpenAi:
        """Begin on a clean slate, with creates that take no time."""
        self.http.delete("/control").raise_for_status()
        self.set("pace", queueS=0, workS=0)
        return self


def events_in(content: bytes) -> list[Event]:
    """Whole frames; the name of each is also the type within."""
    told = []
    for frame in content.decode().split("\n\n")[:-1]:
        first, second = frame.split("\n")
        event: Event = json.loads(second.removeprefix("data: "))
        assert first == f"event: {event['type']}"
        told.append(event)
    return told


def until_it_breaks(answer: httpx.Response) -> bytes:
    """What comes of an answer that does not come to its end."""
    got = bytearray()
    try:
        for chunk in answer.iter_bytes():
            got += chunk
    except httpx.TransportError:
        return bytes(got)
    raise AssertionError("it came to its end")


def picture_in(told: dict[str, Any]) -> Image.Image:
    """The picture of an event, or of an entry of a whole answer, decoded to its end."""
    opened = Image.open(io.BytesIO(base64.b64decode(told["b64_json"])))
    opened.load()
    return opened


def colours_in(picture: Image.Image) -> int:
    return len(picture.convert("RGB").getcolors(1 << 24) or ())


def png(size: Sequence[int] = (40, 30), *, alpha: int | None = None) -> bytes:
    """A small picture with something in it; with ``alpha`` a mask."""
    picture = Image.new("RGB", (size[0], size[1]), (20, 30, 40))
    picture.paste((220, 60, 30), (12, 8, 28, 24))
    if alpha is not None:
        picture.putalpha(alpha)
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
