"""Tripo's adapter at a simulated Tripo: calls to make, and what the simulator saw of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.vendors import TripoControl

from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.providers.adapters.tripo import Tripo, TripoConfig, TripoCredentials
from funmagic.providers.contract import (
    Call,
    Capability,
    Connection,
    File,
    Finished,
    ImageTo3d,
    Pending,
    Place,
    ProviderError,
)
from funmagic.simulators.server import Running

PHOTO = Path(__file__).parent.parent / "photos" / "cat.jpg"
OFFER = Tripo.offers[Capability.IMAGE_TO_3D]
KEY = "tsk_ada_secret"
# The simulator's price of a model of the first kind with its texture, at a dollar for 100.
CREDITS, USD_MICROS = 30, 300_000


def request(photo: Path = PHOTO) -> ImageTo3d:
    return ImageTo3d(File(photo, "image/jpeg"))


def connection_to(base_url: str | None, key: str = KEY, **config: Any) -> Connection:
    return Connection(TripoCredentials(key=SecretStr(key)), base_url, TripoConfig(**config))


def call_over(connection: Connection, folder: Path, *, time_s: float = 60.0, **more: Any) -> Call:
    """A call with a directory of its own, for the first model unless another is named."""
    work_dir = folder / str(new_id())
    work_dir.mkdir()
    model = more.pop("model", OFFER.models[0])
    made: dict[str, Any] = {
        "id": new_id(),
        "model": model,
        "options": OFFER.options_of(model)(),
        "connection": connection,
        "work_dir": work_dir,
        "deadline_at": now() + timedelta(seconds=time_s),
        "report": _ignore,
    }
    return Call(**(made | more))


@dataclass
class TripoDesk:
    """One adapter, opened where Tripo is simulated; the controls of the simulator."""

    tripo: Tripo
    control: TripoControl
    base_url: str
    folder: Path
    percents: list[int] = field(default_factory=list)

    def connection(self, key: str = KEY, **config: Any) -> Connection:
        return connection_to(self.base_url, key, **config)

    def call(self, key: str = KEY, **more: Any) -> Call:
        return call_over(more.pop("connection", None) or self.connection(key), self.folder, **more)

    async def submit(self, call: Call | None = None) -> Pending:
        answer = await self.tripo.submit(request(), call or self.call())
        assert isinstance(answer, Pending)
        return answer

    async def wait(self, pending: Pending, call: Call) -> Finished:
        """Ask until the task is done."""
        answer: Pending | Finished = pending
        while isinstance(answer, Pending):
            assert answer.progress is not None
            self.percents.append(answer.progress)
            await asyncio.sleep(0.02)
            answer = await self.tripo.poll(answer.handle, call)
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
        assert list(call.work_dir.iterdir()) == []
        return caught.value

    async def failed_run(self, call: Call | None = None) -> ProviderError:
        call = call or self.call()
        return await self.failed_wait(await self.submit(call), call)

    async def finished_task(self, call: Call) -> Pending:
        """A task that is done, of which nothing was fetched yet."""
        pending = await self.submit(call)
        await self.wait(pending, self.call(wants_files=False))
        return pending

    async def seen(self, at: str) -> list[dict[str, Any]]:
        """The requests that came at one point of the protocol."""
        return [each for each in await self.control.requests() if each["at"] == at]


@asynccontextmanager
async def tripo_desk_at(
    simulators: Running, control: TripoControl, folder: Path
) -> AsyncIterator[TripoDesk]:
    """A desk with a simulator that works at once and has forgotten all it was told before."""
    tripo = Tripo()
    tripo.open(Place(models_dir=folder, loopback_allowed=True, ca_file=simulators.ca_file))
    await control.reset()
    await control.pace(work_s=0)
    yield TripoDesk(tripo, control, f"{simulators.url}/tripo", folder)
    await tripo.close()


async def _ignore(percent: int) -> None:
    """Nobody watches."""
