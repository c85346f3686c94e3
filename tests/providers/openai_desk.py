"""OpenAI's adapter at a simulated OpenAI, or at a server that only writes down what it is sent."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.providers.canary import PNG, Script, Visit, head
from tests.vendors import OpenAiControl

from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.providers.adapters.openai import OpenAi, OpenAiCredentials
from funmagic.providers.adapters.openai.costs import OpenAiConfig
from funmagic.providers.adapters.openai.options import IMAGE_EDIT
from funmagic.providers.contract import (
    Call,
    Connection,
    File,
    Finished,
    ImageEdit,
    Place,
    ProviderError,
)
from funmagic.simulators.server import Running

PHOTOS = Path(__file__).parent.parent / "photos"
KEY = "sk-ada-0123456789"
# One that takes any size, so that a simulated picture takes no time.
MODEL, SMALL = "gpt-image-2", {"size": "320x240"}


@dataclass
class Desk:
    """One adapter, and what those who wait for its calls saw: pictures and percents."""

    openai: OpenAi
    base_url: str
    folder: Path
    shown: list[bytes] = field(default_factory=list)
    percents: list[int] = field(default_factory=list)
    begun: int = 0

    def connection(self, key: str = KEY, **more: SecretStr) -> Connection:
        credentials = OpenAiCredentials.model_validate({"key": key, **more})
        return Connection(credentials, self.base_url, OpenAiConfig())

    def call(
        self,
        model: str = MODEL,
        options: dict[str, Any] | None = None,
        *,
        key: str = KEY,
        time_s: float = 60.0,
        **more: Any,
    ) -> Call:
        """A call with a directory of its own; ``options`` as an admin's form sends them."""
        folder = self.folder / str(new_id())
        folder.mkdir()
        made: dict[str, Any] = {
            "id": new_id(),
            "model": model,
            "options": IMAGE_EDIT.options_of(model).model_validate(
                (SMALL if model == MODEL else {}) if options is None else options
            ),
            "connection": self.connection(key),
            "work_dir": folder,
            "deadline_at": now() + timedelta(seconds=time_s),
            "report": self._report,
            "begin": self._begin,
            "show": self._show,
        }
        return Call(**(made | more))

    async def run(self, call: Call | None = None, request: ImageEdit | None = None) -> Finished:
        answer = await self.openai.submit(request or an_edit(), call or self.call())
        assert isinstance(answer, Finished)
        return answer

    async def failed_run(self, call: Call | None = None) -> ProviderError:
        """The error a call ends with; it leaves no result."""
        call = call or self.call()
        with pytest.raises(ProviderError) as caught:
            await self.run(call)
        assert list(call.work_dir.glob("picture*")) == []
        return caught.value

    async def _report(self, percent: int) -> None:
        self.percents.append(percent)

    async def _begin(self) -> None:
        self.begun += 1

    async def _show(self, picture: File) -> None:
        self.shown.append(picture.path.read_bytes())


@dataclass
class SimulatedDesk(Desk):
    """``control`` is the hand on the simulator."""

    control: OpenAiControl = field(kw_only=True)

    async def seen(self, at: str) -> list[dict[str, Any]]:
        """The requests that came at one point of the protocol."""
        return [each for each in await self.control.requests() if each["at"] == at]


@asynccontextmanager
async def desk_at(base_url: str, folder: Path, place: Place | None = None) -> AsyncIterator[Desk]:
    """A desk at whatever answers there."""
    openai = OpenAi()
    openai.open(place or Place(models_dir=folder, loopback_allowed=True))
    yield Desk(openai, base_url, folder)
    await openai.close()


@asynccontextmanager
async def simulated_desk(simulators: Running, folder: Path) -> AsyncIterator[SimulatedDesk]:
    """A desk at a simulator that works at once and has forgotten all it was told before."""
    openai = OpenAi()
    openai.open(Place(models_dir=folder, loopback_allowed=True, ca_file=simulators.ca_file))
    trust = ssl.create_default_context(cafile=simulators.ca_file)
    async with httpx.AsyncClient(base_url=simulators.url, verify=trust, timeout=30) as client:
        control = OpenAiControl(client)
        await control.reset()
        await control.pace(work_s=0)
        yield SimulatedDesk(openai, f"{simulators.url}/openai", folder, control=control)
    await openai.close()


def an_edit(prompt: str = "Draw it in ink.", references: int = 1) -> ImageEdit:
    others = (File(PHOTOS / "coffee.jpg", "image/jpeg"),) * references
    return ImageEdit(File(PHOTOS / "cat.jpg", "image/jpeg"), prompt, others)


@dataclass(frozen=True)
class Part:
    """One part of a form, as it was sent."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str | None = None


def parts_of(visit: Visit) -> list[Part]:
    """The parts of a form (RFC 7578), in their order."""
    kind, _, boundary = visit.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    pieces = (b"\r\n" + visit.body).split(b"\r\n--" + boundary.encode())
    assert (pieces[0], pieces[-1].strip()) == (b"", b"--")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    first, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in first.decode().split("\r\n"))
    named = dict(re.findall(r'(\w+)="([^"]*)"', headers["content-disposition"]))
    return Part(named["name"], content, named.get("filename"), headers.get("content-type"))


def fields_of(visit: Visit) -> dict[str, str]:
    """The texts of a form; each is there once."""
    texts = [(part.name, part.content.decode()) for part in parts_of(visit) if not part.filename]
    assert len(dict(texts)) == len(texts)
    return dict(texts)


def event(kind: str, content: bytes | str | None = PNG, **more: Any) -> bytes:
    """One frame of a stream, as OpenAI documents it."""
    b64_json = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    told = {
        "type": f"image_edit.{kind}",
        "b64_json": b64_json,
        "created_at": 1_790_000_000,
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
    }
    return f"event: image_edit.{kind}\ndata: {json.dumps(told | more)}\n\n".encode()


USAGE = {
    "input_tokens": 350,
    "input_tokens_details": {"text_tokens": 50, "image_tokens": 300},
    "output_tokens": 272,
    "total_tokens": 622,
}


def streams(*frames: bytes, **headers: str) -> Script:
    """Answer with these frames, then end; by default with a finished picture alone."""
    said = frames or (event("completed", usage=USAGE),)
    first = head(200, **{"content_type": "text/event-stream", "x_request_id": "req_7", **headers})

    async def answer(visit: Visit) -> None:
        await visit.say(first, *said)

    return answer
