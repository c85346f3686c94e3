"""fal's adapter at a simulated fal: calls to make, and what the simulator saw of them."""

from __future__ import annotations

import asyncio
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
from tests.vendors import FalControl

from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.providers.adapters.fal import BackgroundRemovalOptions, Fal, FalCredentials
from funmagic.providers.contract import (
    BackgroundRemoval,
    Call,
    Connection,
    File,
    Finished,
    Pending,
    Place,
    ProviderError,
)
from funmagic.simulators.server import Running

PHOTO = Path(__file__).parent.parent / "photos" / "coffee.jpg"
MODEL = "fal-ai/bria/background/remove"


@dataclass
class Desk:
    """One adapter, opened where fal is simulated; the controls of the simulator."""

    fal: Fal
    control: FalControl
    base_url: str
    folder: Path
    percents: list[int] = field(default_factory=list)

    def connection(self, key: str = "ada:secret") -> Connection:
        return Connection(FalCredentials(key=SecretStr(key)), self.base_url)

    def call(self, key: str = "ada:secret", *, time_s: float = 60.0, **more: Any) -> Call:
        """A call with a directory of its own."""
        folder = self.folder / str(new_id())
        folder.mkdir()
        made: dict[str, Any] = {
            "id": new_id(),
            "model": MODEL,
            "options": BackgroundRemovalOptions(),
            "connection": self.connection(key),
            "work_dir": folder,
            "deadline_at": now() + timedelta(seconds=time_s),
            "report": _ignore,
        }
        return Call(**(made | more))

    async def submit(self, call: Call | None = None) -> Pending:
        answer = await self.fal.submit(request(), call or self.call())
        assert isinstance(answer, Pending)
        return answer

    async def wait(self, pending: Pending, call: Call) -> Finished:
        """Ask until the job is done."""
        answer: Pending | Finished = pending
        while isinstance(answer, Pending):
            assert answer.progress is not None
            self.percents.append(answer.progress)
            await asyncio.sleep(0.02)
            answer = await self.fal.poll(answer.handle, call)
        return answer

    async def run(self, call: Call | None = None) -> Finished:
        call = call or self.call()
        return await self.wait(await self.submit(call), call)

    async def failed_submit(self, call: Call | None = None) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.submit(call)
        return caught.value

    async def failed_wait(self, pending: Pending, call: Call) -> ProviderError:
        """The error that asking ends with; it leaves no file."""
        with pytest.raises(ProviderError) as caught:
            await self.wait(pending, call)
        assert files_in(call) == []
        return caught.value

    async def failed_run(self, call: Call | None = None) -> ProviderError:
        call = call or self.call()
        return await self.failed_wait(await self.submit(call), call)

    async def seen(self, at: str) -> list[dict[str, Any]]:
        """The requests that came at one point of the protocol."""
        return [each for each in await self.control.requests() if each["at"] == at]


def request() -> BackgroundRemoval:
    return BackgroundRemoval(File(PHOTO, "image/jpeg"))


def files_in(call: Call) -> list[Path]:
    return sorted(call.work_dir.iterdir())


@asynccontextmanager
async def control_of(simulators: Running) -> AsyncIterator[FalControl]:
    """The simulated fal's controls, for as many desks as come one after the other."""
    trust = ssl.create_default_context(cafile=simulators.ca_file)
    async with httpx.AsyncClient(base_url=simulators.url, verify=trust, timeout=30) as client:
        yield FalControl(client)


@asynccontextmanager
async def desk_at(simulators: Running, control: FalControl, folder: Path) -> AsyncIterator[Desk]:
    """A desk with a simulator that works at once and has forgotten all it was told before."""
    fal = Fal()
    fal.open(Place(models_dir=folder, loopback_allowed=True, ca_file=simulators.ca_file))
    await control.reset()
    await control.pace(work_s=0)
    yield Desk(fal, control, f"{simulators.url}/fal", folder)
    await fal.close()


async def _ignore(percent: int) -> None:
    """Nobody watches."""
