"""What is done again and again while a process runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources

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


async def each(*acts: Callable[[], Awaitable[object]]) -> None:
    """One after the other. None begins before its turn, which a round cut short never reaches."""
    for act in acts:
        try:
            await act()
        except OUTAGES as error:
            # The others may not need what is away.
            log.warning("a round was cut short", error=repr(error))
        except Exception as error:  # whatever it is, the others still have to be done
            log.error("a round failed", exc_info=error)


async def is_turn(resources: Resources, act: str, every_s: int) -> bool:
    """Whether to do ``act`` now, where once in ``every_s`` is enough for all workers together."""
    key = f"{resources.settings.queue_prefix}:{act}"
    return bool(await resources.redis.set(key, "1", nx=True, ex=every_s))


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait ``seconds``, or less where ``stop`` is set meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
