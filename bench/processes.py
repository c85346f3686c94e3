"""Starting and ending the processes that are measured."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.ground import CLIENTS, Ground

ROOT = Path(__file__).parents[1]
SCRIPT = Path(__file__).with_name("bullmq.mjs")
PACKAGES = ROOT / "tests" / "interop" / "node_modules"


class WorkerProcess:
    """One worker; after :meth:`stop` it has told when its jobs began."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.began: dict[str, float] = {}

    async def stop(self) -> None:
        self._process.terminate()
        async with asyncio.timeout(30):
            out, _ = await self._process.communicate()
        self.began = json.loads(out) if out.strip() else {}


@asynccontextmanager
async def python_worker(ground: Ground, kind: str) -> AsyncIterator[WorkerProcess]:
    """``bench.worker`` of this kind."""
    command = [sys.executable, "-m", "bench.worker", kind]
    async with _worker(command, {**os.environ, **ground.environment}) as worker:
        yield worker


@asynccontextmanager
async def node_worker(ground: Ground, queue: str) -> AsyncIterator[WorkerProcess]:
    """BullMQ's own worker in Node, with an empty processor."""
    async with _worker(_node("work"), _node_environment(ground, queue)) as worker:
        yield worker


async def node_add(ground: Ground, queue: str, jobs: int) -> None:
    """Have a second Node process add jobs, as many at once as there are clients elsewhere."""
    environment = {**_node_environment(ground, queue), "JOBS": str(jobs)}
    process = await asyncio.create_subprocess_exec(*_node("add"), env=environment)
    async with asyncio.timeout(60):
        if await process.wait() != 0:
            raise RuntimeError("the Node process that adds jobs failed")


@asynccontextmanager
async def _worker(command: list[str], environment: dict[str, str]) -> AsyncIterator[WorkerProcess]:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    worker = WorkerProcess(process)
    try:
        yield worker
    finally:
        if process.returncode is None:
            await worker.stop()


def _node(task: str) -> list[str]:
    own = ROOT / ".venv" / "node" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    if node is None:
        raise RuntimeError("Node 20 or newer is needed; `bin/setup dev` fetches it")
    return [node, str(SCRIPT), task]


def _node_environment(ground: Ground, queue: str) -> dict[str, Any]:
    return {
        **os.environ,
        "SOCKET": urlsplit(ground.settings.redis_url.get_secret_value()).path,
        "PACKAGES": str(PACKAGES),
        "QUEUE": queue,
        "CLIENTS": str(CLIENTS),
    }
