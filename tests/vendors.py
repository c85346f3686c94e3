"""The product on simulated vendors, and the hand on their controls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from funmagic import seed
from funmagic.core.resources import Resources

FAL_CONFIG = {
    "steps": {
        "remove": {
            "priceCredits": 5,
            "providers": [{"provider": "fal", "model": "fal-ai/bria/background/remove"}],
            "settings": {},
        }
    }
}
USE_FAL = text("UPDATE tools SET config = :config WHERE slug = 'background-remove'").bindparams(
    bindparam("config", type_=JSONB)
)


async def use_fal(resources: Resources) -> None:
    """Let the background remover work by fal, as it is simulated at ``SIMULATORS_URL``."""
    await seed.run(resources)
    async with resources.db.transaction() as session:
        await session.execute(USE_FAL, {"config": FAL_CONFIG})


class Control:
    """What a test may do to a simulated vendor, and learn from it."""

    vendor: str

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def reset(self) -> None:
        """No faults, no jobs, the usual pace and outcome."""
        await self._ask("DELETE", "")

    async def pace(self, *, queue_s: float = 0.0, work_s: float = 0.3) -> None:
        """How long jobs made from now on wait and work."""
        await self._ask("PUT", "/pace", {"queueS": queue_s, "workS": work_s})

    async def outcome(self, kind: str, **more: Any) -> None:
        """What becomes of jobs made from now on."""
        await self._ask("PUT", "/outcome", {"kind": kind, **more})

    async def fault(self, at: str, **fault: Any) -> None:
        """What the next matching requests get instead of an answer."""
        await self._ask("POST", "/faults", {"at": at, **fault})

    async def jobs(self) -> list[dict[str, Any]]:
        """Every job that was made."""
        return list((await self._ask("GET", "/jobs")).json())

    async def requests(self) -> list[dict[str, Any]]:
        """Every request that arrived, in order."""
        return list((await self._ask("GET", "/requests")).json())

    async def until_jobs(self, number: int) -> None:
        """Wait until so many jobs were made."""
        await _until(self.jobs, number)

    async def until_asked(self, at: str) -> None:
        """Wait for the first request at one point of the protocol."""

        async def asked() -> list[Any]:
            return [request for request in await self.requests() if request["at"] == at]

        await _until(asked, 1)

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        answer = await self._client.request(method, f"/{self.vendor}/control{path}", json=body)
        answer.raise_for_status()
        return answer


class FalControl(Control):
    vendor = "fal"


class OpenAiControl(Control):
    vendor = "openai"


class TripoControl(Control):
    vendor = "tripo"

    async def wallet(self, **wallet: Any) -> None:
        """What every key has from now on."""
        await self._ask("PUT", "/wallet", wallet)


async def _until(found: Callable[[], Awaitable[list[Any]]], number: int) -> None:
    for _ in range(600):
        if len(await found()) >= number:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the vendor was not asked")
