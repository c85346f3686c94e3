"""Worker processes to be measured: `python -m bench.worker ours|bare`, ended by SIGTERM.

``ours`` is the product's worker with the no-op tool; ``bare`` is the queue's own worker with an
empty processor. Both end with one JSON object on standard output: when each job began, by its id,
in seconds of the system's clock.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any
from uuid import UUID

import bullmq
import uvloop
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from bench import noop
from bench.ground import CLIENTS
from funmagic import hooks, worker
from funmagic.core import log as logs
from funmagic.core.settings import Settings
from funmagic.tasks import claims

BARE_QUEUE = "bare"


async def ours(settings: Settings, began: dict[str, float]) -> None:
    """The product's worker; a task has begun once it is claimed."""
    claim = claims.claim

    async def noted(session: AsyncSession, task_id: UUID, attempt: int, **options: Any) -> Any:
        held = await claim(session, task_id, attempt, **options)
        if held is not None:
            began[str(task_id)] = time.time()
        return held

    claims.claim = noted
    hooks.wire(settings)
    noop.register()
    await worker.run(settings)


async def bare(settings: Settings, began: dict[str, float]) -> None:
    """The package's worker, with the one setting without which it idles badly."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def process(job: Any, token: str) -> None:
        began[job.id] = time.time()

    redis = Redis.from_url(
        settings.redis_url.get_secret_value(), decode_responses=True, socket_timeout=30
    )
    options = {"connection": redis, "concurrency": CLIENTS, "autorun": False}
    taking = bullmq.Worker(BARE_QUEUE, process, options)
    running = asyncio.create_task(taking.run())
    await stop.wait()
    await taking.close()
    await running
    await redis.aclose()


def main() -> None:
    settings = Settings.load()
    logs.configure(settings)
    began: dict[str, float] = {}
    uvloop.run({"ours": ours, "bare": bare}[sys.argv[1]](settings, began))
    json.dump(began, sys.stdout)


if __name__ == "__main__":
    main()
