"""What is done again and again while a process runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from funmagic.core.log import logger

log = logger(__name__)

JITTER: Final = 0.1  # part of the pause by which processes drift apart
TIMEOUT_S: Final = 60.0  # a round that hangs longer is given up, so that the next one comes


class Every:
    """Call ``act`` every ``seconds``, one round at a time; a failed round is logged, no more."""

    def __init__(
        self, seconds: float, act: Callable[[], Awaitable[None]], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._seconds = seconds
        self._act = act
        self._timeout_s = timeout_s

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until ``stop`` is set; a round under way is finished first."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._act()
            except Exception as error:
                log.error("scheduled round failed", error=repr(error), exc_info=error)
            await pause(stop, self._seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - drift, no secret


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait ``seconds``, or less where ``stop`` is set meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
